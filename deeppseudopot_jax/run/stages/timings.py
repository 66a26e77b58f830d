"""What a run took: <run|eval>_timings.json, and a table in the log where the flags ask for it."""

import platform
import sys
from pathlib import Path

import jax
import jaxlib
import numpy as np

from deeppseudopot_jax.run.session import Session
from deeppseudopot_jax.run.timing import table
from deeppseudopot_jax.version import version

_FORMAT = 1
_MODULE = "__main__.py"


def timings(session: Session, prefix: str) -> None:
    """<prefix>_timings.json of the stages that have ended, and what the log says of them.

    Args:
        session: of the run.
        prefix: `run` or `eval`.
    """
    report, settings = session.report, session.bundle.settings
    seconds, memory = settings.log_runtime, settings.log_memory
    if report.stages and (seconds or memory):
        lines = table(report.stages, seconds, memory)
        report.log("\n  ".join(["what the stages took:", *lines]))
    session.outputs.json(
        f"{prefix}_timings",
        {
            "format": _FORMAT,
            "stages": [stage._asdict() for stage in report.stages],
            "versions": versions(),
            "device": device(),
            "command": command(),
            "precision": str(session.problem.dtype),
        },
    )


def versions() -> dict[str, str]:
    """Of this package and what its numbers depend on."""
    return {
        "deeppseudopot-jax": version(),
        "jax": jax.__version__,
        "jaxlib": jaxlib.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
    }


def device() -> str:
    """Kind and number of the devices of all processes."""
    kind, n = jax.devices()[0].device_kind, jax.device_count()
    return kind if n == 1 else f"{n} x {kind}"


def command() -> list[str]:
    """The command that this process was started with; programs by their names alone."""
    program = Path(sys.argv[0]).name
    return ["deeppseudopot" if program == _MODULE else program, *sys.argv[1:]]
