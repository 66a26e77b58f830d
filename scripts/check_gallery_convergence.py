"""Compute levels of the gallery with more plane waves and k-points and tell how far they move.

20 Ry more and at least a third more k-points along every axis, both at once, at the corners of the
path and with the valence top aligned. Writes docs/gallery/convergence.md; a material takes two to
twenty minutes per core.

    python scripts/check_gallery_convergence.py [--only GaAs ...] [--scratch FOLDER]
"""

import argparse
import tempfile
from dataclasses import replace
from math import ceil
from pathlib import Path

import numpy as np
from gallery_bundles import options_of
from gallery_materials import MATERIALS, Material, path_of
from make_gallery import BUNDLES, PAGES, table
from make_gallery_references import Calculation, changed_pseudopotentials

from deeppseudopot_jax.toolkit.convert.conversion import converted

_TABLE = PAGES / "convergence.md"
_HEADING = ["material", "reference", "finer", "largest change of a level, meV", "of the gap, meV"]


def finer(material: Material) -> Material:
    """The same crystal with more plane waves and k-points."""
    grid = tuple(ceil(4 * n / 3) for n in material.grid)
    return replace(material, cutoff=material.cutoff + 20.0, grid=grid)


def row(material: Material, pw: str, scratch: Path) -> list[str]:
    """Of the table: changes of four valence and two conduction pairs at the corners."""
    folder = scratch / material.name
    changed_pseudopotentials(material, folder)
    (folder / "finer").mkdir()
    changed = finer(material)
    calculation = Calculation(changed, folder / "finer")
    calculation.ground_state(pw)
    points, names = path_of(material)
    corners = [i for i, name in enumerate(names) if name]
    source = calculation.bands(pw, points[corners], [names[i] for i in corners])
    found = converted(source, options_of(material, 1.0)).energies
    before = np.loadtxt(BUNDLES / material.name / "expBandStruct_0.par")[corners, 1:]
    n = material.n_valence
    change = 1e3 * (found - before)
    gap = change[before[:, n].argmin(), n]
    return [
        material.title, _setting(material), _setting(changed),
        f"{np.abs(change[:, n - 8 : n + 4]).max():.1f}", f"{gap:+.1f}",
    ]  # fmt: skip


def _setting(material: Material) -> str:
    return f"{material.cutoff:.0f} Ry, {'x'.join(map(str, material.grid))}"


def write(rows: dict[str, list[str]]) -> None:
    """The table, whose other rows stay."""
    if _TABLE.exists():
        lines = _TABLE.read_text(encoding="utf-8").splitlines()[2:]
        kept = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]
        rows = {cells[0]: cells for cells in kept} | rows
    ordered = [rows[m.title] for m in MATERIALS if m.title in rows]
    _TABLE.write_text(table(_HEADING, ordered), encoding="utf-8")


def main() -> None:
    """Check the materials named on the command line, or all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=[m.name for m in MATERIALS])
    parser.add_argument("--pw", default="pw.x", help="pw.x executable")
    parser.add_argument("--scratch", type=Path, help="keep inputs and outputs of pw.x there")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        scratch = (options.scratch or Path(temporary)).resolve()
        for material in MATERIALS:
            if options.only is None or material.name in options.only:
                write({material.title: row(material, options.pw, scratch)})
                print(f"{material.name}: written to {_TABLE}", flush=True)


if __name__ == "__main__":
    main()
