"""The two workflows: a whole run, and the evaluation of an initialised potential."""

import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from jax.sharding import PartitionSpec

from deeppseudopot_jax.costs.bands import cost_of_bands
from deeppseudopot_jax.costs.choice import training_cost
from deeppseudopot_jax.costs.interface import Cost
from deeppseudopot_jax.files.atomic import ResultsError, ResultsFolder
from deeppseudopot_jax.files.bundle.reader import read_bundle
from deeppseudopot_jax.files.results.painter import Here, Painter
from deeppseudopot_jax.initialise import initial_moments, initial_params
from deeppseudopot_jax.montecarlo.chain import chains
from deeppseudopot_jax.parallel import placed
from deeppseudopot_jax.problem import Precision, Problem, distribute, on_the_host
from deeppseudopot_jax.run.checks.capabilities import check_initialised, check_supported
from deeppseudopot_jax.run.checks.plan import RunPlan, plan_of
from deeppseudopot_jax.run.cluster import is_first, wait_for_all
from deeppseudopot_jax.run.outputs import Outputs
from deeppseudopot_jax.run.reporting import Report
from deeppseudopot_jax.run.session import Session
from deeppseudopot_jax.run.stages.ahead import compile_ahead, finish_ahead
from deeppseudopot_jax.run.stages.describe import describe
from deeppseudopot_jax.run.stages.error_bars import error_bars
from deeppseudopot_jax.run.stages.export import export
from deeppseudopot_jax.run.stages.initial import (
    baseline,
    initialise,
    load,
    old_functional_form,
)
from deeppseudopot_jax.run.stages.sampling.stage import sample
from deeppseudopot_jax.run.stages.training import optimise

_SHOWN = 5
"""Names of old files that are told."""


def run(
    inputs: Path | str,
    results: Path | str,
    overwrite: bool = False,
    precision: Precision = "float64",
    resume: bool = False,
    painter: Painter | None = None,
) -> None:
    """The whole sequence: read, initialise, evaluate, optimise or sample, export.

    Args:
        inputs: folder with the bundle.
        results: folder to write to; created after reading has succeeded.
        overwrite: whether `results` may hold files, which are then replaced.
        precision: of the whole calculation.
        resume: go on from the Monte Carlo checkpoints in `results`, with the same outcome bit by
            bit as if the run had not ended; its files are continued or written again.
        painter: who draws the figures; by default this process, at once.

    Raises:
        BundleError: listing everything wrong with the inputs.
        UnsupportedError: if the bundle depends on what is not implemented.
        ResultsError: if the results folder cannot be used, or its checkpoint is of another run.
        NumericalError: if energies or costs are not finite; files written before stay.
        ValueError: if the weights or the basis do not fit what is asked for.
    """
    folder = ResultsFolder(results, inputs, overwrite or resume)
    plan = plan_of(read_bundle(inputs))
    check_supported(plan)
    if resume:
        _check_resumable(plan, folder)
    with _session(plan, folder, precision, painter or Here(), "run.log", goes_on=resume) as session:
        describe(session)
        start = initialise(session)
        compile_ahead(session, start.params)
        initial = baseline(session, start)
        finish_ahead(session)
        if plan.mode == "gradient":
            fit = optimise(session, initial)
            session.outputs.parameters("final", fit.solved.params, fit.optimizer_state)
            known = plan.settings.least_squares
            spread = error_bars(session, fit.solved) if known else None
            export(session, "final", fit.solved, initial, spread)
        elif plan.mode == "monte_carlo":
            best = sample(session, initial, folder.path if resume else None)
            session.outputs.parameters("final", best.params)
            export(session, "final", best, initial)
        else:
            session.outputs.parameters("final", start.params)
            export(session, "final", initial)


def evaluate(
    inputs: Path | str,
    results: Path | str,
    overwrite: bool = False,
    precision: Precision = "float64",
    painter: Painter | None = None,
) -> None:
    """Bands of an initialised potential at any number of k-points, in bounded memory.

    The potential is init_PPmodel.pth, or the coefficients where PPmodel is ZeroFunction. Nothing
    is fitted, whatever the bundle says. Arguments and errors are those of `run`.

    Raises:
        UnsupportedError: also if PPmodel is a network and the bundle has no init_PPmodel.pth.
    """
    folder = ResultsFolder(results, inputs, overwrite)
    plan = plan_of(read_bundle(inputs, purpose="eval"), purpose="eval")
    check_supported(plan)
    check_initialised(plan)
    with _session(plan, folder, precision, painter or Here(), "eval.log") as session:
        describe(session)
        params = load(session)
        with session.report.first_time("bands"):
            solved = session.solved(params)
        export(session, "eval", solved)
        old_functional_form(session, solved)


def _check_resumable(plan: RunPlan, folder: ResultsFolder) -> None:
    if plan.mode != "monte_carlo":
        raise ResultsError("--resume is for Monte Carlo runs (mc_bool = 1)")
    if not list(folder.path.glob("*mc_checkpoint.npz")):
        raise ResultsError(
            f"{folder.path} has no mc_checkpoint.npz to resume from: start the run without --resume"
        )


@contextmanager
def _session(
    plan: RunPlan,
    folder: ResultsFolder,
    precision: Precision,
    painter: Painter,
    log_name: str,
    goes_on: bool = False,
) -> Iterator[Session]:
    """Everything the stages need; whatever ends them is written to the log."""
    bundle = plan.bundle
    built = on_the_host(bundle, precision=precision)
    problem = distribute(built)
    # What does not fit must not leave a results folder.
    params = initial_params(bundle, problem)
    if plan.restores_moments:
        initial_moments(bundle, problem, params)
    runs = chains(bundle, built, problem) if plan.mode == "monte_carlo" else ()
    cost = placed(problem.mesh, PartitionSpec(), _cost(plan, problem))
    wait_for_all("inputs and results folder are checked")
    report = Report(folder.file(log_name) if is_first() else None, goes_on)
    outputs = Outputs(bundle, problem, folder if is_first() else None, painter)
    try:
        yield Session(plan, problem, outputs, report, cost, runs)
        painter.close()
        report.line(f"Figures and tables are in {folder.path}")
        wait_for_all("files are written")
    except BaseException:  # Ctrl-C too
        report.log(f"ended by an error\n{traceback.format_exc()}")
        with suppress(Exception):  # there is an error to tell already
            painter.close()
        raise
    finally:
        _report_left_over(folder, report)
        report.close()


def _cost(plan: RunPlan, problem: Problem) -> Cost:
    """What the log calls the cost of a potential."""
    if plan.fits and not plan.samples_coefficients:
        return training_cost(plan.bundle, problem)
    return cost_of_bands(problem)


def _report_left_over(folder: ResultsFolder, report: Report) -> None:
    """With --overwrite, what of an earlier run could be mistaken for results of this one."""
    names = folder.left_over()
    if names:
        shown = ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
        report.line(f"{len(names)} files in {folder.path} are older than this run: {shown}")
