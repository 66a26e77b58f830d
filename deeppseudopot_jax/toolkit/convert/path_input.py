"""The path that an input of pw.x asks for: its k-points, and the names in its comments."""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from deeppseudopot_jax.files.bundle.k_points import label_of
from deeppseudopot_jax.files.bundle.text import Document, Line, parse_row, read_document
from deeppseudopot_jax.files.findings import Findings

_CARD = re.compile(r"K_POINTS\s*[{(]?\s*(\w*)\s*[)}]?", re.IGNORECASE)
_ROW = "k1 k2 k3 count ! name"


@dataclass(frozen=True, eq=False)
class InputPath:
    """k-points in fractions of the reciprocal vectors, "" as the label of those without a name."""

    k_points: Float[np.ndarray, "kpt 3"]
    labels: tuple[str, ...]


def read_path_input(path: Path) -> InputPath:
    """The k-points of `K_POINTS crystal_b` or `crystal`, one by one.

    The count of a point of `crystal_b` is how many steps lead to the next one; 0 is a jump.

    Raises:
        BundleError: if there is no such list, or a row of it cannot be read.
    """
    findings = Findings()
    document = read_document(path, findings)
    found = None if document is None else _path(document)
    findings.raise_if_any(str(path.parent))
    assert found is not None
    return found


def _path(document: Document) -> InputPath | None:
    """The list, with problems where there is none."""
    lines = [_without_comment(line) for line in document.lines]
    cards = [(i, found) for i, line in enumerate(lines) if (found := _CARD.match(line.text))]
    if not cards:
        document.problem(None, "has no K_POINTS", legal="an input of pw.x")
        return None
    start, card = cards[0]
    kind, listed = card[1].lower(), [line for line in lines[start + 1 :] if line.text]
    if kind not in ("crystal", "crystal_b"):
        legal = "K_POINTS crystal_b or crystal"
        document.problem(lines[start].number, "not a path", found=lines[start].text, legal=legal)
        return None
    count = listed[0].text.split()[0] if listed else ""
    rows = listed[1 : 1 + int(count)] if count.isdigit() else []
    if not rows or len(rows) < int(count):
        document.problem(
            lines[start].number,
            "wrong number of k-points",
            found=f"{count or 'nothing'} and {len(rows)} rows",
            legal=f"a number of k-points > 0, and so many rows {_ROW}",
        )
        return None
    corners = [_corner(document, line) for line in rows]
    if any(corner is None for corner in corners):
        return None
    known = [corner for corner in corners if corner is not None]
    labels = [label_of(line.comment) for line in rows]
    k_points, counts = np.array([k for k, _ in known]), [n for _, n in known]
    if kind == "crystal":
        return InputPath(k_points, tuple(labels))
    return _along(k_points, counts, labels)


def _without_comment(line: Line) -> Line:
    text, _, comment = line.text.partition("!")
    return Line(line.number, text.strip(), comment.strip() or line.comment)


def _corner(document: Document, line: Line) -> tuple[np.ndarray, int] | None:
    """Fractions, and the number behind them: a count, or a weight."""
    numbers = parse_row(document, line, line.text.lower().replace("d", "e").split())
    if numbers is not None and (len(numbers) != 4 or numbers[3] < 0):
        document.problem(line.number, "bad k-point", found=line.text, legal=_ROW)
    if numbers is None or len(numbers) != 4:
        return None
    return np.array(numbers[:3]), round(numbers[3])


def _along(k_points: np.ndarray, counts: list[int], labels: list[str]) -> InputPath:
    found, names = [k_points[0]], [labels[0]]
    for i, n in enumerate(counts[:-1]):
        steps = max(n, 1)  # 0 is a jump: nothing in between either
        found += [
            k_points[i] + (k_points[i + 1] - k_points[i]) * (j / steps) for j in range(1, steps + 1)
        ]
        names += [""] * (steps - 1) + [labels[i + 1]]
    return InputPath(np.array(found), tuple(names))
