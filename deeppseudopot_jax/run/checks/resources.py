"""Whether a run fits into the memory of this machine, told before anything is built."""

import os
import resource
import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import jax

from deeppseudopot_jax.errors import InputError, ResultsError
from deeppseudopot_jax.problem import Precision
from deeppseudopot_jax.resources import (
    Estimate,
    Part,
    estimate,
    physical_memory,
    spelled,
    states_on_disk,
)
from deeppseudopot_jax.run.checks.plan import RunPlan
from deeppseudopot_jax.types import Bundle

_NOTED_FROM = 0.1
"""Of the memory that there is."""

_LIMITS = (  # of control groups, version 2 and 1: the limit and what is used of it
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
    (
        "/sys/fs/cgroup/memory/memory.limit_in_bytes",
        "/sys/fs/cgroup/memory/memory.usage_in_bytes",
    ),
)


def check_resources(plans: Sequence[RunPlan], precision: Precision) -> list[str]:
    """Refuse a run that needs more memory than there is; a note where it needs much of it.

    Raises:
        InputError: with the estimate.
    """
    real_bytes = 4 if precision == "float32" else 8
    found = needs_of(plans, real_bytes)
    on_devices = device_memory()
    host = [part for part in found.parts if part.on_host or on_devices is None]
    rest = [part for part in found.parts if part not in host]
    notes = _compared(found, host, available_memory(), "this machine")
    return notes + _compared(found, rest, on_devices, "the accelerators")


def check_room_for_states(bundle: Bundle, folder: Path) -> list[str]:
    """A note on the files of states that an evaluation is to write.

    Raises:
        ResultsError: if the disk has not that much room.
    """
    existing = next(
        path for path in (folder.absolute(), *folder.absolute().parents) if path.exists()
    )
    free = float(shutil.disk_usage(existing).free)
    spin_orbit = bundle.settings.spin_orbit
    sizes = {system.name: states_on_disk(system, spin_orbit) for system in bundle.systems}
    listed = ", ".join(f"{name} {spelled(size)}" for name, size in sizes.items())
    text = f"The states take about {spelled(sum(sizes.values()))} of disk ({listed})"
    if sum(sizes.values()) > free:
        raise ResultsError(f"{text}, but {existing} has {spelled(free)}: choose another folder")
    return [f"{text}; one k-point after the other is solved and written."]


def needs_of(plans: Sequence[RunPlan], real_bytes: int = 8) -> Estimate:
    """The estimate of the neediest stage."""
    each = [estimate(plan.bundle, plan.fits, real_bytes) for plan in plans]
    return max(each, key=lambda found: found.n_bytes)


def available_memory() -> float:
    """Bytes that this process may still take: of the machine, of its container, of its limits."""
    found = [physical_memory()]
    with suppress(OSError, StopIteration, ValueError):
        lines = Path("/proc/meminfo").read_text().splitlines()
        found.append(1024.0 * int(next(x for x in lines if x.startswith("MemAvail")).split()[1]))
    for limit, used in _LIMITS:
        with suppress(OSError, ValueError):
            found.append(float(Path(limit).read_text()) - float(Path(used).read_text()))
    with suppress(OSError, ValueError):
        limit_here = resource.getrlimit(resource.RLIMIT_AS)[0]
        if limit_here != resource.RLIM_INFINITY:
            pages = int(Path("/proc/self/statm").read_text().split()[0])
            found.append(float(limit_here) - pages * os.sysconf("SC_PAGE_SIZE"))
    return max(0.0, min(found))


def device_memory() -> float | None:
    """Bytes that are free on all accelerators together; None on CPUs."""
    if jax.default_backend() == "cpu":
        return None
    every = [device.memory_stats() or {} for device in jax.local_devices()]
    known = [s["bytes_limit"] - s.get("bytes_in_use", 0) for s in every if "bytes_limit" in s]
    return float(sum(known)) if known else None


def _compared(
    found: Estimate, parts: Sequence[Part], available: float | None, where: str
) -> list[str]:
    needed = sum(part.n_bytes for part in parts)
    if available is None or needed < _NOTED_FROM * available:
        return []
    text = f"the run needs {found}"
    if needed > available:
        raise InputError(
            f"{text}, but {where} has {spelled(available)}: lower maxKE, nBands, the number of "
            "k-points, replicas or members, or the sizes of the network and of the grids"
        )
    return [f"{text}; {where} has {spelled(available)}."]
