"""What it took: times, memory, versions, and the command that does it again."""

import shlex
from typing import Any

from deeppseudopot_jax.files.results.report.page import (
    Block,
    Listing,
    Section,
    Table,
    Text,
    decimals,
)
from deeppseudopot_jax.run.stages.report.subject import Subject

_MEGABYTE = 2**20


def machine(subject: Subject) -> Section | None:
    """Stages with their times and memory; None where they were not written."""
    timings = subject.timings
    stages = timings.get("stages", ())
    if not stages:
        return None
    rows = [
        (
            stage["name"],
            decimals(stage["seconds"], 2),
            decimals(stage["compile_seconds"], 2),
            _megabytes(stage["host_peak_bytes"]),
            _megabytes(stage["device_peak_bytes"]),
        )
        for stage in stages
    ]
    total = sum(stage["seconds"] for stage in stages)
    compiled = sum(stage["compile_seconds"] for stage in stages)
    rows.append(("all", decimals(total, 2), decimals(compiled, 2), "", ""))
    columns = (
        "Stage", "Time (s)", "of it compiling (s)", "Peak memory (MB)", "Peak of the device (MB)"
    )  # fmt: skip
    table = Table("Time and memory", columns, rows).without(("",), always=3)
    return Section("machine", "Time and memory", [table])


def again(subject: Subject) -> Section:
    """The command, the versions that it ran with, and the settings."""
    log = subject.finished.log()
    blocks: list[Block] = [Listing("Command", shlex.join(_command(subject)))]
    if versions := subject.timings.get("versions"):
        facts = [*versions.items(), ("device", subject.timings["device"])]
        facts += [("precision", subject.timings["precision"])]
        facts += [("seed", subject.bundle.settings.seed)]
        blocks.append(
            Table("Versions", ("What", "Value"), [(name, str(value)) for name, value in facts])
        )
    elif log:
        blocks.append(Text(f"Seed {subject.bundle.settings.seed}; {_line(log)}."))
    blocks.append(Listing("NN_config.par", _config(subject)))
    if log:
        blocks.append(Listing("Log", _shortened(log), folded=True))
    return Section("again", "To do it again", blocks)


def _command(subject: Subject) -> list[str]:
    """As it was given, else as it can be."""
    finished = subject.finished
    what = "run" if finished.is_run else "eval"
    plain = ["deeppseudopot", what, str(subject.bundle.folder), str(finished.folder)]
    found: list[str] = subject.timings.get("command", plain)
    return found


def _line(log: str) -> str:
    """The first line, which names versions, device and precision."""
    return log.splitlines()[0].partition("] ")[2]


def _config(subject: Subject) -> str:
    path = subject.bundle.folder / "NN_config.par"
    return path.read_text(encoding="utf-8", errors="replace")


_MOST_LINES = 400
"""Of a log: longer ones lose their middle."""


def _shortened(log: str) -> str:
    lines = log.splitlines()
    if len(lines) <= _MOST_LINES:
        return log
    half = _MOST_LINES // 2
    return "\n".join([*lines[:half], f"... {len(lines) - 2 * half} lines ...", *lines[-half:]])


def _megabytes(size: Any) -> str:
    return "" if size is None else f"{size / _MEGABYTE:.0f}"
