"""kpoints_X.par, qpoints_X.par and kpoints_X_orderMatrix.par."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from deeppseudopot_jax.files.bundle.text import (
    LARGEST_FRACTION,
    RECIPROCAL_FRACTIONS,
    Document,
    Table,
    read_table,
    report_negative,
)


@dataclass(frozen=True, eq=False)
class WeightedPoints:
    """Points of the Brillouin zone in fractions of the reciprocal lattice, with weights."""

    points: Float[np.ndarray, "point 3"]
    weights: Float[np.ndarray, " point"]


def read_points(document: Document) -> WeightedPoints | None:
    """The points of kpoints_X.par or qpoints_X.par; None, with problems, where it is bad."""
    table = read_table(document, 4, "k1 k2 k3 weight")
    if table is None:
        return None
    report_negative(document, table, 3, "weight")
    for row, line in zip(table.values, table.lines, strict=True):
        if np.abs(row[:3]).max() > LARGEST_FRACTION:
            found = " ".join(f"{coordinate:g}" for coordinate in row[:3])
            document.problem(line, "bad k-point", found=found, legal=RECIPROCAL_FRACTIONS)
    return WeightedPoints(table.values[:, :3], table.values[:, 3])


def read_band_order(
    document: Document, n_k: int | None, n_bands: int | None
) -> Int[np.ndarray, "kpt band"] | None:
    """The level that each column of the output shows, per k-point; a permutation per row."""
    table = read_table(document, n_bands, "one level index per band")
    if table is None:
        return None
    if not has_row_count(document, table, n_k, "one row per k-point"):
        return None
    levels = np.arange(table.values.shape[1])
    for row, line in zip(table.values, table.lines, strict=True):
        if not np.array_equal(np.sort(row), levels):
            document.problem(
                line,
                "not an order of the bands",
                found=" ".join(f"{level:g}" for level in row),
                legal=f"each of 0 to {len(levels) - 1} once",
            )
    return table.values.astype(np.int64)


def has_row_count(document: Document, table: Table, expected: int | None, meaning: str) -> bool:
    """Whether a table has the rows its meaning asks for, with a problem where it has not.

    True where the number is not known.
    """
    if expected is None or len(table.lines) == expected:
        return True
    document.problem(
        table.lines[-1],
        "wrong number of rows",
        found=f"{len(table.lines)} rows",
        legal=f"{expected} rows ({meaning})",
    )
    return False
