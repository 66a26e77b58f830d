"""From the file of any cell to those of the primitive one."""

import re
from pathlib import Path

import numpy as np

from deeppseudopot_jax.errors import InputError
from deeppseudopot_jax.files.atomic import atomic_path
from deeppseudopot_jax.files.bundle.k_points import WeightedPoints, read_points
from deeppseudopot_jax.files.bundle.text import read_alone
from deeppseudopot_jax.files.bundle.writing import k_points_text, system_text
from deeppseudopot_jax.files.disk import writing
from deeppseudopot_jax.k_path import k_path
from deeppseudopot_jax.primitive_cell import PrimitiveCell, primitive_cell
from deeppseudopot_jax.toolkit.paths import PathSource, standard_path
from deeppseudopot_jax.toolkit.structures import (
    BUNDLE_SUFFIX,
    read_crystal,
    writable_format,
    write_atoms,
)
from deeppseudopot_jax.toolkit.targets import refuse_existing
from deeppseudopot_jax.types import Crystal

TOLERANCE = 1e-3
"""Bohr; files with five decimals of a fraction are within it."""

_SYSTEM = re.compile(r"system_([0-9]+)\.par")


def write_primitive(
    source: Path,
    target: Path,
    k_points: Path | None = None,
    path: PathSource | None = None,
    n_points: int = 60,
    tolerance: float = TOLERANCE,
    overwrite: bool = False,
) -> str:
    """Write the primitive cell of a structure, and k-points in its fractions; says what it did.

    Args:
        source: system_X.par, or a structure that ASE reads.
        target: system_X.par, or a name that asks for a format which ASE writes.
        k_points: kpoints_X.par of `source`; the same Cartesian k are written beside `target`, as
            kpoints_X.par (kpoints_0.par where `target` is no system_X.par).
        path: whose standard path of the primitive cell is written there instead.
        n_points: of that path, about.
        tolerance: how far (Bohr) atoms may be from where the translations put them.
        overwrite: whether files may be replaced.

    Raises:
        InputError: if `source` is no crystal, spglib finds no symmetry, or arguments exclude each
            other.
        BundleError: if a bundle file is wrong.
        ResultsError: if a file is there already, or cannot be written.
        UnsupportedError: if ASE or seekpath is needed and not installed.
    """
    if k_points is not None and path is not None:
        raise InputError("k-points are those of --k-points or of --path: choose one of them")
    file_format = _format_of(target)
    k_target = target.with_name(f"kpoints_{_index_of(target)}.par")
    written = [target] if k_points is None and path is None else [target, k_target]
    refuse_existing(written, overwrite)
    crystal = read_crystal(source)
    given = None if k_points is None else read_alone(k_points, read_points)
    try:
        primitive = primitive_cell(crystal, tolerance)
        text = _k_points_text(primitive, given, path, n_points, tolerance)
    except InputError as error:
        raise InputError(f"{source}: {error}") from error
    scale = float(np.linalg.norm(crystal.lattice[0]))
    with writing(target.parent):
        target.parent.mkdir(parents=True, exist_ok=True)
    if file_format is None:
        _write(target, system_text(primitive.crystal, scale))
    else:
        write_atoms(primitive.crystal, target, file_format)
    if text:
        _write(k_target, text)
    return "\n".join([_told(source, crystal, primitive, tolerance), *map(str, written)])


def _format_of(target: Path) -> str | None:
    """ASE's name for the format of a file; None for system_X.par."""
    if target.suffix != BUNDLE_SUFFIX:
        return writable_format(target)
    if not _SYSTEM.fullmatch(target.name):
        raise InputError(f"{target}: a bundle has no file of this name; legal: system_X.par")
    return None


def _index_of(target: Path) -> str:
    found = _SYSTEM.fullmatch(target.name)
    return found[1] if found else "0"


def _k_points_text(
    primitive: PrimitiveCell,
    given: WeightedPoints | None,
    path: PathSource | None,
    n_points: int,
    tolerance: float,
) -> str:
    """What kpoints_X.par says: the given points mapped along, or a standard path, or nothing."""
    if path is not None:
        found = standard_path(primitive.crystal, n_points, path, tolerance)
        points, weights = found.k_points, np.ones(len(found.k_points))
        labels, title = found.labels, f"path {found.name} of {path}"
    elif given is not None:
        points, weights = primitive.k_points(given.points), given.weights
        labels = given.labels or ("",) * len(points)
        title = f"k-points of a cell {primitive.n_cells} times as large"
    else:
        return ""
    lengths = k_path(points, primitive.crystal.lattice).position
    return k_points_text(points, weights, lengths, labels, title)


def _write(path: Path, text: str) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _told(source: Path, crystal: Crystal, primitive: PrimitiveCell, tolerance: float) -> str:
    n_atoms, n_cells = len(crystal.symbols), primitive.n_cells
    if n_cells == 1:
        return (
            f"{source} is primitive already ({n_atoms} atoms) within {tolerance:g} Bohr: its "
            "cell is kept"
        )
    return (
        f"{source}: {n_atoms} atoms are {n_cells} primitive cells of {n_atoms // n_cells}; "
        f"at every k-point its bands are those of the primitive cell at {n_cells} k-points"
    )
