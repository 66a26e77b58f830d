"""A page as plain records: sections of paragraphs, tables, charts and listings.

What they say is text, escaped where it becomes HTML.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

_NUMBER = re.compile(r"[+-]?\d[\d.]*(e[+-]?\d+)?( (s|MB|%))?|nan|inf|")
_LONGEST_WORDS = 24
"""Characters of a cell that is not broken over lines."""
_LARGEST_PLAIN = 1e7
"""Up to here numbers are written without an exponent."""


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    kind: ClassVar = "text"
    text: str


@dataclass(frozen=True)
class Listing:
    """Lines as they are, folded away behind their title where that is asked for."""

    kind: ClassVar = "listing"
    title: str
    text: str
    folded: bool = False


@dataclass(frozen=True)
class Table:
    """Rows under the names of their columns; the first column names the rows."""

    kind: ClassVar = "table"
    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]

    @property
    def alignments(self) -> list[Literal["number", "words", "sentence"]]:
        """Of every column: numbers stand below each other, sentences need room."""
        return [_alignment(column) for column in zip(*self.rows, strict=True)]

    def without(self, nothing: Sequence[str], always: int) -> "Table":
        """The table less columns that say nothing but that, its first ones aside."""
        cells = zip(*self.rows, strict=True)
        kept = [i for i, column in enumerate(cells) if i < always or set(column) - set(nothing)]
        rows = [[row[i] for i in kept] for row in self.rows]
        return Table(self.caption, [self.columns[i] for i in kept], rows)


def _alignment(cells: Sequence[str]) -> Literal["number", "words", "sentence"]:
    if all(_NUMBER.fullmatch(cell) for cell in cells):
        return "number"
    return "sentence" if max(map(len, cells)) > _LONGEST_WORDS else "words"


@dataclass(frozen=True, eq=False)
class Chart:
    """A figure by the name of its function in `figures`; `title` says what it shows.

    `size` is its width and height in inches, where that of a panel does not do.
    """

    figure: str
    arguments: tuple[Any, ...]
    title: str
    size: tuple[float, float] | None = None


@dataclass(frozen=True, eq=False)
class Charts:
    """Charts abreast where there is room, else below each other."""

    kind: ClassVar = "charts"
    charts: Sequence[Chart]
    caption: str = ""


Block = Text | Listing | Table | Charts


@dataclass(frozen=True, eq=False)
class Section:
    """A part of a page; `anchor` is its id, lower-case words joined by hyphens."""

    anchor: str
    title: str
    blocks: Sequence[Block]


@dataclass(frozen=True, eq=False)
class Page:
    """A whole page; `summary` are the few numbers that say how a run went, by their names."""

    title: str
    subtitle: str
    summary: Sequence[tuple[str, str]]
    sections: Sequence[Section]


def number(value: float | None, digits: int = 4) -> str:
    """A number with so many significant digits; empty where it is not known."""
    if value is None:
        return ""
    if not np.isfinite(value):
        return f"{value:g}"
    if 10.0**digits <= abs(value) < _LARGEST_PLAIN:
        return f"{value:.0f}"
    # 1.50 says more than 1.5: trailing zeros are digits too.
    return f"{value:#.{digits}g}".rstrip(".") if value else "0"


def decimals(value: float | None, n: int) -> str:
    """A number with so many decimals; empty where it is not known."""
    return "" if value is None else f"{value:.{n}f}"
