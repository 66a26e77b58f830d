"""What pw.x prints: bands with four decimals, structure and k-points with six or seven, by ASE."""

import re
import warnings
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np

from deeppseudopot_jax.errors import InputError
from deeppseudopot_jax.files.bundle.text import parse_number
from deeppseudopot_jax.files.regular import TEXT_LIMIT, read_regular
from deeppseudopot_jax.toolkit.convert.espresso_input import k_labels
from deeppseudopot_jax.toolkit.convert.espresso_xml_file import Spin
from deeppseudopot_jax.toolkit.convert.source import SourceBands
from deeppseudopot_jax.toolkit.extras import needed
from deeppseudopot_jax.toolkit.structures import crystal_of, has_volume, read_atoms
from deeppseudopot_jax.types import Crystal

_PRINTED = 2e-5
"""Relative: the digits that the output has of the structure."""
_SPINORS = re.compile(r"(Non magnetic|Noncollinear) calculation with(out)? spin-orbit")
_NUMBER = r"\s*=\s*([-\d.]+)"


def read_output(
    path: Path, spin: Spin | None = None, input_file: Path | None = None
) -> SourceBands:
    """The bands that a finished calculation has printed.

    Args:
        path: of the output.
        spin: whose levels to take where the calculation is spin-polarised.
        input_file: of pw.x, which has more digits of the structure and may name k-points; without
            it the one beside the output that ends in `.in`, where there is one.

    Raises:
        InputError: if it is no such file, or that of a run that failed or printed no bands; if
            `spin` is missing, or given for a calculation that is not spin-polarised.
        UnsupportedError: if ASE is not installed.
    """
    text = _read_text(path)
    _check_finished(path, text)
    atoms = _read_with_ase(path, text)
    points = getattr(atoms.calc, "kpts", None)
    if not points:
        raise InputError(f"{path}: has no bands")
    if not has_volume(atoms):
        raise InputError(f"{path}: its cell has no volume")
    chosen = _of_spin(path, points, spin)
    levels = [np.asarray(point.eps_n, float) for point in chosen]
    n_levels = _last(text, "number of Kohn-Sham states") or len(levels[0])
    for i, row in enumerate(levels):
        if len(row) != n_levels:
            raise InputError(
                f"{path}: k-point {i} (from 0) has {len(row)} levels, expected {n_levels:g}"
            )
    beside = path.with_suffix(".in")
    if input_file is None and beside.is_file():
        input_file = beside
    crystal = crystal_of(atoms)
    k_points = np.array([point.k for point in chosen])
    labels, remarks = ("",) * len(chosen), [_about_digits(path)]
    if input_file is not None:
        alat = _last(text, r"celldm\(1\)") or float("nan")
        labels = k_labels(input_file, k_points, crystal.lattice, alat)
        crystal, *remark = _with_all_digits(crystal, input_file)
        remarks += remark
    version = re.search(r"Program PWSCF v\.(\S+)", text)
    weights = np.array([point.weight for point in chosen])
    spinors = _SPINORS.search(text)
    return SourceBands(
        program=f"pw.x of Quantum ESPRESSO {version.group(1) if version else ''}"
        + ("" if spin is None else f", spin {spin}"),
        crystal=crystal,
        k_points=k_points,
        labels=labels,
        energies=np.sort(np.array(levels), axis=1),
        is_spinor=spinors is not None,
        has_spin_orbit=spinors is not None and spinors[2] is None,
        n_electrons=_electrons(text, spin),
        mesh_weights=None if _is_path(text) or np.allclose(weights, weights[0]) else weights,
        file=str(path),
        remarks=tuple(remarks),
    )


def _is_path(text: str) -> bool:
    """Whether this is calculation = 'bands', which unlike 'nscf' looks for no highest level."""
    is_band_structure = "End of band structure calculation" in text
    return is_band_structure and not re.search(r"highest occupied|the Fermi energy", text)


def _check_finished(path: Path, text: str) -> None:
    if "Program PWSCF" not in text:
        raise InputError(
            f"{path}: is no output of pw.x, which says 'Program PWSCF', no XML and no .save folder"
        )
    if "JOB DONE" not in text:
        message = re.search(r"Error in routine.*(?:\n.*)?", text)
        why = " ".join(message.group().split()) if message else "it does not end with JOB DONE"
        raise InputError(f"{path}: the run of pw.x did not finish: {why}")
    if "convergence NOT achieved" in text:
        raise InputError(f"{path}: the run of pw.x did not converge")
    if "set verbosity='high' to print the bands" in text:
        raise InputError(
            f"{path}: pw.x prints no bands of 100 or more k-points unless verbosity = 'high': set "
            "it and run again, or take data-file-schema.xml in the .save folder, which has them"
        )


def _read_with_ase(path: Path, text: str) -> Any:
    read = needed("ase.io", "reading the text output of pw.x", "ASE", "bundles").read
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of ASE, about what is not looked at here
            return read(StringIO(text), format="espresso-out")
    except Exception as error:  # every broken line raises another one
        raise InputError(f"{path}: ASE cannot read it: {error or type(error).__name__}") from error


def _of_spin(path: Path, points: list[Any], spin: Spin | None) -> list[Any]:
    """The k-points of one spin."""
    polarised = any(point.s == 1 for point in points)
    if polarised and spin is None:
        raise InputError(f"{path}: is spin-polarised: choose one with --spin up or --spin down")
    if not polarised and spin is not None:
        raise InputError(f"{path}: --spin {spin}: the calculation is not spin-polarised")
    return [point for point in points if point.s == int(spin == "down")]


def _with_all_digits(printed: Crystal, input_file: Path) -> tuple[Crystal, *tuple[str, ...]]:
    """The structure as the input has it, or the printed one and why it is kept."""
    try:
        given = crystal_of(read_atoms(input_file, "espresso-in"))
    except InputError:  # as for any ibrav but 0
        return printed, (
            f"the structure has the digits of the output: ASE cannot read that of {input_file.name}"
        )
    if _same(given, printed):
        return (given,)
    return printed, f"the structure is that of the output: {input_file.name} has another one"


def _same(left: Crystal, right: Crystal) -> bool:
    """Whether two structures agree in the digits of the output, which lattice vectors share."""
    scale = np.abs(right.lattice).max()
    positions = left.fractional_positions - right.fractional_positions
    return (
        left.symbols == right.symbols
        and np.allclose(left.lattice, right.lattice, rtol=0.0, atol=_PRINTED * scale)
        and bool((np.abs(positions - np.round(positions)) < _PRINTED).all())
    )


def _last(text: str, name: str) -> float | None:
    """The last number that the output gives for `name`; None where there is none."""
    found = re.findall(name + _NUMBER, text)
    return parse_number(found[-1]) if found else None


def _electrons(text: str, spin: Spin | None) -> float | None:
    """Electrons per cell; twice those of one spin, None where these are not printed."""
    electrons = _last(text, "number of electrons")
    if spin is None or electrons is None:
        return electrons
    of_spin = re.search(rf"number of electrons.*{spin}:\s*([\d.]+)", text)
    if of_spin:
        number = parse_number(of_spin.group(1))
        return None if number is None else 2.0 * number
    magnetization = _last(text, "total magnetization")
    if magnetization is None:
        return None
    return electrons + (magnetization if spin == "up" else -magnetization)


def _about_digits(path: Path) -> str:
    return (
        f"{path.name} has energies to 0.0001 eV and k-points to 1e-6: data-file-schema.xml has "
        "all digits"
    )


def _read_text(path: Path) -> str:
    raw = read_regular(path, TEXT_LIMIT)
    try:
        if b"\0" in raw:
            raise ValueError
        return raw.decode("utf-8")
    except ValueError as error:
        raise InputError(f"{path}: is no text") from error
