"""The command line: `deeppseudopot run INPUTS RESULTS`, and the commands beside it."""

import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import jax
import typer

from deeppseudopot_jax.errors import UserError
from deeppseudopot_jax.files.results.painter import Beside
from deeppseudopot_jax.problem import Precision
from deeppseudopot_jax.run import workflows
from deeppseudopot_jax.run.cluster import find_devices, is_first, join
from deeppseudopot_jax.run.compilation import keep_compiled_programs
from deeppseudopot_jax.run.mistakes import told
from deeppseudopot_jax.run.new.command import new_command
from deeppseudopot_jax.run.signals import exit_code, signals_raised
from deeppseudopot_jax.run.stages.describe import version
from deeppseudopot_jax.run.stages.report.making import report_again

KEYS = {
    "systems": "nSystem",
    "model": "PPmodel PPmodel_* hiddenLayers",
    "channels": "SObool LRgamma strainBool trainSO trainNL trainLR trainStrain",
    "penalties, priors": "penalize_* prior_*",
    "initialisation": "init_from init_Zunger_* force_retrain seed",
    "training": (
        "max_num_epochs optimizer optimizer_lr schedulerStep scheduler_gamma sgd_momentum adam_* "
        "clip_gradient max_cost_increase patience ensemble_* perturbEvery pre_adjust_*"
    ),
    "validation": "validation_k validation_systems",
    "Monte Carlo": "mc_*",
    "several fits": "stages",
    "bands": "relE_bIdx basis_sphere smooth_reorder eigvec_reorder",
    "outputs": "plotEvery movie qmax nQGrid Rmax nRGrid runtime_flag memory_flag printGrad",
    "no effect here": "num_cores separateKptGrad checkpoint cacheSO SHOWPLOTS",
}
"""The keys of NN_config.par in groups; a star stands for the rest of a name."""

_RUN_KEYS = "\n\n".join(
    ["Keys of NN_config.par:", *(f"- {group}: {keys}" for group, keys in KEYS.items())]
)
_EVAL_NEEDS = (
    "The potential is that of --potential, the results folder of a run, which must have been a run "
    "of the same PPmodel and species; without it that of INPUTS: init_PPmodel.pth for a network, "
    "and init_<atom>Params.par for PPmodel = ZeroFunction and for a4 to a8."
    "\n\nINPUTS is a folder prepared for run, as it is; kpoints_X.par may have other k-points."
)

app = typer.Typer(
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)

Inputs = Annotated[
    Path, typer.Argument(metavar="INPUTS", help="Folder with the bundle (NN_config.par, ...).")
]
Results = Annotated[
    Path, typer.Argument(metavar="RESULTS", help="Folder to write to; created if absent.")
]
Filled = Annotated[
    Path, typer.Argument(metavar="RESULTS", help="Folder that run or eval has written to.")
]
Overwrite = Annotated[
    bool,
    typer.Option(
        "--overwrite", help="Allow files in RESULTS; those of an earlier run are removed."
    ),
]
Resume = Annotated[
    bool,
    typer.Option(
        "--resume",
        help="Go on from the checkpoint, or the last complete stage, of an ended run in RESULTS.",
    ),
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
PrecisionOption = Annotated[Precision, typer.Option(help="Floating-point precision.")]


def _tell_version(asked: bool) -> None:
    if asked:
        print(f"deeppseudopot {version()}, JAX {jax.__version__}")
        raise typer.Exit


Version = Annotated[
    bool,
    typer.Option(
        "--version", help="Show the version and exit.", callback=_tell_version, is_eager=True
    ),
]


@app.callback()
def main(version: Version = False) -> None:
    """Semi-empirical pseudopotentials fitted to band structures."""


@app.command("run", epilog=_RUN_KEYS)
def run_command(
    inputs: Inputs,
    results: Results,
    overwrite: Overwrite = False,
    precision: PrecisionOption = "float64",
    resume: Resume = False,
    no_cache: NoCache = False,
) -> None:
    """Initialise, evaluate, train or sample, and export a potential."""
    _guarded(no_cache, results, workflows.run, inputs, results, overwrite, precision, resume)


@app.command("eval", epilog=_EVAL_NEEDS)
def eval_command(
    inputs: Inputs,
    results: Results,
    potential: Potential = None,
    overwrite: Overwrite = False,
    precision: PrecisionOption = "float64",
    no_cache: NoCache = False,
) -> None:
    """Full bands of an initialised potential, in little memory."""
    arguments = inputs, results, overwrite, precision
    _guarded(no_cache, results, workflows.evaluate, *arguments, potential=potential)


@app.command("report")
def report_command(inputs: Inputs, results: Filled) -> None:
    """Make report.html of a finished or interrupted run, or of an evaluation, again."""
    _guarded(False, results, report_again, inputs, results)


app.command("new")(new_command)


def _guarded(
    no_cache: bool, results: Path, workflow: Callable, *arguments: object, **options: object
) -> None:
    """Run a workflow; no error ends in a traceback on the screen.

    Those that a user can act on have a message of their own.
    """
    try:
        if no_cache:
            jax.config.update("jax_enable_compilation_cache", False)
        else:
            keep_compiled_programs()
        join()
        find_devices()
        with signals_raised():  # JAX has put its own in place by now
            workflow(*arguments, painter=Beside(), **options)
    except UserError as error:
        _say(str(error))
        raise typer.Exit(error.exit_code) from error
    except KeyboardInterrupt as error:
        _say("interrupted; files written so far are complete")
        raise typer.Exit(exit_code(error)) from None
    except Exception as error:
        text, code = told(error, results)
        _say(text)
        raise typer.Exit(code) from error


def _say(text: str) -> None:
    """Say why a command ends, where anybody listens."""
    with suppress(OSError):
        print(f"deeppseudopot{_which_process()}: {text}", file=sys.stderr)


def _which_process() -> str:
    """Of all but the first process of a run: each says what it has met, as hosts may differ."""
    other = jax.distributed.is_initialized() and not is_first()
    return f" (process {jax.process_index()})" if other else ""
