"""What the doctor says, for people and for programs."""

import json
from collections.abc import Mapping
from dataclasses import asdict

from rich.console import Console
from rich.table import Table
from rich.text import Text

from deeppseudopot_jax.toolkit.doctor.examination import Examination
from deeppseudopot_jax.toolkit.doctor.remarks import Remark

_COLOURS = {"problem": "bold red", "warning": "bold yellow", "note": "bold"}


def show(installed: Mapping[str, str], examination: Examination | None, console: Console) -> None:
    """Tables of facts, then all remarks; plain text where the console is no terminal."""
    _show_facts("Installation", installed, console)
    if examination is None:
        return
    _show_facts("Bundle", examination.facts or {"bundle": str(examination.folder)}, console)
    for remark in examination.remarks:
        console.print(_of_remark(remark))
    console.print(Text(summary(examination)))


def summary(examination: Examination) -> str:
    """How many remarks there are of each kind, and whether a run would start."""
    counts = {severity: 0 for severity in _COLOURS}
    for remark in examination.remarks:
        counts[remark.severity] += 1
    told = ", ".join(
        f"{n} {severity}{'' if n == 1 else 's'}" for severity, n in counts.items() if n
    )
    verdict = "a run would refuse this bundle" if examination.is_refused else "a run would start"
    return f"{told or 'nothing to remark'}: {verdict}"


def as_json(installed: Mapping[str, str], examination: Examination | None) -> str:
    """The same for programs."""
    found: dict[str, object] = {"installation": dict(installed)}
    if examination is not None:
        found["bundle"] = {
            "folder": str(examination.folder),
            "facts": dict(examination.facts),
            "remarks": [asdict(remark) for remark in examination.remarks],
            "refused": examination.is_refused,
        }
    return json.dumps(found, indent=2)


def _show_facts(title: str, facts: Mapping[str, str], console: Console) -> None:
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in facts.items():
        table.add_row(Text(name, style="bold"), Text(value))
    console.print(Text(title, style="bold underline"))
    console.print(table)


def _of_remark(remark: Remark) -> Text:
    text = Text(f"{remark.severity}: ", style=_COLOURS[remark.severity])
    text.append(f"{remark.name}: {remark.message}.".replace("..", "."), style="none")
    if remark.remedy:
        text.append(f" To do: {remark.remedy}.", style="none")
    return text
