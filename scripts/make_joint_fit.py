"""Fit GaAs, InAs, GaP and InP together and write the tables of docs/joint.md.

Four fits: with and without deformed cells, of all compounds and with GaP held out. What they give
for systems that they have not seen is told system by system.

    python scripts/make_joint_fit.py [--results gallery_results/joint] [--tables-only]
"""

import argparse
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from empirical_bands import Floats
from gallery_joint import COMPOUNDS, is_unseen, names_of, select
from gallery_materials import POLYTYPES
from make_gallery import BUNDLES, PAGES, REPOSITORY, table

JOINT = BUNDLES / "III-V"
_HELD_OUT = "GaP"


@dataclass(frozen=True)
class Fit:
    """One of the four fits."""

    name: str
    title: str
    with_deformed: bool
    without: str = ""

    def sees(self, system: str) -> bool:
        """Whether levels of the system of this name are fitted."""
        compound, _, deformed = system.partition("_")
        if is_unseen(system) or compound == self.without:
            return False
        return self.with_deformed or not deformed


FITS = (
    Fit("plain", "undeformed cells", False),
    Fit("deformed", "with deformed cells", True),
    Fit("plain_without_GaP", "undeformed cells, GaP held out", False, _HELD_OUT),
    Fit("deformed_without_GaP", "with deformed cells, GaP held out", True, _HELD_OUT),
)


def run(fit: Fit, results: Path) -> None:
    """Fit what it sees, held-out compounds among the systems so that all species are known."""
    names = names_of(JOINT)
    held_out = [i for i, name in enumerate(names) if name == fit.without]
    systems = [i for i, name in enumerate(names) if fit.sees(name) or i in held_out]
    inputs = results / fit.name / "inputs"
    select(JOINT, inputs, systems, held_out)
    started = time.monotonic()
    _command("run", inputs, results / fit.name / "fit")
    print(f"{fit.name}: {time.monotonic() - started:.0f} s", flush=True)
    everything = results / "everything"
    select(JOINT, everything, range(len(names)), [])
    _command(
        "eval", everything, results / fit.name / "all",
        "--potential", str(results / fit.name / "fit"),
    )  # fmt: skip


def _command(name: str, inputs: Path, outputs: Path, *options: str) -> None:
    subprocess.run(
        [sys.executable, "-m", "deeppseudopot_jax", name, str(inputs), str(outputs), *options,
         "--overwrite"],
        check=True,
    )  # fmt: skip


@dataclass(frozen=True)
class Errors:
    """Of one fit and one system: meV."""

    system: str
    seen: bool
    absolute: float
    aligned: float
    gap: float


def errors(fit: Fit, results: Path) -> Iterator[Errors]:
    """Of every system, as they are and with the valence tops aligned.

    Root mean squares are over four valence and two conduction pairs.
    """
    for number, name in enumerate(names_of(JOINT)):
        reference = np.loadtxt(JOINT / f"expBandStruct_{number}.par")[:, 1:]
        found = np.loadtxt(results / fit.name / "all" / f"eval_BS_sys{number}.dat")[:, 1:]
        n = next((m.n_valence for m in POLYTYPES if m.name == name), COMPOUNDS[0].n_valence)
        difference = (found - reference)[:, n - 8 : n + 4]
        tops = found[:, n - 1].max() - reference[:, n - 1].max()
        yield Errors(
            name, fit.sees(name), _rms(difference), _rms(difference - tops),
            1e3 * (_gap(found, n) - _gap(reference, n)),
        )  # fmt: skip


def _gap(levels: Floats, n_valence: int) -> float:
    return float(levels[:, n_valence].min() - levels[:, n_valence - 1].max())


def _rms(differences: Floats) -> float:
    return float(1e3 * np.sqrt(np.mean(differences**2)))


def compounds_table(found: Sequence[tuple[Fit, list[Errors]]]) -> str:
    """Errors of the undeformed compounds; what was not fitted is marked with a star."""
    rows = []
    for fit, all_errors in found:
        by_name = {one.system: one for one in all_errors}
        row = [fit.title]
        for material in COMPOUNDS:
            one = by_name[material.name]
            star = "" if one.seen else " *"
            row.append(f"{one.absolute:.0f}, {one.aligned:.0f}, {one.gap:+.0f}{star}")
        rows.append(row)
    return table(["fit", *(material.title for material in COMPOUNDS)], rows)


def unseen_table(found: Sequence[tuple[Fit, list[Errors]]]) -> str:
    """Errors of systems that no fit has seen."""
    unseen = [one.system for one in found[0][1] if is_unseen(one.system)]
    rows = []
    for system in unseen:
        row = [system.replace("_", " x ", 1) if system[-1].isdigit() else system.replace("_", ", ")]
        for _, all_errors in found:
            one = next(e for e in all_errors if e.system == system)
            row.append(f"{one.absolute:.0f}, {one.aligned:.0f}, {one.gap:+.0f}")
        rows.append(row)
    return table(["system", *(fit.title for fit, _ in found)], rows)


def levels_table(found: Sequence[tuple[Fit, list[Errors]]]) -> str:
    """A row per compound and ratio for the figure: ratio, then the errors of every fit."""
    lines = ["compound,ratio," + ",".join(fit.name for fit, _ in found)]
    for i, one in enumerate(found[0][1]):
        compound, _, ratio = one.system.partition("_")
        if not ratio or ratio[0].isdigit():
            values = ",".join(f"{all_errors[i].absolute:.1f}" for _, all_errors in found)
            lines.append(f"{compound},{ratio or '1.00'},{values}")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run the fits and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--results", type=Path, default=REPOSITORY / "gallery_results" / "joint")
    parser.add_argument("--only", nargs="+", choices=[fit.name for fit in FITS])
    parser.add_argument("--tables-only", action="store_true", help="of fits that are there")
    options = parser.parse_args()
    for fit in FITS:
        if not options.tables_only and (options.only is None or fit.name in options.only):
            run(fit, options.results)
    found = [
        (fit, list(errors(fit, options.results)))
        for fit in FITS
        if (options.results / fit.name / "all").exists()
    ]
    PAGES.mkdir(exist_ok=True)
    (PAGES / "joint_compounds.md").write_text(compounds_table(found), encoding="utf-8")
    (PAGES / "joint_unseen.md").write_text(unseen_table(found), encoding="utf-8")
    (PAGES / "joint_errors.csv").write_text(levels_table(found), encoding="utf-8")


if __name__ == "__main__":
    main()
