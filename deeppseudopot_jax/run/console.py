"""What commands share: arguments, how JAX is set up, and how errors end on the screen."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated

import jax
import typer

from deeppseudopot_jax.errors import UserError
from deeppseudopot_jax.run.cluster import find_devices, is_first, join
from deeppseudopot_jax.run.compilation import keep_compiled_programs
from deeppseudopot_jax.run.mistakes import told
from deeppseudopot_jax.run.signals import exit_code, signals_raised

Inputs = Annotated[
    Path, typer.Argument(metavar="INPUTS", help="Folder with the bundle (NN_config.par, ...).")
]
Results = Annotated[
    Path, typer.Argument(metavar="RESULTS", help="Folder to write to; created if absent.")
]
Target = Annotated[
    Path, typer.Argument(metavar="TARGET", help="Folder to write to; created if absent.")
]
Potential = Annotated[
    Path | None,
    typer.Option(
        metavar="FOLDER",
        help="Results folder of a run: its final_* potential is taken, else its best_*.",
    ),
]
NoCache = Annotated[
    bool, typer.Option("--no-cache", help="Compile everything anew and keep no compiled program.")
]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Replace files of the same names that are there.")
]


@contextmanager
def errors_told(results: Path | None = None) -> Iterator[None]:
    """No error of the block ends in a traceback on the screen, and the command has its exit code.

    Errors that a user can act on have a message of their own. The traceback of any other one goes
    to a file in `results`, or in the present folder.
    """
    try:
        yield
    except UserError as error:
        _say(str(error))
        raise typer.Exit(error.exit_code) from error
    except KeyboardInterrupt as error:
        _say("interrupted; files written so far are complete")
        raise typer.Exit(exit_code(error)) from None
    except (typer.Exit, typer.Abort, typer.BadParameter):
        raise
    except Exception as error:
        text, code = told(error, results or Path())
        _say(text)
        raise typer.Exit(code) from error


@contextmanager
def computing(no_cache: bool = False) -> Iterator[None]:
    """JAX is ready for the block: compiled programs, processes, devices; signals interrupt it.

    Raises:
        ClusterError: if processes cannot find together.
    """
    if no_cache:
        jax.config.update("jax_enable_compilation_cache", False)
    else:
        keep_compiled_programs()
    join()
    find_devices()
    with signals_raised():  # JAX has put its own in place by now
        yield


def _say(text: str) -> None:
    """Say why a command ends, where anybody listens."""
    with suppress(OSError):
        print(f"deeppseudopot{_which_process()}: {text}", file=sys.stderr)


def _which_process() -> str:
    """Of all but the first process of a run: each says what it has met, as hosts may differ."""
    other = jax.distributed.is_initialized() and not is_first()
    return f" (process {jax.process_index()})" if other else ""
