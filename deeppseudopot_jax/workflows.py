"""The two workflows: a whole run, and the evaluation of an initialised potential."""

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import jax
from jax.sharding import PartitionSpec

from deeppseudopot_jax import stages
from deeppseudopot_jax.bundle.reader import read_bundle
from deeppseudopot_jax.capabilities import check_initialised, check_supported
from deeppseudopot_jax.cluster import is_first, wait_for_all
from deeppseudopot_jax.cost_terms import CostOfBands, training_costs
from deeppseudopot_jax.idle import why_no_other_fits
from deeppseudopot_jax.initialize import initial_moments, initial_params
from deeppseudopot_jax.losses import loss_of_energies
from deeppseudopot_jax.montecarlo.chain import chains
from deeppseudopot_jax.optimisation import optimise
from deeppseudopot_jax.outputs import Outputs
from deeppseudopot_jax.parallel import placed
from deeppseudopot_jax.problem import Precision, Problem, build_problem, distribute
from deeppseudopot_jax.reporting import Report
from deeppseudopot_jax.results.atomic import ResultsError, ResultsFolder
from deeppseudopot_jax.sampling.stage import sample
from deeppseudopot_jax.session import Session
from deeppseudopot_jax.types import Bundle

_SHOWN = 5
"""Names of old files that are told."""


def run(
    inputs: Path | str,
    results: Path | str,
    overwrite: bool = False,
    precision: Precision = "float64",
    resume: bool = False,
) -> None:
    """The whole sequence: read, initialise, evaluate, optimise or sample, export.

    Args:
        inputs: folder with the bundle.
        results: folder to write to; created after reading has succeeded.
        overwrite: whether `results` may hold files, which are then replaced.
        precision: of the whole calculation.
        resume: go on from the Monte Carlo checkpoints in `results`, with the same outcome bit by
            bit as if the run had not ended; its files are continued or written again.

    Raises:
        BundleError: listing everything wrong with the inputs.
        UnsupportedError: if the bundle depends on what is not implemented.
        ResultsError: if the results folder cannot be used, or its checkpoint is of another run.
        NumericalError: if energies or costs are not finite; files written before stay.
        ValueError: if the weights or the basis do not fit what is asked for.
    """
    folder = ResultsFolder(results, inputs, overwrite or resume)
    bundle = read_bundle(inputs)
    check_supported(bundle)
    if resume:
        _check_resumable(bundle, folder)
    with _session(bundle, folder, precision, "run.log", goes_on=resume) as session:
        stages.describe(session)
        start = stages.initialise(session)
        initial_bands = stages.baseline(session, start)
        if bundle.settings.max_epochs > 0:
            best = optimise(session, start.params)
            session.outputs.parameters("final", best.params, best.optimizer_state)
            stages.export(session, "final", best.params, (start.params, initial_bands))
        elif session.chains:
            params = sample(session, start.params, folder.path if resume else None)
            session.outputs.parameters("final", params)
            stages.export(session, "final", params, (start.params, initial_bands))
        else:
            session.outputs.parameters("final", start.params)
            stages.export(session, "final", start.params)


def evaluate(
    inputs: Path | str,
    results: Path | str,
    overwrite: bool = False,
    precision: Precision = "float64",
) -> None:
    """Bands of an initialised potential at any number of k-points, in bounded memory.

    The potential is init_PPmodel.pth, or the coefficients where PPmodel is ZeroFunction. Nothing
    is fitted, whatever the bundle says. Arguments and errors are those of `run`.

    Raises:
        UnsupportedError: also if PPmodel is a network and the bundle has no init_PPmodel.pth.
    """
    folder = ResultsFolder(results, inputs, overwrite)
    bundle = read_bundle(inputs, purpose="eval")
    check_supported(bundle)
    check_initialised(bundle)
    with _session(bundle, folder, precision, "eval.log") as session:
        stages.describe(session)
        stages.export(session, "eval", stages.load(session))
        stages.old_functional_form(session)


def _check_resumable(bundle: Bundle, folder: ResultsFolder) -> None:
    if not bundle.settings.monte_carlo:
        raise ResultsError("--resume is for Monte Carlo runs (mc_bool = 1)")
    if not list(folder.path.glob("*mc_checkpoint.npz")):
        raise ResultsError(
            f"{folder.path} has no mc_checkpoint.npz to resume from: start the run without --resume"
        )


@contextmanager
def _session(
    bundle: Bundle,
    folder: ResultsFolder,
    precision: Precision,
    log_name: str,
    goes_on: bool = False,
) -> Iterator[Session]:
    """Everything the stages need; whatever ends them is written to the log."""
    built = build_problem(bundle, precision=precision)
    problem = distribute(built)
    # What does not fit must not leave a results folder.
    initial_moments(bundle, problem, initial_params(bundle, problem))
    runs = chains(bundle, built, problem) if bundle.settings.monte_carlo else ()
    cost = placed(problem.mesh, PartitionSpec(), _cost(bundle, built))
    wait_for_all("inputs and results folder are checked")
    report = Report(folder.file(log_name) if is_first() else None, goes_on)
    outputs = Outputs(bundle, problem, folder if is_first() else None)
    try:
        yield Session(bundle, problem, outputs, report, cost, runs)
        report.line(f"Figures and tables are in {folder.path}")
        wait_for_all("files are written")
    except BaseException:  # Ctrl-C too
        report.log(f"ended by an error\n{traceback.format_exc()}")
        raise
    finally:
        _report_left_over(folder, report)
        report.close()


def _cost(bundle: Bundle, problem: Problem) -> CostOfBands:
    """What the log calls the cost of a potential."""
    if why_no_other_fits(bundle):
        return jax.tree_util.Partial(loss_of_energies)
    return training_costs(bundle, problem).exact


def _report_left_over(folder: ResultsFolder, report: Report) -> None:
    """With --overwrite, what of an earlier run could be mistaken for results of this one."""
    names = folder.left_over()
    if names:
        shown = ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
        report.line(f"{len(names)} files in {folder.path} are older than this run: {shown}")
