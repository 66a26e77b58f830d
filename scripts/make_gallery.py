"""Fit every bundle of the gallery and write the tables of docs/gallery.

    python scripts/make_gallery.py [--only GaAs ...] [--results gallery_results] [--tables-only]

`make gallery` does it all, in about half an hour on two cores.
"""

import argparse
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from gallery_materials import MATERIALS, Material
from gallery_numbers import Outcome, outcome

REPOSITORY = Path(__file__).parents[1]
BUNDLES = REPOSITORY / "configs" / "gallery"
PAGES = REPOSITORY / "docs" / "gallery"
_RMSE, _GAP, _SPLITTING, _DEFORMATION = 50.0, 0.020, 0.010, 0.10
"""What a fit should reach: meV, eV, eV, relative."""


def fit(material: Material, results: Path) -> None:
    """Run a bundle; a run that fails raises."""
    started = time.monotonic()
    subprocess.run(
        [sys.executable, "-m", "deeppseudopot_jax", "run", str(BUNDLES / material.name),
         str(results / material.name), "--overwrite"],
        check=True,
    )  # fmt: skip
    print(f"{material.name}: {time.monotonic() - started:.0f} s", flush=True)


def table(heading: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [heading, ["---"] * len(heading), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def summary(outcomes: Sequence[Outcome]) -> str:
    """One row per material; what misses its bar is bold."""
    rows = []
    for one in outcomes:
        reference, found, material = one.reference, one.fit, one.reference.material
        n = material.n_valence
        rmse = one.errors(slice(n - 8, n + 4))
        before, after = one.deformation
        rows.append([
            material.title,
            _marked(f"{rmse:.1f}", rmse < _RMSE),
            f"{one.errors(slice(None)):.0f}",
            _pair(reference.gap, found.gap, _GAP),
            _pair(reference.splitting, found.splitting, _SPLITTING),
            f"{reference.mass(n):.3f}, {found.mass(n):.3f}",
            f"{before:.2f}, {_marked(f'{after:.2f}', abs(after / before - 1) < _DEFORMATION)}",
        ])  # fmt: skip
    return table(
        ["material", "RMSE of 4 valence and 2 conduction pairs, meV", "RMSE of all, meV",
         "gap, eV", "splitting, eV", "electron mass", "deformation potential, eV"],
        rows,
    )  # fmt: skip


def details(one: Outcome) -> str:
    """All numbers of a material beside the reference and the literature."""
    material, published = one.reference.material, one.reference.material.published
    n = material.n_valence

    def row(name: str, of: Callable, key: str, digits: int, sigma: str = "") -> list[str]:
        error = one.bar(sigma, of(one.fit))
        return [
            name, f"{of(one.reference):.{digits}f}", f"{of(one.fit):.{digits}f}",
            "" if error is None else f"{error:.{digits}f}", str(published.get(key, "")),
        ]  # fmt: skip

    rows = [
        row("gap, eV", lambda b: b.gap, "gap", 3, "gap"),
        *(
            row(f"lowest conduction level at {_letter(c)}, eV", lambda b, c=c: b.gap_at(c), c, 3)
            for c in sorted(set("".join(material.corners)))
        ),
        row(f"{_splitting(material)}, eV", lambda b: b.splitting, "splitting", 3,
            "" if material.splits_conduction else "valence splitting"),
        row(f"electron mass at {_letter(material.edge)}", lambda b: b.mass(n), "electron_mass", 3,
            "electron mass"),
        row(f"hole mass at {_letter(material.edge)}", lambda b: b.mass(n - 1), "hole_mass", 3),
        ["deformation potential of that gap, eV", *(f"{d:.2f}" for d in one.deformation),
         "" if one.deformation_bar is None else f"{one.deformation_bar:.2f}",
         str(published.get("deformation", ""))],
    ]  # fmt: skip
    groups = {
        "deeper valence bands": slice(0, n - 6),
        "upper three valence pairs": slice(n - 6, n),
        "two lowest conduction pairs": slice(n, n + 4),
        "higher conduction bands": slice(n + 4, None),
    }
    errors = ", ".join(f"{name} {one.errors(bands):.0f}" for name, bands in groups.items())
    heading = ["", "reference", "fit", "error bar", "experiment"]
    return (
        table(heading, rows)
        + f"\nRoot mean square errors in meV: {errors}. Experiment: {published['source']}.\n"
    )


def write(outcomes: Sequence[Outcome]) -> None:
    """The tables that docs/gallery.md includes, and the levels that it draws."""
    PAGES.mkdir(exist_ok=True)
    (PAGES / "summary.md").write_text(summary(outcomes), encoding="utf-8")
    for one in outcomes:
        material = one.reference.material
        (PAGES / f"{material.name}.md").write_text(details(one), encoding="utf-8")
        lengths = np.loadtxt(BUNDLES / material.name / "expBandStruct_0.par")[:, :1]
        np.savetxt(
            PAGES / f"{material.name}.dat",
            np.hstack([lengths, one.reference.levels, one.fit.levels]), "%.4f",
            header=f"path length (Bohr^-1), {one.fit.levels.shape[1]} levels of the reference and "
            "as many of the fit (eV)",
        )  # fmt: skip


def _pair(reference: float, found: float, bar: float) -> str:
    return f"{reference:.3f}, {_marked(f'{found:.3f}', abs(found - reference) < bar)}"


def _marked(text: str, good: bool) -> str:
    return text if good else f"**{text}**"


def _splitting(material: Material) -> str:
    crystal_field = material.crystal.cell.get_bravais_lattice().name == "HEX"
    return "splitting of the valence top" if crystal_field else "spin-orbit splitting"


def _letter(corner: str) -> str:
    return "Γ" if corner == "G" else corner


def main() -> None:
    """Fit the materials named on the command line, or all, and write the tables of all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--results", type=Path, default=REPOSITORY / "gallery_results")
    parser.add_argument("--only", nargs="+", choices=[m.name for m in MATERIALS])
    parser.add_argument("--tables-only", action="store_true", help="of fits that are there")
    options = parser.parse_args()
    for material in MATERIALS:
        chosen = options.only is None or material.name in options.only
        if chosen and not options.tables_only:
            fit(material, options.results)
    write([outcome(m, BUNDLES / m.name, options.results / m.name) for m in MATERIALS])


if __name__ == "__main__":
    main()
