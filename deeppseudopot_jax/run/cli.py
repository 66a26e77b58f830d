"""The command line: `deeppseudopot run INPUTS RESULTS` and `deeppseudopot eval INPUTS RESULTS`."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import jax
import typer

from deeppseudopot_jax.errors import ClusterError, NumericalError, ResultsError, UnsupportedError
from deeppseudopot_jax.files.findings import BundleError
from deeppseudopot_jax.files.results.painter import Beside
from deeppseudopot_jax.problem import Precision
from deeppseudopot_jax.run import workflows
from deeppseudopot_jax.run.cluster import is_first, join
from deeppseudopot_jax.run.compilation import keep_compiled_programs
from deeppseudopot_jax.run.new.command import new_command

app = typer.Typer(
    help="Semi-empirical pseudopotentials fitted to band structures.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

_EXPECTED = (ClusterError, BundleError, UnsupportedError, ResultsError, NumericalError, ValueError)

Inputs = Annotated[Path, typer.Argument(help="Folder with the bundle (NN_config.par, ...).")]
Results = Annotated[Path, typer.Argument(help="Folder to write to; created if absent.")]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Allow files in RESULTS to be replaced.")
]
Resume = Annotated[
    bool,
    typer.Option(
        "--resume",
        help="Go on from the Monte Carlo checkpoint or the last complete stage in RESULTS.",
    ),
]
NoCache = Annotated[
    bool, typer.Option("--no-cache", help="Compile everything anew and keep no compiled program.")
]
PrecisionOption = Annotated[Precision, typer.Option(help="Floating-point precision.")]


@app.command("run")
def run_command(
    inputs: Inputs,
    results: Results,
    overwrite: Overwrite = False,
    precision: PrecisionOption = "float64",
    resume: Resume = False,
    no_cache: NoCache = False,
) -> None:
    """Initialise, evaluate, train or sample, and export a potential."""
    _guarded(no_cache, workflows.run, inputs, results, overwrite, precision, resume)


@app.command("eval")
def eval_command(
    inputs: Inputs,
    results: Results,
    overwrite: Overwrite = False,
    precision: PrecisionOption = "float64",
    no_cache: NoCache = False,
) -> None:
    """Full bands of an initialised potential, in little memory."""
    _guarded(no_cache, workflows.evaluate, inputs, results, overwrite, precision)


app.command("new")(new_command)


def _guarded(no_cache: bool, workflow: Callable, *arguments: object) -> None:
    """Run a workflow; errors that a user can act on are shown without a traceback."""
    try:
        if no_cache:
            jax.config.update("jax_enable_compilation_cache", False)
        else:
            keep_compiled_programs()
        join()
        workflow(*arguments, painter=Beside())
    except _EXPECTED as error:
        print(f"deeppseudopot{_which_process()}: {error}", file=sys.stderr)
        raise typer.Exit(1) from error
    except KeyboardInterrupt:
        print("deeppseudopot: interrupted; files written so far are complete", file=sys.stderr)
        raise typer.Exit(130) from None


def _which_process() -> str:
    """Of all but the first process of a run: each says what it has met, as hosts may differ."""
    other = jax.distributed.is_initialized() and not is_first()
    return f" (process {jax.process_index()})" if other else ""
