"""The text files of a bundle as numbered lines and tables of numbers.

Everywhere: text after `#` is a comment, blank lines are legal, tabs and spaces mix, the last
newline and Windows line ends do not matter.
"""

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from jaxtyping import Float

from deeppseudopot_jax.files.findings import BundleError, Findings
from deeppseudopot_jax.files.regular import TEXT_LIMIT, read_regular

Content = TypeVar("Content")

LARGEST_FRACTION = 4.0
"""Of coordinates in units of lattice vectors: what is farther out is a slip, and loses digits."""

FRACTIONS = f"{-LARGEST_FRACTION:g} to {LARGEST_FRACTION:g}, in units of the lattice vectors"
RECIPROCAL_FRACTIONS = FRACTIONS.replace("the", "the reciprocal")

LARGEST_NUMBER = 1e30
"""In size; squares and cubes of what is larger, and products with volumes, overflow."""

_INTEGER = re.compile(r"[+-]?[0-9]{1,18}")
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")


@dataclass(frozen=True)
class Line:
    """A line that says something: its number in the file, its text, and the comment behind it."""

    number: int
    text: str
    comment: str = ""

    @property
    def tokens(self) -> list[str]:
        """The words of the line."""
        return self.text.split()


@dataclass(frozen=True)
class Document:
    """The lines of one text file, and where to report what is wrong with them."""

    name: str
    lines: tuple[Line, ...]
    findings: Findings

    def problem(
        self,
        line: int | None,
        message: str,
        *,
        key: str | None = None,
        found: str | None = None,
        legal: str | None = None,
        suggestion: str | None = None,
    ) -> None:
        """Record a problem at a line of this file, or of the whole file where `line` is None."""
        self.findings.problem(
            self.name,
            message,
            line=line,
            key=key,
            found=found,
            legal=legal,
            suggestion=suggestion,
        )


@dataclass(frozen=True, eq=False)
class Table:
    """A table of numbers, and the line of the file that each row stands on."""

    values: Float[np.ndarray, "row column"]
    lines: tuple[int, ...]


def read_document(path: Path, findings: Findings) -> Document | None:
    """The lines of a UTF-8 file; None, with a problem, where it cannot be read as text."""
    try:
        raw = read_regular(path, TEXT_LIMIT)
    except BundleError as error:
        findings.problems.extend(error.problems)
        return None
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        findings.problem(
            path.name,
            "is not UTF-8 text",
            line=raw.count(b"\n", 0, error.start) + 1,
            found=f"byte 0x{raw[error.start]:02x}",
            legal="UTF-8 (ASCII) text",
        )
        return None
    return document_of(path.name, text, findings)


def document_of(name: str, text: str, findings: Findings) -> Document:
    """The lines of a text; problems with them are those of a file called `name`."""
    numbered = enumerate(text.replace("\r\n", "\n").replace("\r", "\n").split("\n"), start=1)
    split = ((number, *line.partition("#")) for number, line in numbered)
    stripped = (Line(number, text.strip(), comment.strip()) for number, text, _, comment in split)
    return Document(name, tuple(line for line in stripped if line.text), findings)


def read_alone(path: Path, reader: Callable[[Document], Content | None]) -> Content:
    """What `reader` makes of a file that is looked at by itself, outside of a bundle.

    Args:
        path: of the file.
        reader: gives None, with problems, where it cannot use the lines.

    Raises:
        BundleError: listing everything wrong with the file.
    """
    findings = Findings()
    document = read_document(path, findings)
    content = None if document is None else reader(document)
    findings.raise_if_any(str(path.parent))
    assert content is not None
    return content


def parse_integer(text: str) -> int | None:
    """The integer that `text` spells, or None; `1.0` and `1_000` are none."""
    return int(text) if _INTEGER.fullmatch(text) else None


def parse_number(text: str) -> float | None:
    """The number that `text` spells, or None.

    `nan` and `inf` are none, nor is what is too large to compute with (see `is_too_large`).
    """
    if not _NUMBER.fullmatch(text):
        return None
    value = float(text)
    return value if abs(value) <= LARGEST_NUMBER else None


def is_too_large(text: str) -> bool:
    """Whether `text` spells a number that is larger in size than LARGEST_NUMBER."""
    return bool(_NUMBER.fullmatch(text)) and abs(float(text)) > LARGEST_NUMBER


def parse_row(document: Document, line: Line, tokens: list[str]) -> list[float] | None:
    """The numbers that `tokens` of `line` spell; None, with a problem each, where one does not."""
    numbers = [parse_number(token) for token in tokens]
    for token, number in zip(tokens, numbers, strict=True):
        if number is None:
            message, legal = "not a number", "a finite number"
            if is_too_large(token):
                message, legal = "too large a number", f"at most {LARGEST_NUMBER:g} in size"
            document.problem(line.number, message, found=token, legal=legal)
    valid = [number for number in numbers if number is not None]
    return valid if len(valid) == len(tokens) else None


def read_table(document: Document, width: int | None, meaning: str) -> Table | None:
    """The file as a table of numbers; None, with problems, where it is not one.

    Args:
        document: the file.
        width: numbers per row; None where it is not known, then all rows must be equally long.
        meaning: what a row holds, for the message, e.g. "k1 k2 k3 weight".
    """
    rows = read_rows(document, [width or _first_width(document)], meaning)
    if rows is None:
        return None
    return Table(np.array([values for _, values in rows]), tuple(line for line, _ in rows))


def read_rows(
    document: Document, widths: Collection[int], meaning: str
) -> list[tuple[int, list[float]]] | None:
    """(line number, numbers) of every line; each must hold one of `widths` numbers."""
    if not document.lines:
        document.problem(None, "is empty", legal=f"rows of {meaning}")
        return None
    rows = []
    for line in document.lines:
        values = parse_row(document, line, line.tokens)
        if len(line.tokens) not in widths:
            document.problem(
                line.number,
                "wrong number of columns",
                found=f"{len(line.tokens)} columns",
                legal=f"{' or '.join(map(str, sorted(widths)))} columns ({meaning})",
            )
        elif values is not None:
            rows.append((line.number, values))
    return rows if len(rows) == len(document.lines) else None


def read_column(document: Document, counts: Collection[int], meaning: str) -> Table | None:
    """All the numbers of a file, on however many lines, as a table of one column.

    Their count must be one of `counts`, unless that is empty.
    """
    rows = [(line.number, parse_row(document, line, line.tokens)) for line in document.lines]
    if any(values is None for _, values in rows):
        return None
    pairs = [(line, value) for line, row in rows for value in row or ()]
    if not pairs or (counts and len(pairs) not in counts):
        legal = " or ".join(map(str, sorted(counts))) or "some"
        document.problem(
            document.lines[-1].number if document.lines else None,
            "wrong number of values",
            found=f"{len(pairs)} values",
            legal=f"{legal} values ({meaning})",
        )
        return None
    values = np.array([[value] for _, value in pairs])
    return Table(values, tuple(line for line, _ in pairs))


def report_negative(document: Document, table: Table, column: int, name: str) -> None:
    """One problem per row with a negative number in `column`."""
    for row, line in zip(table.values, table.lines, strict=True):
        if row[column] < 0:
            document.problem(
                line, f"negative {name}", found=f"{row[column]:g}", legal="a number >= 0"
            )


def _first_width(document: Document) -> int:
    return len(document.lines[0].tokens) if document.lines else 0
