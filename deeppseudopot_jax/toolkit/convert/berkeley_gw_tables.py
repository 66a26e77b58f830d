"""bandstructure.dat, eqp.dat and eqp1.dat of BerkeleyGW.

inteqp writes `bandstructure.dat` band by band, with rows of spin, band, Cartesian k (Bohr^-1),
E_MF, E_QP, E_QP - E_MF. `eqp.dat` (inteqp) and `eqp0.dat`, `eqp1.dat` (sigma) go k by k: fractions
of the reciprocal vectors and the number of rows that follow, each of spin, band, E_MF, E_QP.
Energies are in eV, bands count from 1. So BSE/intwfn.f90 and Sigma/eqp.py of BerkeleyGW write them.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from deeppseudopot_jax.files.bundle.text import (
    Document,
    Line,
    parse_integer,
    parse_number,
    parse_row,
    read_alone,
)

_FORMS = "bandstructure.dat (8 columns), or eqp.dat (k-points with 4 columns of levels below)"
_LEVEL = "spin band E_MF E_QP"
_BANDS_ROW = "spin band kx ky kz E_MF E_QP difference"
_SHOWN = 40
_ROUNDING = 1e-8
"""eV; three numbers of nine decimals."""

_Levels = dict[tuple[int, int], list[tuple[float, float]]]
"""(spin, band), both from 1 -> E_MF and E_QP of every k-point."""


@dataclass(frozen=True, eq=False)
class QuasiparticleTable:
    """Mean-field and quasiparticle energies in eV, as printed.

    Attributes:
        k_points: in Bohr^-1 where `cartesian`, else in fractions of the reciprocal vectors.
        cartesian: which of both.
        mean_field, quasiparticle: by spin, k-point and band.
        first_band: number of the first band, from 0.
    """

    k_points: Float[np.ndarray, "kpt 3"]
    cartesian: bool
    mean_field: Float[np.ndarray, "spin kpt band"]
    quasiparticle: Float[np.ndarray, "spin kpt band"]
    first_band: int


def read_table(path: Path) -> QuasiparticleTable:
    """Any of the three files, told apart by its columns.

    Raises:
        BundleError: if it is none of them, is truncated, or has other bands at some k-points.
    """
    return read_alone(path, _table)


def _table(document: Document) -> QuasiparticleTable | None:
    if not document.lines:
        document.problem(None, "is empty", legal=_FORMS)
        return None
    first = document.lines[0]
    columns, readers = len(first.tokens), {8: _read_bands, 4: _read_blocks}
    if columns not in readers or any(parse_number(token) is None for token in first.tokens):
        document.problem(
            first.number, "is no table of BerkeleyGW", found=first.text[:_SHOWN], legal=_FORMS
        )
        return None
    found = readers[columns](document)
    if found is None:
        return None
    k_points, levels = found
    spins, bands = sorted({s for s, _ in levels}), sorted({b for _, b in levels})
    whole = [(s, b) for s in range(1, len(spins) + 1) for b in range(bands[0], bands[-1] + 1)]
    if spins not in ([1], [1, 2]) or bands[0] < 1 or sorted(levels) != whole:
        missing = sorted(set(whole) - set(levels))[:1]
        document.problem(
            None,
            "the bands are not those of one window",
            found=f"spins {spins}, bands {bands[0]} to {bands[-1]}"
            + (f" without band {missing[0][1]} of spin {missing[0][0]}" if missing else ""),
            legal="spin 1, or 1 and 2, and the same bands, without gaps, for both",
        )
        return None
    table = np.array([levels[key] for key in whole]).reshape(len(spins), -1, len(k_points), 2)
    energies = table.transpose(3, 0, 2, 1)
    return QuasiparticleTable(k_points, columns == 8, energies[0], energies[1], bands[0] - 1)


def _read_bands(document: Document) -> tuple[np.ndarray, _Levels] | None:
    """bandstructure.dat: all k-points of a band together."""
    levels: _Levels = {}
    points: dict[tuple[int, int], list[np.ndarray]] = {}
    ends: dict[tuple[int, int], int] = {}
    for line in document.lines:
        row = _row(document, line, 8, _BANDS_ROW)
        if row is None:
            return None
        key, (*k, mean_field, quasiparticle, difference) = row
        if abs(quasiparticle - mean_field - difference) > _ROUNDING:
            document.problem(
                line.number,
                "the last column is not E_QP - E_MF",
                found=f"{difference:.9f} for {quasiparticle - mean_field:.9f}",
                legal=_BANDS_ROW,
            )
            return None
        levels.setdefault(key, []).append((mean_field, quasiparticle))
        points.setdefault(key, []).append(np.array(k))
        ends[key] = line.number
    (first, k_points), *others = points.items()
    for key, own in others:
        if len(own) != len(k_points):
            document.problem(
                ends[key],
                "bands have different numbers of k-points: the file is truncated, or which bands "
                "it has differs between k-points (as in metals)",
                found=f"{len(own)} k-points of {_name(key)}, {len(k_points)} of {_name(first)}",
            )
            return None
        other = np.flatnonzero(np.abs(np.array(own) - k_points).max(axis=1) > 0.0)
        if len(other):
            document.problem(
                None,
                f"{_name(key)} has other k-points than {_name(first)}: a shifted grid of inteqp "
                "(use_velocity) has no band structure of its own",
                found=f"{own[other[0]]} for {k_points[other[0]]} at k-point {other[0]} (from 0)",
            )
            return None
    return np.array(k_points), levels


def _read_blocks(document: Document) -> tuple[np.ndarray, _Levels] | None:
    """eqp.dat: all bands of a k-point together."""
    k_points: list[list[float]] = []
    levels: _Levels = {}
    bands: list[tuple[int, int]] = []
    start = 0
    while start < len(document.lines):
        header = document.lines[start]
        numbers = parse_row(document, header, header.tokens)
        count = parse_integer(header.tokens[-1])
        if numbers is None or len(numbers) != 4 or count is None or count < 1:
            legal = f"k1 k2 k3 and the number of rows {_LEVEL}"
            document.problem(header.number, "no k-point here", found=header.text, legal=legal)
            return None
        lines = document.lines[start + 1 : start + 1 + count]
        if len(lines) < count:
            found, legal = f"{len(lines)} rows", f"{count} rows, as it says"
            document.problem(header.number, "the last k-point is cut", found=found, legal=legal)
            return None
        rows = [_row(document, line, 4, _LEVEL) for line in lines]
        known = [row for row in rows if row is not None]
        if len(known) < count:
            return None
        own = [key for key, _ in known]
        bands = bands or own
        if own != bands or len(set(own)) < count:
            document.problem(
                header.number,
                "not every band of the first k-point once",
                found=f"{count} rows, {_name(own[0])} to {_name(own[-1])}",
                legal=f"{len(bands)} rows, {_name(bands[0])} to {_name(bands[-1])}",
            )
            return None
        for key, (mean_field, quasiparticle) in known:
            levels.setdefault(key, []).append((mean_field, quasiparticle))
        k_points.append(numbers[:3])
        start += 1 + count
    return np.array(k_points), levels


def _row(
    document: Document, line: Line, width: int, meaning: str
) -> tuple[tuple[int, int], list[float]] | None:
    """Spin and band, and the numbers behind them; None, with a problem, where it is no such row."""
    numbers = parse_row(document, line, line.tokens)
    if numbers is None:
        return None
    spin, band = (parse_integer(token) for token in (*line.tokens, "", "")[:2])
    if len(numbers) != width or spin is None or band is None:
        document.problem(line.number, "not a level", found=line.text, legal=meaning)
        return None
    return (spin, band), numbers[2:]


def _name(key: tuple[int, int]) -> str:
    return f"band {key[1]}" if key[0] == 1 else f"band {key[1]} of spin {key[0]}"
