"""Quasiparticle bands of BerkeleyGW, whose tables need the crystal of the calculation beside."""

from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Float

from deeppseudopot_jax.errors import InputError
from deeppseudopot_jax.toolkit.convert.berkeley_gw_tables import QuasiparticleTable, read_table
from deeppseudopot_jax.toolkit.convert.calculation import Calculation, read_calculation
from deeppseudopot_jax.toolkit.convert.espresso_xml_file import Spin
from deeppseudopot_jax.toolkit.convert.path_input import InputPath, read_path_input
from deeppseudopot_jax.toolkit.convert.source import SourceBands
from deeppseudopot_jax.toolkit.convert.spin import cannot_be_spinors
from deeppseudopot_jax.toolkit.new.elements import valence_electrons
from deeppseudopot_jax.types import Crystal

Energies = Literal["eqp", "emf"]

_DIGIT = {True: 1e-5, False: 1e-9}
"""The last printed digit of Cartesian k (Bohr^-1) and of fractions."""


def read_berkeley_gw(
    source: Path,
    structure: Path,
    energies: Energies = "eqp",
    spin: Spin | None = None,
    spinor: bool | None = None,
    electrons: float | None = None,
    path_input: Path | None = None,
) -> SourceBands:
    """The bands in a table of BerkeleyGW.

    Args:
        source: bandstructure.dat, eqp.dat, eqp0.dat or eqp1.dat.
        structure: a file with the crystal of the calculation, see `read_calculation`.
        energies: the quasiparticle energies, or those of the mean field below them.
        spin: whose levels to take of a spin-polarised calculation.
        spinor: whether levels are those of spinors; None where `structure` says it, or levels that
            are no pairs at a time-reversal invariant k-point do.
        electrons: per cell, twice those of the spin that is taken; None for those of `structure`,
            or else of the outer s and p shells.
        path_input: the input of pw.x for the path: its k-points, if they are those of the table
            within its digits, with all their digits and names.

    Raises:
        InputError: if these say different things, or do not say whether levels are doubled.
        BundleError: if a table or a list of k-points cannot be read.
        UnsupportedError: if ASE is needed and not installed.
    """
    table = read_table(source)
    column = _spin_column(source, table, spin)
    calculation = read_calculation(structure, spin)
    crystal = calculation.crystal
    k_points, labels = _fractions(table, crystal), ("",) * len(table.k_points)
    if path_input is not None:
        path = read_path_input(path_input)
        _check_path(source, path_input, k_points, path, table, crystal)
        k_points, labels = path.k_points, path.labels
    levels = (table.quasiparticle if energies == "eqp" else table.mean_field)[column]
    n_electrons, counted = _electrons(calculation, electrons)
    crossed = int((np.diff(levels, axis=1) < 0.0).any(axis=1).sum())
    remarks = (
        *(() if calculation.is_its_own else (_unsure_axes(table, structure),)),
        *counted,
        *([f"levels put in ascending order at {crossed} of the k-points"] if crossed else []),
    )
    is_spinor = _is_spinor(source, structure, table, k_points, calculation, spinor)
    what = "quasiparticle" if energies == "eqp" else "mean-field"
    return SourceBands(
        program=f"BerkeleyGW, {what} energies" + ("" if spin is None else f", spin {spin}"),
        crystal=crystal,
        k_points=k_points,
        labels=labels,
        energies=np.sort(levels, axis=1),
        is_spinor=is_spinor,
        has_spin_orbit=is_spinor and calculation.has_spin_orbit is not False,
        n_electrons=n_electrons,
        first_band=table.first_band,
        file=str(source),
        remarks=remarks,
    )


def _fractions(table: QuasiparticleTable, crystal: Crystal) -> Float[np.ndarray, "kpt 3"]:
    """k = f B with B = 2 pi A^-T, so f = k A^T / (2 pi)."""
    if not table.cartesian:
        return table.k_points
    return table.k_points @ crystal.lattice.T / (2.0 * np.pi)


def _spin_column(source: Path, table: QuasiparticleTable, spin: Spin | None) -> int:
    n_spins = len(table.mean_field)
    if n_spins == 2 and spin is None:
        raise InputError(f"{source}: has two spins: choose one with --spin up or --spin down")
    if n_spins == 1 and spin is not None:
        raise InputError(f"{source}: --spin {spin}: the file has one kind of levels")
    return 1 if spin == "down" else 0


def _is_spinor(
    source: Path,
    structure: Path,
    table: QuasiparticleTable,
    k_points: np.ndarray,
    calculation: Calculation,
    asked: bool | None,
) -> bool:
    """What a file or the user says, or else levels that cannot be those of spinors."""
    told = calculation.is_spinor
    if len(table.mean_field) == 2:
        told = False
    if told is not None and asked is not None and told != asked:
        option = "--spinor" if asked else "--no-spinor"
        origin = source if len(table.mean_field) == 2 else structure
        what = "spinors" if told else "no spinors"
        raise InputError(f"{option}: {origin} is of a calculation with {what}")
    if told is not None or asked is not None:
        return bool(asked if told is None else told)
    if cannot_be_spinors(table.mean_field[0], k_points, table.first_band):
        return False
    raise InputError(
        f"{source}: its levels are pairs wherever those of spinors must be, or no such k-point is "
        f"listed, and {structure} does not tell: say --spinor if the calculation had spin-orbit "
        "coupling, so that every level is one state, or --no-spinor if every level holds spin up "
        "and down"
    )


def _electrons(
    calculation: Calculation, asked: float | None
) -> tuple[float | None, tuple[str, ...]]:
    """The electrons per cell, and what to say of them."""
    if asked is not None:
        return asked, ()
    if calculation.n_electrons is not None:
        return calculation.n_electrons, ()
    numbers = [valence_electrons(symbol) for symbol in calculation.crystal.symbols]
    known = [number for number in numbers if number is not None]
    if len(known) < len(numbers):
        return None, ()
    return float(sum(known)), (
        f"{sum(known)} electrons, those of outer s and p shells: give --electrons if the "
        "calculation has semicore levels",
    )


def _unsure_axes(table: QuasiparticleTable, structure: Path) -> str:
    if table.cartesian:
        return (
            f"k-points are Cartesian: {structure.name} must lie in space as in the calculation "
            "(--path-input verifies it)"
        )
    return (
        f"k-points are fractions: {structure.name} must have the lattice vectors of the "
        "calculation, in their order"
    )


def _check_path(
    source: Path,
    path_input: Path,
    k_points: np.ndarray,
    path: InputPath,
    table: QuasiparticleTable,
    crystal: Crystal,
) -> None:
    """The k-points of the input must be those of the table, up to reciprocal vectors.

    Raises:
        InputError: naming the first one that is not.
    """
    if len(path.k_points) != len(k_points):
        raise InputError(
            f"{path_input} asks for {len(path.k_points)} k-points, {source} has {len(k_points)}"
        )
    differences = path.k_points - k_points
    differences -= np.round(differences)
    vectors = np.linalg.norm(crystal.lattice, axis=1) if table.cartesian else 1.0
    allowed = _DIGIT[table.cartesian] * vectors + 1e-8
    other = np.flatnonzero((np.abs(differences) > allowed).any(axis=1))
    if len(other):
        i = int(other[0])
        raise InputError(
            f"k-point {i} (from 0) is {path.k_points[i].round(6).tolist()} in {path_input} and "
            f"{k_points[i].round(6).tolist()} in {source}: another path, or a crystal that lies "
            "otherwise in space"
        )
