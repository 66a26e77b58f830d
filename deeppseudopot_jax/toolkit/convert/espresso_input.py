"""Names of k-points in the comments of an input of pw.x, such as `0.5 0.5 0.5 20 ! L`."""

import re
from pathlib import Path

import numpy as np
from jaxtyping import Float

from deeppseudopot_jax.errors import InputError
from deeppseudopot_jax.files.regular import TEXT_LIMIT, read_regular

_CARD = re.compile(r"\s*K_POINTS\s*[{(]?\s*(\w*)\s*[)}]?", re.IGNORECASE)
_WITHOUT_LIST = ("automatic", "gamma")
_SAME_POINT = 1e-5
_GAMMA = ("g", "gm", "gamma", r"\gamma")


def k_labels(
    path: Path,
    k_points: Float[np.ndarray, "kpt 3"],
    lattice: Float[np.ndarray, "3 3"],
    alat: float,
) -> tuple[str, ...]:
    """The names that an input of pw.x gives to the k-points of its output, "" where it gives none.

    Args:
        path: of the input, whose K_POINTS are `crystal`, `tpiba` or their bands (`_b`) for names.
        k_points: of the output, fractional.
        lattice: rows in Bohr.
        alat: Bohr, the unit of lengths of pw.x.

    Raises:
        InputError: if it has no K_POINTS that can be read, or some that the output has not.
    """
    kind, rows = _card(path)
    names = [""] * len(k_points)
    for number, line in rows:
        numbers, label = _row(path, number, line)
        k = numbers if kind.startswith("crystal") else numbers @ lattice.T / alat
        found = np.flatnonzero(np.abs(k_points - k).max(axis=1) < _SAME_POINT)
        if not len(found):
            raise InputError(
                f"{path}, line {number}: the output has no k-point {line.strip()}: it is the input "
                "of another calculation"
            )
        for i in found:
            names[i] = names[i] or label
    return tuple(names)


def _card(path: Path) -> tuple[str, list[tuple[int, str]]]:
    """The kind of K_POINTS, and the numbered lines of its list; none for a mesh."""
    lines = read_text(path).splitlines()
    cards = [(i, found) for i, line in enumerate(lines) if (found := _CARD.match(line))]
    if not cards:
        raise InputError(f"{path}: has no K_POINTS: not an input of pw.x")
    start, found = cards[0]
    kind = found.group(1).lower() or "tpiba"
    if kind in _WITHOUT_LIST:
        return kind, []
    rows = [
        (i + 1, line)
        for i, line in enumerate(lines[start + 1 :], start + 1)
        if re.split("[!#]", line)[0].strip()
    ]
    count = rows[0][1].split()[0] if rows else ""
    if kind not in ("tpiba", "tpiba_b", "crystal", "crystal_b") or not count.isdigit():
        raise InputError(
            f"{path}, line {start + 1}: cannot read {lines[start].strip()}: legal are crystal, "
            "crystal_b, tpiba, tpiba_b with a list of k-points, automatic, gamma"
        )
    if len(rows) <= int(count):
        raise InputError(f"{path}: K_POINTS has {len(rows) - 1} k-points, not {count}")
    return kind, rows[1 : int(count) + 1]


def _row(path: Path, number: int, line: str) -> tuple[np.ndarray, str]:
    """Three numbers, and the first word of the comment."""
    values, *comments = re.split("[!#]", line, maxsplit=1)
    try:
        numbers = np.array([float(word.lower().replace("d", "e")) for word in values.split()[:3]])
    except ValueError:
        numbers = np.zeros(0)
    if len(numbers) != 3:
        raise InputError(f"{path}, line {number}: found {line.strip()!r}, legal: k1 k2 k3 weight")
    words = comments[0].split() if comments else []
    label = words[0] if words else ""
    return numbers, "Γ" if label.lower() in _GAMMA else label


def read_text(path: Path) -> str:
    """The text of a file.

    Raises:
        InputError: if it is no text.
    """
    raw = read_regular(path, TEXT_LIMIT)
    try:
        if b"\0" in raw:
            raise ValueError
        return raw.decode("utf-8")
    except ValueError as error:
        raise InputError(f"{path}: is no text") from error
