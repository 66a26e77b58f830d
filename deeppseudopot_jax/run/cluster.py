"""Several processes as one program: who they are is what their launcher says."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass

import jax
from jax.experimental import multihost_utils

from deeppseudopot_jax.errors import ClusterError, InputError

_ADDRESS = "JAX_COORDINATOR_ADDRESS"


@dataclass(frozen=True)
class _Launcher:
    """Variables with the number of processes and one's own.

    From those of `leads_to` JAX finds process 0; without any it needs JAX_COORDINATOR_ADDRESS.
    """

    name: str
    processes: str
    process_id: str
    leads_to: tuple[str, ...] = ()


# Open MPI before Slurm: mpirun in a Slurm job starts its own processes.
_LAUNCHERS = (
    _Launcher("plain variables", "JAX_NUM_PROCESSES", "JAX_PROCESS_ID"),
    _Launcher(
        "Open MPI", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK", ("OMPI_MCA_orte_hnp_uri",)
    ),
    _Launcher(
        "Slurm",
        "SLURM_STEP_NUM_TASKS",
        "SLURM_PROCID",
        ("SLURM_JOB_ID", "SLURM_STEP_NODELIST", "SLURM_NTASKS", "SLURM_LOCALID"),
    ),
)


@dataclass(frozen=True)
class Place:
    """One process among several; `coordinator` is host:port of process 0, None if JAX finds it."""

    launcher: str
    processes: int
    process_id: int
    coordinator: str | None


def place(environment: Mapping[str, str]) -> Place | None:
    """Which process of how many this is; None where it is the only one.

    Raises:
        ClusterError: if variables are missing or make no sense.
    """
    coordinator = environment.get(_ADDRESS)
    launcher = next((known for known in _LAUNCHERS if known.processes in environment), None)
    if launcher is None:
        alone = [name for name in (_ADDRESS, _LAUNCHERS[0].process_id) if name in environment]
        if alone:
            raise ClusterError(
                f"{alone[0]} is set, but not {_LAUNCHERS[0].processes}, the number of processes"
            )
        return None
    processes = _number(environment, launcher.processes)
    if processes == 1:
        return None
    process_id = _number(environment, launcher.process_id)
    if not 0 <= process_id < processes:
        raise ClusterError(
            f"{launcher.process_id} = {process_id}, but it has to be 0 to {processes - 1} "
            f"({launcher.processes} = {processes})"
        )
    if coordinator is None:
        missing = [name for name in launcher.leads_to or (_ADDRESS,) if name not in environment]
        if missing:
            raise ClusterError(
                f"{processes} processes ({launcher.name}), but nothing says where process 0 is "
                f"({', '.join(missing)} not set): set {_ADDRESS} to its host and a free port, as "
                "in node1:12345"
            )
    elif not re.fullmatch(r".+:\d+", coordinator):
        raise ClusterError(f"{_ADDRESS} = {coordinator}: it has to be host:port")
    return Place(launcher.name, processes, process_id, coordinator)


def join() -> None:
    """Make this process one of its run's, if the environment says that there are several.

    To be called before anything else of JAX. Which GPUs a process sees is JAX's decision: under
    Slurm and Open MPI one each, counted on its host, unless JAX_LOCAL_DEVICE_IDS says otherwise.

    Raises:
        ClusterError: if variables are missing or make no sense, or if not all processes arrive.
    """
    found = place(os.environ)
    if found is None or jax.distributed.is_initialized():
        return
    try:
        jax.distributed.initialize(found.coordinator, found.processes, found.process_id)
    except RuntimeError as error:
        raise ClusterError(
            f"process {found.process_id} of {found.processes} ({found.launcher}) did not find the "
            f"others: {error}"
        ) from error


def find_devices() -> None:
    """Start JAX on its devices; to be called after `join`.

    Raises:
        InputError: if JAX_PLATFORMS asks for some that are not there.
    """
    try:
        jax.devices()
    except Exception as error:  # an assertion without a text where no plugin is installed
        asked = os.environ.get("JAX_PLATFORMS")
        if not asked:
            raise
        why = f" ({str(error).partition('. ')[0].splitlines()[0]})" if str(error) else ""
        raise InputError(
            f"JAX_PLATFORMS = {asked}: JAX finds no such device here{why}; set it to cpu, or leave "
            "it out to use what there is"
        ) from error


def is_first() -> bool:
    """Whether this is the process that prints and writes files."""
    return jax.process_index() == 0


def wait_for_all(point: str) -> None:
    """Return when every process of the run has come to this point."""
    multihost_utils.sync_global_devices(point)


def _number(environment: Mapping[str, str], name: str) -> int:
    text = environment.get(name)
    if text is None:
        raise ClusterError(f"{name} is not set, the number of this process")
    if not re.fullmatch(r"\d+", text):
        raise ClusterError(f"{name} = {text}: it has to be a whole number")
    return int(text)
