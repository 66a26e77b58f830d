"""data-file-schema.xml, the output of pw.x that has all digits.

Its form is that of the schema qes of Quantum ESPRESSO: Hartree, Bohr, and k-points as Cartesian
vectors in units of 2 pi / alat.
"""

from pathlib import Path

import numpy as np
from jaxtyping import Float

from deeppseudopot_jax.toolkit.convert.espresso_input import k_labels
from deeppseudopot_jax.toolkit.convert.espresso_xml_file import Spin, XmlFile
from deeppseudopot_jax.toolkit.convert.source import SourceBands
from deeppseudopot_jax.types import Crystal
from deeppseudopot_jax.units import HARTREE_IN_EV

_PARTIAL = 0.02


def read_xml(path: Path, spin: Spin | None = None, input_file: Path | None = None) -> SourceBands:
    """The bands of a finished calculation.

    Args:
        path: of the file.
        spin: whose levels to take where the calculation is spin-polarised.
        input_file: the input of pw.x, whose comments name k-points.

    Raises:
        InputError: if it is no such file, or that of a run that failed; if `spin` is missing, or
            given for a calculation that is not spin-polarised.
    """
    file = XmlFile(path)
    file.check_finished()
    crystal, alat = _crystal(file)
    blocks = file.element("output/band_structure").findall("ks_energies")
    if not blocks:
        raise file.wrong("has no bands (ks_energies)")
    points = [point for block in blocks for point in block.findall("k_point")]
    n_k = file.count("output/band_structure/nks")
    if not len(blocks) == len(points) == n_k:
        raise file.wrong(f"has {len(blocks)} ks_energies and {len(points)} k_point for nks = {n_k}")
    k_points = file.vectors(points, "k_point") @ crystal.lattice.T / alat
    weights = file.attributes(points, "weight", "1")
    columns = file.columns(spin)
    levels = HARTREE_IN_EV * file.table(blocks, "eigenvalues")[:, columns]
    n_electrons, remarks = _electrons(
        file.number("output/band_structure/nelec"),
        file.table(blocks, "occupations")[:, columns],
        None if spin is None else weights,
    )
    creator = file.element("general_info/creator")
    return SourceBands(
        program=f"pw.x of Quantum ESPRESSO {creator.get('VERSION', '')}"
        + ("" if spin is None else f", spin {spin}"),
        crystal=crystal,
        k_points=k_points,
        labels=("",) * len(blocks)
        if input_file is None
        else k_labels(input_file, k_points, crystal.lattice, alat),
        energies=np.sort(levels, axis=1),
        is_spinor=file.is_true("output/band_structure/noncolin"),
        has_spin_orbit=file.is_true("output/band_structure/spinorbit"),
        n_electrons=n_electrons,
        mesh_weights=weights if file.is_mesh() else None,
        file=str(path),
        remarks=remarks,
    )


def _crystal(file: XmlFile) -> tuple[Crystal, float]:
    """The crystal, and the unit of lengths (Bohr)."""
    structure = file.element("output/atomic_structure")
    cell = [file.element(f"output/atomic_structure/cell/a{i}") for i in (1, 2, 3)]
    atoms = list(structure.iter("atom"))
    (alat,) = file.attributes([structure], "alat")
    (n_atoms,) = file.attributes([structure], "nat")
    lattice, positions = file.vectors(cell, "cell"), file.vectors(atoms, "atomic_positions")
    if len(atoms) != n_atoms or alat <= 0.0 or np.linalg.det(lattice) == 0.0:
        raise file.wrong(
            f"is no crystal: alat = {alat:g} Bohr, {len(atoms)} of {n_atoms:g} atoms in "
            f"{np.linalg.det(lattice):g} Bohr^3"
        )
    symbols = tuple(_symbol(atom.get("name", "")) for atom in atoms)
    return Crystal(lattice, positions @ np.linalg.inv(lattice), symbols), float(alat)


def _electrons(
    of_both: float,
    occupations: Float[np.ndarray, "kpt level"],
    weights: Float[np.ndarray, " kpt"] | None,
) -> tuple[float | None, tuple[str, ...]]:
    """Electrons in the levels, and why that says nothing of a metal.

    With `weights` of the k-points the levels are those of one spin, whose electrons count twice.
    """
    if ((occupations > _PARTIAL) & (occupations < 1.0 - _PARTIAL)).any():
        return None, ("levels are partially filled: a metal, or smearing across a small gap",)
    if weights is None:
        return of_both, ()
    return 2.0 * float(np.average(occupations.sum(axis=1), weights=weights)), ()


def _symbol(name: str) -> str:
    """The element of a species that pw.x calls Fe1 or Si_2."""
    letters = "".join(c if c.isalpha() else " " for c in name).split()
    return letters[0].capitalize() if letters else name
