"""Numbers that a physicist asks for, beside their references: <prefix>_observables.json."""

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
    table = Table(f"Observables of {name}", _COLUMNS, [_row(each) for each in found])
    return table.without(("",), always=3)


_COLUMNS = (
    "Observable", "Where", "Value", "Error bar", "Reference", "Difference", "Unit", "Note",
)  # fmt: skip


def _row(found: dict[str, Any]) -> tuple[str, ...]:
    value, reference = found["value"], found["reference"]
    known = value is not None and reference is not None
    return (
        f"{found['group']}: {found['name']}",
        found["where"],
        number(value, 5),
        number(found["sigma"], 2),
        number(reference, 5),
        number(value - reference, 3) if known else "",
        found["unit"],
        found.get("note", ""),
    )
