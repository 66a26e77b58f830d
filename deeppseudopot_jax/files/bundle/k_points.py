"""kpoints_X.par, qpoints_X.par and kpoints_X_orderMatrix.par."""

import re
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from deeppseudopot_jax.files.bundle.text import (
    LARGEST_FRACTION,
    RECIPROCAL_FRACTIONS,
    Document,
    Table,
    parse_number,
    read_table,
    report_negative,
)

_LABEL = re.compile(r"\\?[^\W\d_][\w']{0,11}(\|\\?[^\W\d_][\w']{0,11})*")
"""A letter first, then letters, digits, underscores and primes; several such names between bars."""
_SAME_POINT = 1e-5
_GAMMA = {"g", "gg", "gamma", "\\gamma", "\N{GREEK SMALL LETTER GAMMA}"}
"""What the centre of the zone is called, in small letters; gG is the word of pw.x."""


@dataclass(frozen=True, eq=False)
class WeightedPoints:
    """Points of the Brillouin zone in fractions of the reciprocal lattice, with weights.

    `labels` are those that comments give, "" where one gives none; () where none does.
    """

    points: Float[np.ndarray, "point 3"]
    weights: Float[np.ndarray, " point"]
    labels: tuple[str, ...] = ()


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
    labels = tuple(
        label_of(line.comment, is_centre=bool(np.abs(k - np.round(k)).max() < _SAME_POINT))
        for line, k in zip(document.lines, table.values[:, :3], strict=True)
    )
    return WeightedPoints(table.values[:, :3], table.values[:, 3], labels if any(labels) else ())


def label_of(comment: str, is_centre: bool = True) -> str:
    """The name of a k-point in the comment of its row, "" where it holds none.

    It is the only word there besides numbers, such as a path length; a sentence is no name. What
    stands for the centre of the zone ("G", "Gamma", "\\Gamma") becomes "Γ", unless the point is
    known not to be one: seekpath has other points called G.
    """
    words = [word for word in comment.split() if parse_number(word) is None]
    if len(words) != 1 or not _LABEL.fullmatch(words[0]):
        return ""
    names = words[0].split("|")
    if len(names) == 1 and not is_centre:
        return names[0]
    return "|".join("Γ" if name.lower() in _GAMMA else name for name in names)


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
