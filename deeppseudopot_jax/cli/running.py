"""`run`, `eval` and `report`: from a bundle to results."""

from pathlib import Path
from typing import Annotated

import typer

from deeppseudopot_jax.files.results.painter import Beside
from deeppseudopot_jax.problem import Precision
from deeppseudopot_jax.run import workflows
from deeppseudopot_jax.run.console import (
    Inputs,
    NoCache,
    Potential,
    Results,
    computing,
    errors_told,
)
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

RUN_KEYS = "\n\n".join(
    [
        "Example: deeppseudopot run configs/silicon results",
        "Keys of NN_config.par:",
        *(f"- {group}: {keys}" for group, keys in KEYS.items()),
    ]
)
EVAL_NEEDS = (
    "Example: deeppseudopot eval configs/silicon_evaluation bands\n\n"
    "The potential is that of --potential, the results folder of a run, which must have been a run "
    "of the same PPmodel and species; without it that of INPUTS: init_PPmodel.pth for a network, "
    "and init_<atom>Params.par for PPmodel = ZeroFunction and for a4 to a8."
    "\n\nINPUTS is a folder prepared for run, as it is; kpoints_X.par may have other k-points."
)

REPORT_EXAMPLE = "Example: deeppseudopot report configs/silicon results"

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
SaveStates = Annotated[
    bool,
    typer.Option(
        "--save-states",
        help="Write the wave functions (eval_states_sys<X>.npz), with spin-orbit spins too.",
    ),
]
PrecisionOption = Annotated[Precision, typer.Option(help="Floating-point precision.")]


def run_command(
    inputs: Inputs,
    results: Results,
    overwrite: Overwrite = False,
    precision: PrecisionOption = "float64",
    resume: Resume = False,
    no_cache: NoCache = False,
) -> None:
    """Initialise, evaluate, train or sample, and export a potential."""
    with errors_told(results), computing(no_cache):
        workflows.run(inputs, results, overwrite, precision, resume, Beside())


def eval_command(
    inputs: Inputs,
    results: Results,
    potential: Potential = None,
    save_states: SaveStates = False,
    overwrite: Overwrite = False,
    precision: PrecisionOption = "float64",
    no_cache: NoCache = False,
) -> None:
    """Full bands of an initialised potential, in little memory."""
    with errors_told(results), computing(no_cache):
        workflows.evaluate(inputs, results, overwrite, precision, Beside(), potential, save_states)


def report_command(inputs: Inputs, results: Filled) -> None:
    """Make report.html of a finished or interrupted run, or of an evaluation, again."""
    with errors_told(results), computing():
        print(*report_again(inputs, results, Beside()), sep="\n")
