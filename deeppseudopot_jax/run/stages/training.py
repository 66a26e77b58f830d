"""The gradient-training stage: epochs with their files, and what is kept of them."""

import math
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace

from optax import OptState

from deeppseudopot_jax.errors import NumericalError, ResultsError
from deeppseudopot_jax.files.interrupts import uninterrupted
from deeppseudopot_jax.initialise import initial_moments
from deeppseudopot_jax.parameters import Parameters
from deeppseudopot_jax.run.outputs import PDF_AND_PNG, CostRow, Outputs
from deeppseudopot_jax.run.session import Session, Solved, spelled
from deeppseudopot_jax.run.signals import name_of
from deeppseudopot_jax.run.stages.describe import describe_fit
from deeppseudopot_jax.settings import Settings
from deeppseudopot_jax.training.adam_state import replace_adam_moments
from deeppseudopot_jax.training.loop import Epoch, train

_SECONDS_BETWEEN_SAVES = 60.0
"""At most, whatever plotEvery is, so that a kill costs no more than these and an epoch."""


@dataclass
class _History:
    """What the epochs so far have come to; `best` has the lowest cost, as `Epoch.judged` has it.

    `in_files` is the one that best_* hold.
    """

    terms: tuple[str, ...]
    training: list[CostRow] = field(default_factory=list)
    validation: list[CostRow] = field(default_factory=list)
    best: Epoch | None = None
    in_files: Epoch | None = None
    last_solved: tuple[int, Solved] | None = None

    def add(self, epoch: Epoch) -> None:
        """Take note of an epoch."""
        values = tuple(epoch.terms.values())
        self.training.append(CostRow(epoch.number, epoch.cost, values, epoch.held_out))
        if not epoch.failed and (self.best is None or epoch.judged < self.best.judged):
            self.best = replace(epoch, state=None)  # without its wave functions

    @property
    def held_out(self) -> list[CostRow]:
        """The held-out costs, epoch by epoch; empty where nothing is held out."""
        found = [(row.epoch, row.held_out) for row in self.training]
        return [CostRow(number, cost) for number, cost in found if cost is not None]

    def validate(self, number: int, session: Session, solved: Solved) -> None:
        """Take note of freshly evaluated energies."""
        values = tuple(session.terms(solved).values())
        row = CostRow(number, sum(values), values, session.held_out(solved))
        self.validation.append(row)
        self.last_solved = number, solved

    def save(self, outputs: Outputs) -> None:
        """best_*, the best potential so far, and the costs."""
        if self.best is not None and self.best is not self.in_files:
            outputs.parameters("best", self.best.params, self.best.optimizer_state)
            self.in_files = self.best
        if self.training:
            outputs.costs("final_training_cost", self.training, self.terms)
        if self.validation:
            outputs.costs("final_validation_cost", self.validation, self.terms)

    def __str__(self) -> str:
        if not self.training:
            return "before the first epoch"
        first, last, best = self.training[0], self.training[-1], self.best
        text = f"at epoch {last.epoch}: cost {first.cost:.6g} -> {last.cost:.6g} eV^2"
        if last.held_out is not None:
            text += f", held out {first.held_out:.6g} -> {last.held_out:.6g} eV^2"
        if best is None:
            return f"{text}, and there is no good potential"
        which = "held-out cost " if best.judged != best.cost else ""
        return f"{text}, lowest {which}{best.judged:.6g} at epoch {best.number}"


@dataclass(frozen=True, eq=False)
class Fit:
    """The outcome of a training: its best potential, and the optimiser there if it is known."""

    solved: Solved
    optimizer_state: OptState | None = None


def optimise(session: Session, initial: Solved) -> Fit:
    """Gradient training; returns the potential of the best epoch.

    Whatever ends it, the best potential and the costs are in the results folder.

    Raises:
        NumericalError: if a cost, gradient or energy is not finite.
    """
    describe_fit(session, initial.params)
    history, report, outputs = _History(session.cost.names), session.report, session.outputs
    try:
        last = _run_epochs(session, initial, history)
    except BaseException as error:  # Ctrl-C too: hours of training must not be lost
        with uninterrupted(), suppress(ResultsError):  # there is an error to tell already
            kept = _saved(history, outputs)
            report.line(f"Training was ended by {name_of(error)} {history}{kept}")
        raise
    history.save(outputs)
    curves = {
        "training": history.training,
        "validation": history.validation,
        "held out": history.held_out,
    }
    outputs.cost_figure("final_train_cost", curves)
    report.line(f"Training ended ({last.stopped}) {history}, which is exported")
    best = history.best
    assert best is not None  # an epoch that is not the best one has not failed
    known = history.last_solved
    solved = known[1] if known and known[0] == best.number else session.solved(best.params)
    return Fit(solved, best.optimizer_state)


def _saved(history: _History, outputs: Outputs) -> str:
    """Save what there is, and say so."""
    failed = ""
    try:
        history.save(outputs)
    except ResultsError as error:
        failed = f"; not all of it could be saved: {error}"
    known, best = history.in_files, history.best
    if known is None:
        return failed
    return (
        ", which best_* hold" if known is best else f"; best_* hold epoch {known.number}"
    ) + failed


def _run_epochs(session: Session, initial: Solved, history: _History) -> Epoch:
    """All epochs with their files and log lines; returns the last one."""
    settings, report = session.bundle.settings, session.report
    with report.progress("training", settings.max_epochs) as counter:
        start = last_save = time.perf_counter()
        params, carried = initial.params, initial.carried
        restore = _restore_adam(session, params)
        epochs = train(session.problem, params, settings, restore, session.cost, carried)
        for epoch in epochs:
            now = time.perf_counter()
            seconds = now - start
            with uninterrupted():
                history.add(epoch)
            for remark in epoch.remarks:
                report.log(remark)
            report.log(_log_line(epoch, seconds, settings))
            if epoch.failed:
                raise NumericalError(f"epoch {epoch.number}: {epoch.stopped}")
            if settings.plot_every and epoch.number and epoch.number % settings.plot_every == 0:
                _epoch_files(session, epoch, history)
                last_save = -math.inf
            if now - last_save > _SECONDS_BETWEEN_SAVES:
                with uninterrupted():
                    history.save(session.outputs)
                last_save = now
            counter.update(epoch.number, f"cost {epoch.cost:.6g} eV^2")
            start = time.perf_counter()
    if not history.validation or history.validation[-1].epoch != epoch.number:
        history.validate(epoch.number, session, session.solved(epoch.params))
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


def _epoch_files(session: Session, epoch: Epoch, history: _History) -> None:
    """epoch_<N>_*, and the cost of the energies that are written."""
    prefix, outputs = f"epoch_{epoch.number}", session.outputs
    name = f"epoch {epoch.number}"
    solved = session.solved(epoch.params)
    outputs.parameters(prefix, epoch.params, epoch.optimizer_state)
    outputs.band_tables(prefix, solved.bands)
    outputs.band_figure(prefix, {name: solved.bands}, PDF_AND_PNG)
    outputs.potential_tables(prefix, epoch.params, real_space=False)
    outputs.potential_figure(prefix, {name: outputs.v_q(epoch.params)}, PDF_AND_PNG)
    history.validate(epoch.number, session, solved)


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
