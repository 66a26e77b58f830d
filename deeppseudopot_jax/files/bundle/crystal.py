"""system_X.par: the lattice and the atoms of one system."""

import re

import numpy as np

from deeppseudopot_jax.files.bundle.overlap import (
    SMALLEST_DISTANCE,
    overlapping,
    too_crowded,
    too_thin,
)
from deeppseudopot_jax.files.bundle.text import (
    FRACTIONS,
    LARGEST_FRACTION,
    Document,
    Line,
    parse_row,
)
from deeppseudopot_jax.types import Crystal

_SYMBOL = re.compile("[A-Z][a-z]*")
_SECTIONS = "`scale = <Bohr>`, `cell` and three rows, `atoms` and rows `symbol f1 f2 f3`"
_SMALLEST_VOLUME = 1e-3  # of a cell relative to the box with the same edges
_SHORTEST, _LONGEST = SMALLEST_DISTANCE, 1e5  # of lattice vectors, Bohr


def read_crystal(document: Document) -> Crystal | None:
    """The crystal of system_X.par (lattice rows in Bohr); None, with problems, where it is bad."""
    sections = _split_sections(document)
    lattice = _read_lattice(document, sections)
    atoms = [_read_atom(document, line) for line in sections.get("atoms", [])]
    if "atoms" not in sections:
        document.problem(None, "the section `atoms` is missing", key="atoms", legal=_SECTIONS)
    elif not atoms:
        document.problem(None, "there are no atoms", key="atoms", legal="rows `symbol f1 f2 f3`")
    good = [atom for atom in atoms if atom is not None]
    if lattice is None or not good or len(good) < len(atoms):
        return None
    positions = np.array([position for _, position in good])
    if not _are_apart(document, sections["atoms"], lattice, positions):
        return None
    return Crystal(lattice, positions, tuple(symbol for symbol, _ in good))


def _split_sections(document: Document) -> dict[str, list[Line]]:
    """The lines of `scale` (its value), `cell` and `atoms`; all others are problems."""
    sections: dict[str, list[Line]] = {}
    current: list[Line] | None = None
    for line in document.lines:
        name, equals, value = (part.strip() for part in line.text.partition("="))
        is_header = (name == "scale") if equals else (name in ("cell", "atoms"))
        if is_header and name in sections:
            document.problem(line.number, f"`{name}` is given twice", key=name, found=line.text)
        elif is_header:
            sections[name] = [Line(line.number, value)] if equals else []
        elif current is None or equals:
            document.problem(line.number, "unknown line", found=line.text, legal=_SECTIONS)
        else:
            current.append(line)
        if is_header:
            current = None if equals else sections[name]
    return sections


def _read_lattice(document: Document, sections: dict[str, list[Line]]) -> np.ndarray | None:
    """Lattice rows in Bohr: the cell times the scale."""
    scale = _read_scale(document, sections.get("scale"))
    cell = _read_cell(document, sections.get("cell"))
    if scale is None or cell is None:
        return None
    lattice = scale * cell
    lengths = np.linalg.norm(lattice, axis=1)
    good = True
    for row, length in zip(sections["cell"], lengths, strict=True):
        if not _SHORTEST <= length <= _LONGEST:
            good = False
            document.problem(
                row.number,
                "bad length of a lattice vector",
                key="cell",
                found=f"{length:g} Bohr",
                legal=f"{_SHORTEST:g} to {_LONGEST:g} Bohr, scale = {scale:g} included",
            )
    if good and (
        abs(np.linalg.det(lattice)) <= _SMALLEST_VOLUME * np.prod(lengths) or too_thin(lattice)
    ):
        good = False
        document.problem(
            sections["cell"][0].number,
            "the cell has no volume",
            key="cell",
            found="linearly dependent rows",
            legal="three independent lattice vectors",
        )
    return lattice if good else None


def _are_apart(
    document: Document, lines: list[Line], lattice: np.ndarray, positions: np.ndarray
) -> bool:
    """Whether no two atoms and no atom and its image are too close, with a problem where they are.

    The same row twice is such a case, and so is 0 beside 1.
    """
    legal = f"{SMALLEST_DISTANCE:g} Bohr at least, periodic images included"
    if too_crowded(lattice, len(positions)):
        found = f"{len(positions)} atoms in {abs(np.linalg.det(lattice)):.3g} Bohr^3"
        document.problem(lines[0].number, "the atoms are too close", found=found, legal=legal)
        return False
    close = overlapping(lattice, positions)
    for later, (earlier, distance) in close.items():
        other = "its own image" if earlier == later else f"that of line {lines[earlier].number}"
        found = f"{distance:.3f} Bohr"
        document.problem(
            lines[later].number, f"the atom is too close to {other}", found=found, legal=legal
        )
    return not close


def _read_scale(document: Document, lines: list[Line] | None) -> float | None:
    if lines is None:
        document.problem(None, "`scale` is missing", key="scale", legal="scale = <Bohr>")
        return None
    values = parse_row(document, lines[0], lines[0].tokens)
    if values is None:
        return None
    if len(values) != 1 or values[0] <= 0:
        document.problem(
            lines[0].number, "bad scale", key="scale", found=lines[0].text, legal="a number > 0"
        )
        return None
    return values[0]


def _read_cell(document: Document, lines: list[Line] | None) -> np.ndarray | None:
    if lines is None:
        document.problem(None, "the section `cell` is missing", key="cell", legal=_SECTIONS)
        return None
    rows = [_three_numbers(document, line, line.tokens) for line in lines]
    if len(rows) != 3:
        document.problem(
            lines[-1].number if lines else None,
            "wrong number of lattice vectors",
            key="cell",
            found=f"{len(rows)} rows",
            legal="3 rows of 3 numbers",
        )
    good = [row for row in rows if row is not None]
    if len(rows) != 3 or len(good) < 3:
        return None
    return np.array(good)


def _read_atom(document: Document, line: Line) -> tuple[str, list[float]] | None:
    symbol, *coordinates = line.tokens
    position = _three_numbers(document, line, coordinates)
    if not _SYMBOL.fullmatch(symbol):
        document.problem(
            line.number,
            "not a chemical symbol",
            key="atoms",
            found=symbol,
            legal="letters, only the first of them a capital",
        )
        return None
    if position is not None and max(map(abs, position)) > LARGEST_FRACTION:
        document.problem(
            line.number, "bad position", key="atoms", found=" ".join(coordinates), legal=FRACTIONS
        )
        return None
    return None if position is None else (symbol, position)


def _three_numbers(document: Document, line: Line, tokens: list[str]) -> list[float] | None:
    values = parse_row(document, line, tokens)
    if values is not None and len(values) != 3:
        document.problem(
            line.number, "wrong number of coordinates", found=line.text, legal="3 numbers"
        )
        return None
    return values
