"""How long the stages of a run take, compilation apart, and the memory they come to."""

import resource
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import jax

from deeppseudopot_jax.run.compilation import compiling_time

_MIB = 2**20
_MAXRSS_UNIT = 1 if sys.platform == "darwin" else 1024
"""Bytes: what getrusage counts in differs between systems."""


class StageTime(NamedTuple):
    """One stage of a run: wall seconds, of which it was compiling, and peaks of memory in bytes.

    Peaks are those of the process from its start to the end of the stage, so they never fall: the
    stage that raises one is to blame. That of the device is that of the fullest one, None where JAX
    does not tell.
    """

    name: str
    seconds: float
    compile_seconds: float
    host_peak_bytes: int
    device_peak_bytes: int | None


@contextmanager
def measured(name: str, times: list[StageTime]) -> Iterator[None]:
    """Add a stage to `times` when the block ends, however it ends."""
    start = time.perf_counter()
    with compiling_time() as compiling:
        try:
            yield
        finally:
            seconds = time.perf_counter() - start
            peaks = host_peak(), device_peak()
            times.append(StageTime(name, seconds, compiling.seconds, *peaks))


def host_peak() -> int:
    """The most memory that this process has had, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _MAXRSS_UNIT


def device_peak() -> int | None:
    """The most memory that any device of this process has had in use, in bytes, if JAX tells."""
    found = [device.memory_stats() or {} for device in jax.local_devices()]
    return max(
        (stats["peak_bytes_in_use"] for stats in found if "peak_bytes_in_use" in stats),
        default=None,
    )


def table(times: Sequence[StageTime], seconds: bool = True, memory: bool = True) -> list[str]:
    """Lines of text with the times or the memory of all stages, or both; at the end the total."""
    header, rows = ["stage"], [[stage.name] for stage in times] + [["total"]]
    if seconds:
        header += ["seconds", "of which compiling"]
        columns = [(stage.seconds, stage.compile_seconds) for stage in times]
        columns.append((sum(s for s, _ in columns), sum(c for _, c in columns)))
        for row, numbers in zip(rows, columns, strict=True):
            row += [f"{number:.2f}" for number in numbers]
    if memory:
        header += ["host peak (MiB)", "device peak (MiB)"]
        for row, stage in zip(rows, [*times, times[-1]], strict=True):
            row += [_in_mib(stage.host_peak_bytes), _in_mib(stage.device_peak_bytes)]
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    return [
        "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])])
        for row in (header, *rows)
    ]


def _in_mib(size: int | None) -> str:
    return "unknown" if size is None else f"{size / _MIB:.0f}"
