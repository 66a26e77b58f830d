"""Numbers that a physicist asks for, beside their references: <prefix>_observables.json."""

from collections.abc import Iterable
from typing import Any

from deeppseudopot_jax.files.results.report.page import Section, Table, number
from deeppseudopot_jax.run.stages.report.subject import Subject


def observables(subject: Subject) -> Section | None:
    """A table per system; None where nothing was written."""
    document = subject.finished.document(f"{subject.finished.prefix}_observables")
    tables = [
        _table(system["name"], system["observables"])
        for system in document.get("systems", ())
        if system["observables"]
    ]
    return Section("observables", "Observables", tables) if tables else None


def _table(name: str, found: list[dict[str, Any]]) -> Table:
    """One row per number; columns that nothing is known for are left out."""
    table = Table(f"Observables of {name}", _COLUMNS, folded(map(_row, found)))
    return table.without(("",), always=3)


_COLUMNS = (
    "Observable", "Where", "Value", "Error bar", "Reference", "Difference", "Unit", "Note",
)  # fmt: skip


_DECIMALS = 9
"""What is smaller is the rounding of a number that symmetry makes zero."""


def _row(found: dict[str, Any]) -> tuple[str, ...]:
    value, reference = found["value"], found["reference"]
    known = value is not None and reference is not None
    shown = None if value is None else round(value, _DECIMALS)
    difference = round(value - reference, _DECIMALS) if known else None
    return (
        f"{found['group']}: {found['name']}",
        found["where"],
        number(shown, 5),
        number(found["sigma"], 2),
        number(reference, 5),
        number(difference, 3),
        found["unit"],
        found.get("note", ""),
    )


def folded(rows: Iterable[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Neighbours that say the same under names of which one word differs, as those of the axes of
    a cubic crystal, become one row that has all these words."""
    runs: list[list[tuple[str, ...]]] = []
    for row in rows:
        if runs and row[1:] == runs[-1][0][1:] and _of_one_kind([*runs[-1], row]):
            runs[-1].append(row)
        else:
            runs.append([row])
    return [(_joined(run), *run[0][1:]) for run in runs]


def _of_one_kind(rows: list[tuple[str, ...]]) -> bool:
    names = [name.split() for name, *_ in rows]
    if len({len(words) for words in names}) > 1:
        return False
    return sum(len(set(words)) > 1 for words in zip(*names, strict=True)) == 1


def _joined(rows: list[tuple[str, ...]]) -> str:
    names = [name.split() for name, *_ in rows]
    return " ".join(", ".join(dict.fromkeys(words)) for words in zip(*names, strict=True))
