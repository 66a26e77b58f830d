"""The two workflows: a whole run, and the evaluation of an initialised potential."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from deeppseudopot_jax.errors import ResultsError
from deeppseudopot_jax.files.atomic import ResultsFolder
from deeppseudopot_jax.files.bundle.reader import read_bundle
from deeppseudopot_jax.files.results.painter import Here, Painter
from deeppseudopot_jax.parameters import Parameters
from deeppseudopot_jax.problem import Precision
from deeppseudopot_jax.run.checks.capabilities import check_initialised
from deeppseudopot_jax.run.checks.idle import remarks
from deeppseudopot_jax.run.checks.potential import check_same_potential, evaluation_of
from deeppseudopot_jax.run.checks.resources import check_resources, check_room_for_states
from deeppseudopot_jax.run.cluster import is_first, wait_for_all
from deeppseudopot_jax.run.file_names import of_evaluation, of_run
from deeppseudopot_jax.run.handover import outcome_of
from deeppseudopot_jax.run.outputs import Outputs
from deeppseudopot_jax.run.preparation import Prepared, prepare, tables_of
from deeppseudopot_jax.run.reporting import Report
from deeppseudopot_jax.run.sequence import check_resumable, stages_of
from deeppseudopot_jax.run.session import Session
from deeppseudopot_jax.run.signals import name_of
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
from deeppseudopot_jax.run.stages.movies import movies
from deeppseudopot_jax.run.stages.report.making import at_the_end
from deeppseudopot_jax.run.stages.sampling.resuming import check_checkpoints
from deeppseudopot_jax.run.stages.sampling.stage import sample
from deeppseudopot_jax.run.stages.states import saved_states
from deeppseudopot_jax.run.stages.timings import timings
from deeppseudopot_jax.run.stages.training.ensemble import fit_ensemble
from deeppseudopot_jax.run.stages.training.resuming import check_training
from deeppseudopot_jax.run.stages.training.stage import Fit, optimise
from deeppseudopot_jax.run.timing import StageTime, measured
from deeppseudopot_jax.types import Bundle

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
    """The whole sequence: read, initialise, evaluate, optimise or sample, export; of every stage.

    Args:
        inputs: folder with the bundle.
        results: folder to write to; created after reading has succeeded.
        overwrite: whether `results` may hold files. Those of an earlier run are removed when this
            one begins, so that nothing old stands beside its log.
        precision: of the whole calculation.
        resume: take over the stages that are complete in `results`, and go on from its checkpoints,
            with the same outcome bit by bit as if the run had not ended; its files are continued or
            written again.
        painter: who draws the figures; by default this process, at once.

    Raises:
        BundleError: listing everything wrong with the inputs.
        ResultsError: if the results folder cannot be used, or what is resumed is of another run.
        NumericalError: if energies or costs are not finite; files written before stay.
        InputError: if the weights or the basis do not fit what is asked for.
    """
    folder = ResultsFolder(results, inputs, overwrite or resume)
    bundle = read_bundle(inputs)
    _check_source(bundle, folder)
    stages = stages_of(bundle, folder)
    if resume:
        check_resumable(stages)
    needs = check_resources([stage.plan for stage in stages], precision)
    times: list[StageTime] = []
    with measured("tables", times):
        tables = tables_of(bundle, precision)
    for later in stages[1:]:  # What does not fit must not be found after hours of the first one.
        prepare(later.plan, tables)
    notes = (*bundle.notes, *needs, *remarks(*(stage.plan for stage in stages)))
    titles: list[str] = []
    outcome = None
    painter = painter or Here()
    for number, unconnected in enumerate(stages):
        stage = unconnected.after(outcome)
        prepared = prepare(stage.plan, tables)
        titles.append(stage.title)
        if resume and (found := stage.completed(prepared.problem)):
            outcome = found
            titles[-1] += f", taken over from {stage.folder.path}"
            continue
        if resume:
            outputs = Outputs(stage.plan.bundle, prepared.problem, stage.folder, painter)
            check_checkpoints(prepared, outputs, stage.folder.path)
            check_training(prepared, outputs, stage.folder.path)
        # What an earlier run has left of later stages does not follow from this outcome.
        earlier = {later.folder: of_run for later in stages[number + 1 :]}
        earlier[stage.folder] = stage.goes_on_without if resume else of_run
        with _session(prepared, stage.folder, painter, "run", earlier, resume, times) as session:
            if resume and stage.goes_on_training:
                session.report.rehearse()
            describe(session, notes, "\n".join(titles))
            params = _carried_out(session, stage.folder.path if resume else None)
        outcome = outcome_of(stage.plan.bundle, prepared.problem, params)
        if is_first():
            stage.complete(outcome, precision)
        notes, titles, resume, times = (), [], False, []


def evaluate(
    inputs: Path | str,
    results: Path | str,
    overwrite: bool = False,
    precision: Precision = "float64",
    painter: Painter | None = None,
    potential: Path | str | None = None,
    save_states: bool = False,
) -> None:
    """Bands of an initialised potential at any number of k-points, in bounded memory.

    The potential is init_PPmodel.pth, or the coefficients where PPmodel is ZeroFunction; or what a
    run has left in the results folder `potential`. Nothing is fitted, whatever the bundle says.
    With `save_states` the wave functions of all k-points are written too.
    Other arguments and errors are those of `run`.

    Raises:
        UnsupportedError: if PPmodel is a network and the bundle has no init_PPmodel.pth.
        InputError: also if the settings make another potential of the files in `potential`.
    """
    folder = ResultsFolder(results, inputs, overwrite)
    plan, taken = evaluation_of(inputs, potential)
    check_initialised(plan)
    needs = check_resources([plan], precision)
    if save_states:
        needs += check_room_for_states(plan.bundle, folder.path)
    times: list[StageTime] = []
    with measured("tables", times):
        prepared = prepare(plan, tables_of(plan.bundle, precision))
    if taken is not None:
        check_same_potential(plan.bundle, prepared.problem, taken)
    earlier = {folder: of_evaluation}
    with _session(prepared, folder, painter or Here(), "eval", earlier, times=times) as session:
        describe(session, (*plan.bundle.notes, *needs, *remarks(plan)))
        stage = session.report.stage
        params = load(session)
        with stage("bands"), session.report.first_time("bands"):
            solved = saved_states(session, params) if save_states else session.solved(params)
        with stage("export"):
            export(session, "eval", solved)
            old_functional_form(session, solved)


@contextmanager
def _session(
    prepared: Prepared,
    folder: ResultsFolder,
    painter: Painter,
    purpose: str,
    earlier: Mapping[ResultsFolder, Callable[[str], bool]],
    goes_on: bool = False,
    times: Iterable[StageTime] = (),
) -> Iterator[Session]:
    """Everything the stages need; whatever ends them is written to the log.

    Args:
        prepared: what is calculated.
        folder: where files go.
        painter: who draws the figures.
        purpose: `run` or `eval`, which the log is named after.
        earlier: names of files to remove, those of an earlier run, by their folder.
        goes_on: whether the log goes on.
        times: of what came before.
    """
    plan, problem, cost, runs = prepared
    wait_for_all("inputs and results folder are checked")
    removed = sum(where.clear(own) for where, own in earlier.items()) if is_first() else 0
    report = Report(folder.file(f"{purpose}.log") if is_first() else None, goes_on)
    report.stages.extend(times)
    outputs = Outputs(plan.bundle, problem, folder if is_first() else None, painter)
    try:
        session = Session(plan, problem, outputs, report, cost, runs)
        yield session
        with report.stage("figures"):
            painter.wait()
        timings(session, purpose)
        at_the_end(session)
        painter.close()
        if not goes_on:
            _report_earlier(folder, removed, report)
        report.line(f"Figures and tables are in {folder.path}")
        wait_for_all("files are written")
    except BaseException as error:  # Ctrl-C too
        with suppress(Exception):  # there is an error to tell already
            report.failure(error, name_of(error))
            _report_earlier(folder, removed, report)
        with suppress(Exception):
            painter.drop() if isinstance(error, KeyboardInterrupt) else painter.close()
        raise
    finally:
        report.close()


def _carried_out(session: Session, resume_from: Path | None) -> Parameters:
    """Initialise, evaluate, optimise or sample, export; returns the final potential."""
    mode, outputs = session.plan.mode, session.outputs
    stage, spread = session.report.stage, None
    with stage("initialisation"):
        start = initialise(session)
        compile_ahead(session, start.params)
    with stage("initial bands"):
        initial = baseline(session, start)
        finish_ahead(session)
    if mode == "gradient":
        with stage("training"):
            if session.plan.members > 1:
                fit = Fit(fit_ensemble(session, start, initial, resume_from))
            else:
                fit = optimise(session, initial, resume_from)
        outputs.parameters("final", fit.solved.params, fit.optimizer_state)
        if session.plan.settings.least_squares:
            with stage("error bars"):
                spread = error_bars(session, fit.solved)
        found = fit.solved
    elif mode == "monte_carlo":
        with stage("Monte Carlo"):
            found = sample(session, initial, resume_from)
        outputs.parameters("final", found.params)
    else:
        found = initial
        outputs.parameters("final", found.params)
    with stage("export"):
        export(session, "final", found, initial if session.plan.fits else None, spread)
    with stage("movies"):
        movies(session)
    return found.params


def _check_source(bundle: Bundle, folder: ResultsFolder) -> None:
    """A run must not remove what it starts from.

    Raises:
        ResultsError: if init_from names the results folder.
    """
    name = bundle.settings.init_from
    if name is None:
        return
    source = (bundle.folder / name).resolve()
    if folder.path.resolve() in (source, source.parent):
        raise ResultsError(
            f"init_from = {name} is the results folder {folder.path}: choose another one"
        )


def _report_earlier(folder: ResultsFolder, removed: int, report: Report) -> None:
    """What became of files of an earlier run, and which could be mistaken for those of this one."""
    if removed:
        report.line(f"{removed} files of an earlier run were removed")
    names = folder.left_over()
    if names:
        shown = ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
        what = "files and folders" if any(name.endswith("/") for name in names) else "files"
        report.line(f"{len(names)} {what} in {folder.path} are older than this run: {shown}")
