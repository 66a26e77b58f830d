"""The files of an export: which there are, and what they hold."""

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path

import numpy as np
from jaxtyping import Float

from deeppseudopot_jax.errors import InputError
from deeppseudopot_jax.files.atomic import ResultsFolder, atomic_path
from deeppseudopot_jax.files.results import tables
from deeppseudopot_jax.parameters import COLUMNS
from deeppseudopot_jax.run.checks.plan import RunPlan
from deeppseudopot_jax.toolkit.export.loading import (
    LoadedPotential,
    has_tail,
    load,
    plan_to_load,
)
from deeppseudopot_jax.toolkit.export.module import form_factor_module
from deeppseudopot_jax.toolkit.export.real_space import Grids, RealSpace, in_real_space
from deeppseudopot_jax.toolkit.export.structures import FORMATS, check_ase, write_structures
from deeppseudopot_jax.toolkit.targets import refuse_existing


class Part(StrEnum):
    """What can be exported."""

    REAL_SPACE = "real-space"
    Q_SPACE = "q-space"
    STRUCTURES = "structures"
    MODULE = "module"


EVERYTHING = tuple(Part)
_MODULE = "form_factors.py"


def export_potential(
    inputs: Path | str,
    target: Path | str,
    potential: Path | str | None = None,
    parts: Sequence[Part | str] = EVERYTHING,
    overwrite: bool = False,
    **grids: float | None,
) -> list[str]:
    """Write a potential in the forms that other programs take; returns a line for every part.

    Args:
        inputs: folder with the bundle.
        target: folder to write to, created if it is absent.
        potential: results folder of a run of the bundle; by default its own potential.
        parts: what to write.
        overwrite: whether files of the same names are replaced.
        **grids: q_max, n_q, r_max and n_r of `Grids` for the tables; what is left out or None is
            that of the bundle (qmax, nQGrid, Rmax, nRGrid).

    Raises:
        InputError: if a part is unknown, or the settings make another potential of the files in
            `potential`.
        BundleError: listing everything wrong with the inputs, or with the files in `potential`.
        ResultsError: if a file is there already, or `target` cannot be written to.
        UnsupportedError: if a network has no weights, or ASE is needed and not installed.
    """
    if unknown := sorted(set(parts) - set(EVERYTHING)):
        raise InputError(f"{', '.join(unknown)}: legal parts are {', '.join(EVERYTHING)}")
    folder = ResultsFolder(target, inputs, overwrite=True)  # whose names are looked at below
    plan, taken = plan_to_load(inputs, potential)
    refuse_existing([folder.path / name for name in _names(plan, parts)], overwrite)
    chosen = Grids.of(plan.settings, **grids)
    if Part.STRUCTURES in parts:
        check_ase()
    loaded = load(plan, taken)
    writers = {
        Part.REAL_SPACE: lambda: _real_space(loaded, folder, chosen),
        Part.Q_SPACE: lambda: _q_space(loaded, folder, chosen),
        Part.STRUCTURES: lambda: _structures(loaded, folder),
        Part.MODULE: lambda: _module(loaded, folder),
    }
    return [writers[part]() for part in EVERYTHING if part in parts]


def _names(plan: RunPlan, parts: Sequence[Part | str]) -> list[str]:
    """The files that will be written."""
    bundle, spin_orbit = plan.bundle, plan.settings.spin_orbit
    with_tail = has_tail(bundle)
    found: dict[Part, list[str]] = {
        Part.REAL_SPACE: [
            *_pot_names(bundle.species, with_tail),
            *(_so_name(symbol) for symbol in bundle.species if spin_orbit),
        ],
        Part.Q_SPACE: [
            *_q_names(with_tail),
            *(_coefficients_name(symbol) for symbol in bundle.species),
        ],
        Part.STRUCTURES: [
            name.format(system.index) for system in bundle.systems for name in FORMATS
        ],
        Part.MODULE: [_MODULE],
    }
    return [name for part in Part if part in parts for name in found[part]]


def _pot_names(species: Sequence[str], with_tail: bool) -> list[str]:
    endings = ("", "_SR", "_LR") if with_tail else ("",)
    return [f"pot{symbol}{ending}.par" for symbol in species for ending in endings]


def _q_names(with_tail: bool) -> list[str]:
    return ["qSpace_pot.dat", "qSpace_pot_SR.dat"] if with_tail else ["qSpace_pot.dat"]


def _so_name(symbol: str) -> str:
    return f"SO_{symbol}.par"


def _coefficients_name(symbol: str) -> str:
    return f"{symbol}Params.par"


def _real_space(loaded: LoadedPotential, folder: ResultsFolder, grids: Grids) -> str:
    found = in_real_space(loaded, grids)
    for i, symbol in enumerate(loaded.species):
        curves = {"": found.short_range[:, i]}
        if loaded.has_tail:
            curves = {
                "": found.short_range[:, i] + found.tail[:, i],
                "_SR": found.short_range[:, i],
                "_LR": found.tail[:, i],
            }
        for ending, curve in curves.items():
            # Readers know no comments.
            _write_numbers(
                folder.file(f"pot{symbol}{ending}.par"), np.column_stack([found.r, curve])
            )
    names = _pot_names(loaded.species, loaded.has_tail)
    if loaded.bundle.settings.spin_orbit:
        for symbol, row in zip(loaded.species, loaded.rows, strict=True):
            strengths = np.append(row[COLUMNS["spin_orbit"]], row[COLUMNS["nonlocal"]])
            # A second column is skipped by readers.
            _write_numbers(folder.file(_so_name(symbol)), np.column_stack([strengths, np.zeros(3)]))
        names += [_so_name(symbol) for symbol in loaded.species]
    return f"{', '.join(names)}: {_said_of(found, loaded)}"


def _said_of(found: RealSpace, loaded: LoadedPotential) -> str:
    shifts = ", ".join(
        f"{symbol} {shift:.3g}" for symbol, shift in zip(loaded.species, found.shifts, strict=True)
    )
    text = (
        f"v(r) in Ha, {len(found.r)} r up to {found.r[-1]:g} Bohr; the short-range part is shifted "
        f"to 0 at the end (subtracted: {shifts} Ha); transformed back it is v(q) within "
        f"{found.errors.max():.1e} of the largest |v(q)|"
    )
    if loaded.has_tail:
        text += (
            "; pot<atom>.par is the sum of _SR and _LR, -a4 erf(gamma r)/r, which is not 0 at the "
            "end"
        )
    return text


def _q_space(loaded: LoadedPotential, folder: ResultsFolder, grids: Grids) -> str:
    short, species = loaded.short_range(grids.q), loaded.species
    curves = [short + loaded.tail(grids.q), short]
    names = _q_names(loaded.has_tail)
    for name, curve in zip(names, curves, strict=False):
        tables.write_q_space_potential(folder.file(name), grids.q, curve, species)
    for symbol, row in zip(species, loaded.rows, strict=True):
        tables.write_coefficients(folder.file(_coefficients_name(symbol)), row)
    names += [_coefficients_name(symbol) for symbol in species]
    tail = "; qSpace_pot.dat has the long-range tail, _SR has not" if loaded.has_tail else ""
    return (
        f"{', '.join(names)}: v(q) in Ha Bohr^3, {len(grids.q)} q up to {grids.q_max:g} Bohr^-1, "
        f"and a0 to a8{tail}"
    )


def _structures(loaded: LoadedPotential, folder: ResultsFolder) -> str:
    folder.file(next(iter(FORMATS)).format(0))  # creates it
    systems = loaded.bundle.systems
    paths = [path for system in systems for path in write_structures(system, folder.path)]
    return f"{', '.join(path.name for path in paths)}: crystals, in Angstrom"


def _module(loaded: LoadedPotential, folder: ResultsFolder) -> str:
    with atomic_path(folder.file(_MODULE)) as temporary:
        temporary.write_text(form_factor_module(loaded), encoding="utf-8", newline="\n")
    return f"{_MODULE}: form_factor(symbol, q), which needs NumPy alone"


def _write_numbers(path: Path, rows: Float[np.ndarray, "row column"]) -> None:
    with atomic_path(path) as temporary:
        np.savetxt(temporary, rows, fmt="%.12e", newline="\n")
