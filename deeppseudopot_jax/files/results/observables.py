"""The observables of a potential as files: a table for people, JSON for programs."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from deeppseudopot_jax.files.atomic import atomic_path
from deeppseudopot_jax.observables.observable import Observable

Systems = Sequence[tuple[int, str, Sequence[Observable]]]
"""Index, name and observables of every system."""

_FORMAT = 1
_COLUMNS = (
    "system", "group", "observable", "value", "unit", "reference", "difference", "sigma", "where",
)  # fmt: skip
_NUMBERS = {3, 5, 6, 7}
"""Columns that are aligned to the right."""


def write_observables_table(path: Path | str, prefix: str, systems: Systems) -> None:
    """*_observables.dat: aligned columns, names in quotes, `-` for what is not known.

    Args:
        path: the file.
        prefix: of the file, which says what they are the observables of.
        systems: the observables.
    """
    rows = [_COLUMNS, *(row for system in systems for row in _rows(*system))]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        f"# Observables of the {prefix} potential: energies absolute, difference = value - "
        "reference, sigma = one standard deviation; k-points, bands, atoms from 0; - is unknown"
    ]
    for number, row in enumerate(rows):
        cells = (
            cell.rjust(width) if column in _NUMBERS else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        lines.append(f"{' ' if number else '#'} {'  '.join(cells)}".rstrip())
    _write(path, "\n".join(lines) + "\n")


def write_observables_json(path: Path | str, prefix: str, systems: Systems) -> None:
    """*_observables.json: format 1, full precision; null for what is not known, with a note."""
    content = {
        "format": _FORMAT,
        "prefix": prefix,
        "systems": [
            {"index": index, "name": name, "observables": [_entry(one) for one in found]}
            for index, name, found in systems
        ],
    }
    _write(path, json.dumps(content, indent=1, allow_nan=False) + "\n")


def _rows(index: int, name: str, found: Sequence[Observable]) -> Iterator[tuple[str, ...]]:
    del index
    for one in found:
        yield (
            _quoted(name), _quoted(one.group), _quoted(one.name), _number(one.value), one.unit,
            _number(one.reference), _number(one.difference), _number(one.sigma),
            _quoted("; ".join(filter(None, (one.where, one.note)))),
        )  # fmt: skip


def _entry(one: Observable) -> dict[str, Any]:
    names = "group", "name", "where", "value", "unit", "reference", "sigma"
    entry = {name: getattr(one, name) for name in names}
    return entry | {"note": one.note} if one.note else entry


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.6f}"


def _quoted(text: str) -> str:
    return '"' + text.replace('"', "'") + '"'


def _write(path: Path | str, text: str) -> None:
    with (
        atomic_path(path) as temporary,
        temporary.open("w", encoding="utf-8", newline="\n") as file,
    ):
        file.write(text)
