"""The card K_POINTS in an input of pw.x: its list, and the names of k-points in its comments."""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from deeppseudopot_jax.files.bundle.k_points import label_of
from deeppseudopot_jax.files.bundle.text import (
    Document,
    Line,
    parse_integer,
    parse_row,
    read_alone,
)

_CARD = re.compile(r"K_POINTS\s*[{(]?\s*(\w*)\s*[)}]?", re.IGNORECASE)
_ROW = "k1 k2 k3 number ! name"
_WHOLE = 1e-5
_LISTS = ("crystal", "crystal_b", "tpiba", "tpiba_b")
_WITHOUT_LIST = ("automatic", "gamma")


@dataclass(frozen=True, eq=False)
class KPointsCard:
    """What the card says; without rows where the program makes a mesh.

    Attributes:
        kind: `crystal`: fractions of the reciprocal vectors; `tpiba`: Cartesian, in units of
            2 pi / alat; `_b` behind either: corners of a path; `automatic`, `gamma`: meshes.
        k_points: as listed.
        numbers: the fourth column: weights, or of a path how many steps lead to the next corner.
        labels: from comments such as `! L`, "" where there is none.
        lines: of the file.
    """

    kind: str
    k_points: Float[np.ndarray, "row 3"]
    numbers: Float[np.ndarray, " row"]
    labels: tuple[str, ...]
    lines: tuple[int, ...]


def read_k_points_card(path: Path) -> KPointsCard:
    """The card of an input of pw.x.

    Raises:
        BundleError: if there is none, or it cannot be read.
    """
    return read_alone(path, _card)


def _card(document: Document) -> KPointsCard | None:
    lines = [_without_comment(line) for line in document.lines]
    cards = [(i, found) for i, line in enumerate(lines) if (found := _CARD.match(line.text))]
    if not cards:
        document.problem(None, "has no K_POINTS", legal="an input of pw.x")
        return None
    start, found = cards[0]
    kind = found[1].lower() or "tpiba"
    if kind in _WITHOUT_LIST:
        return KPointsCard(kind, np.zeros((0, 3)), np.zeros(0), (), ())
    if kind not in _LISTS:
        legal = ", ".join(_LISTS + _WITHOUT_LIST)
        document.problem(lines[start].number, "no such list", found=lines[start].text, legal=legal)
        return None
    listed = [line for line in lines[start + 1 :] if line.text]
    text = listed[0].tokens[0] if listed else ""
    count = parse_integer(text) or 0
    rows = listed[1 : 1 + max(count, 0)]
    if not rows or len(rows) < count:
        document.problem(
            lines[start].number,
            "wrong number of k-points",
            found=f"{text or 'nothing'} and {len(rows)} rows",
            legal=f"a number of k-points > 0, and so many rows {_ROW}",
        )
        return None
    numbers = [_numbers(document, row) for row in rows]
    if any(row is None for row in numbers):
        return None
    table = np.array(numbers)
    whole = np.abs(table[:, :3] - np.round(table[:, :3])).max(axis=1) < _WHOLE
    may_be_centre = whole | (not kind.startswith("crystal"))
    return KPointsCard(
        kind,
        table[:, :3],
        table[:, 3],
        tuple(map(label_of, (row.comment for row in rows), may_be_centre.tolist())),
        tuple(row.number for row in rows),
    )


def _without_comment(line: Line) -> Line:
    text, _, comment = line.text.partition("!")
    return Line(line.number, text.strip(), comment.strip() or line.comment)


def _numbers(document: Document, line: Line) -> list[float] | None:
    """The four numbers of a row, in Fortran's spelling."""
    numbers = parse_row(document, line, line.text.lower().replace("d", "e").split())
    if numbers is not None and (len(numbers) != 4 or numbers[3] < 0):
        document.problem(line.number, "bad k-point", found=line.text, legal=_ROW)
        return None
    return numbers
