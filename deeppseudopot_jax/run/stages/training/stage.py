"""The gradient-training stage: epochs with their files, and what is kept of them."""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from optax import OptState

from deeppseudopot_jax.errors import NumericalError, ResultsError
from deeppseudopot_jax.files.interrupts import uninterrupted
from deeppseudopot_jax.initialise import initial_moments
from deeppseudopot_jax.parameters import Parameters
from deeppseudopot_jax.run.session import Session, Solved, spelled
from deeppseudopot_jax.run.signals import name_of
from deeppseudopot_jax.run.stages.describe import describe_fit
from deeppseudopot_jax.run.stages.gradients import norms_line
from deeppseudopot_jax.run.stages.training.epoch_files import (
    epoch_files,
    missing_figures,
    pre_epoch_files,
)
from deeppseudopot_jax.run.stages.training.progress import Progress
from deeppseudopot_jax.settings import Settings
from deeppseudopot_jax.training.adam_state import replace_adam_moments
from deeppseudopot_jax.training.loop import OUT_OF_EPOCHS, Epoch, train


@dataclass(frozen=True, eq=False)
class Fit:
    """The outcome of a training: its best potential, and the optimiser there if it is known."""

    solved: Solved
    optimizer_state: OptState | None = None


def optimise(session: Session, initial: Solved, resume_from: Path | None = None) -> Fit:
    """Gradient training; returns the potential of the best epoch.

    Whatever ends it, the best potential, the costs and a checkpoint are in the results folder.

    Args:
        session: of the run.
        initial: the start.
        resume_from: a folder whose checkpoint the training goes on from, where it has one.

    Raises:
        NumericalError: if a cost, gradient or energy is not finite.
        ResultsError: if the checkpoint belongs to another run.
    """
    describe_fit(session, initial.params)
    report = session.report
    progress = Progress(session, initial.params)
    epochs = _begun(session, initial, progress, resume_from)
    try:
        last = _run_epochs(session, epochs, progress)
    except BaseException as error:  # Ctrl-C too: hours of training must not be lost
        with uninterrupted(), suppress(ResultsError):  # there is an error to tell already
            kept = progress.save_what_there_is()
            report.line(f"Training was ended by {name_of(error)} {progress.history}{kept}")
        raise
    progress.tables.figure()
    report.line(f"Training ended ({last.stopped}) {progress.history}, which is exported")
    if last.stopped == OUT_OF_EPOCHS:  # a note, so that report.html has it among its remarks
        report.line(
            f"  note: max_num_epochs = {session.bundle.settings.max_epochs} was reached before the "
            "training converged: raise it, and run --resume goes on."
        )
    best = progress.history.best
    return Fit(progress.best_solved(), None if best is None else best.optimizer_state)


def _begun(
    session: Session, initial: Solved, progress: Progress, resume_from: Path | None
) -> Iterator[Epoch]:
    """The epochs from the first one, or from the one that a checkpoint knows."""
    problem, params, cost = session.problem, initial.params, session.cost
    settings = session.bundle.settings
    state = None if resume_from is None else progress.resume(resume_from)
    if state is not None:
        missing_figures(session.outputs)
        return train(problem, params, settings, cost=cost, start=state)
    progress.begin()
    restore = _restore_adam(session, params)
    return train(problem, params, settings, restore, cost, initial.carried)


def _run_epochs(session: Session, epochs: Iterator[Epoch], progress: Progress) -> Epoch:
    """All epochs with their files and log lines; returns the last one."""
    settings, report = session.bundle.settings, session.report
    with report.progress("training", settings.max_epochs) as counter:
        start = time.perf_counter()
        for epoch in epochs:
            seconds = time.perf_counter() - start
            if not progress.is_told(epoch):
                for remark in epoch.remarks:
                    report.line(remark)
            with uninterrupted():
                progress.add(epoch)
            report.log(_log_line(epoch, seconds, settings))
            if settings.log_gradients and epoch.gradient is not None:
                report.log(norms_line(session.problem, epoch.gradient))
            if epoch.failed:
                raise NumericalError(f"epoch {epoch.number}: {epoch.stopped}")
            for number, params in enumerate(epoch.moves, 1):
                pre_epoch_files(session, number, params, epoch)
            shown = settings.plot_every and epoch.number and epoch.number % settings.plot_every == 0
            if shown:
                epoch_files(session, epoch, progress.validated(epoch))
            progress.save_now_and_then(wanted=bool(shown))
            counter.update(epoch.number, f"cost {epoch.cost:.6g} eV^2")
            start = time.perf_counter()
    progress.validated(epoch)
    with uninterrupted():
        progress.save()
    return epoch


def _log_line(epoch: Epoch, seconds: float, settings: Settings) -> str:
    norms = epoch.gradient_norms
    text = f"epoch {epoch.number}: cost {epoch.cost:.8g} eV^2{spelled(epoch.terms)}"
    if epoch.held_out is not None:
        text += f", held out {epoch.held_out:.8g} eV^2"
    text += f", gradient norm {math.hypot(*norms.values()):.3e}"
    if settings.log_gradients:
        text += f" ({', '.join(f'{name} {norm:.3e}' for name, norm in norms.items())})"
    if epoch.dense_fallbacks:
        text += f", {epoch.dense_fallbacks} k-points solved densely"
    if epoch.missed_levels:
        text += ", solved from scratch after a spot check missed a level"
    return f"{text}, {seconds:.3f} s" if settings.log_runtime else text


def _restore_adam(session: Session, params: Parameters) -> Callable[[OptState], OptState]:
    """Puts the moments of init_AdamState.pth into a fresh optimizer state, where there are any."""
    if not session.plan.restores_moments:
        return lambda state: state
    found = initial_moments(session.bundle, session.problem, params)
    others = [name for name in session.plan.trained_channels if name not in found]
    fresh = f"; those of {', '.join(others)} start from zero" if others else ""
    name = session.bundle.settings.optimizer
    session.report.line(f"{name} starts from the moments of init_AdamState.pth{fresh}")
    return lambda state: replace_adam_moments(state, found)
