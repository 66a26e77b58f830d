"""The gradient-training stage: epochs with their files, and what is kept of them."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from optax import OptState

from deeppseudopot_jax.initialize import initial_moments
from deeppseudopot_jax.outputs import PDF_AND_PNG, Outputs
from deeppseudopot_jax.session import NumericalError, Session
from deeppseudopot_jax.settings import Settings
from deeppseudopot_jax.training.adam_state import adam_moments, replace_adam_moments
from deeppseudopot_jax.training.loop import Epoch, train
from deeppseudopot_jax.training.trainable import trained_channels


@dataclass
class _History:
    """What the epochs so far have come to."""

    training: list[tuple[int, float]] = field(default_factory=list)
    validation: list[tuple[int, float]] = field(default_factory=list)
    best: Epoch | None = None

    def add(self, epoch: Epoch) -> None:
        """Take note of an epoch."""
        self.training.append((epoch.number, epoch.cost))
        if not epoch.failed and (self.best is None or epoch.cost < self.best.cost):
            self.best = epoch

    def save(self, outputs: Outputs) -> None:
        """The costs so far, and best_*: the potential of the lowest one."""
        if self.training:
            outputs.costs("final_training_cost", self.training)
        if self.validation:
            outputs.costs("final_validation_cost", self.validation)
        if self.best is not None:
            outputs.parameters("best", self.best.params, self.best.optimizer_state)

    def __str__(self) -> str:
        if not self.training:
            return "before the first epoch"
        number, cost = self.training[-1]
        text = f"at epoch {number}: cost {self.training[0][1]:.6g} -> {cost:.6g}"
        if self.best is None:
            return f"{text}, and there is no good potential"
        return f"{text}, lowest {self.best.cost:.6g} at epoch {self.best.number}"


def optimise(session: Session, params: dict) -> Epoch:
    """Gradient training; returns the epoch of the lowest cost.

    Whatever ends it, the best potential and the costs are in the results folder.

    Raises:
        NumericalError: if a cost, gradient or energy is not finite.
    """
    history, report, outputs = _History(), session.report, session.outputs
    try:
        last = _run_epochs(session, params, history)
    except BaseException as error:  # Ctrl-C too: hours of training must not be lost
        history.save(outputs)
        kept = ", which best_* hold" if history.best is not None else ""
        report.line(f"Training was ended by {type(error).__name__} {history}{kept}")
        raise
    history.save(outputs)
    curves = {"training": history.training, "validation": history.validation}
    outputs.cost_figure("final_train_cost", curves)
    report.line(f"Training ended ({last.stopped}) {history}, which is exported")
    assert history.best is not None  # an epoch that is not the best one has not failed
    return history.best


def _run_epochs(session: Session, params: dict, history: _History) -> Epoch:
    """All epochs with their files and log lines; returns the last one."""
    settings, report = session.bundle.settings, session.report
    with report.progress("training", settings.max_epochs) as counter:
        start = time.perf_counter()
        restore = _restore_adam(session, params)
        for epoch in train(session.problem, params, settings, restore, session.cost_of_bands):
            seconds = time.perf_counter() - start
            history.add(epoch)
            report.log(_log_line(epoch, seconds, settings))
            if epoch.failed:
                raise NumericalError(
                    f"epoch {epoch.number}: {epoch.stopped}; try a lower optimizer_lr"
                )
            if settings.plot_every and epoch.number and epoch.number % settings.plot_every == 0:
                history.validation.append((epoch.number, _epoch_files(session, epoch)))
                history.save(session.outputs)
            counter.update(epoch.number, f"cost {epoch.cost:.6g}")
            start = time.perf_counter()
    if not history.validation or history.validation[-1][0] != epoch.number:
        history.validation.append((epoch.number, _cost(session, epoch.params)))
    return epoch


def _log_line(epoch: Epoch, seconds: float, settings: Settings) -> str:
    norms = epoch.gradient_norms
    text = f"epoch {epoch.number}: cost {epoch.cost:.8g}"
    text += f", gradient norm {math.hypot(*norms.values()):.3e}"
    if settings.log_gradients:
        text += f" ({', '.join(f'{name} {norm:.3e}' for name, norm in norms.items())})"
    if epoch.dense_fallbacks:
        text += f", {epoch.dense_fallbacks} k-points solved densely"
    if epoch.missed_levels:
        text += ", solved from scratch after a spot check missed a level"
    return f"{text}, {seconds:.3f} s" if settings.log_runtime else text


def _epoch_files(session: Session, epoch: Epoch) -> float:
    """epoch_<N>_*; returns the cost of the energies that were written."""
    prefix, outputs = f"epoch_{epoch.number}", session.outputs
    name = f"epoch {epoch.number}"
    bands = session.bands(epoch.params)
    outputs.parameters(prefix, epoch.params, epoch.optimizer_state)
    outputs.band_tables(prefix, bands)
    outputs.band_figure(prefix, {name: bands}, PDF_AND_PNG)
    outputs.potential_tables(prefix, epoch.params, real_space=False)
    outputs.potential_figure(prefix, {name: outputs.form_factors(epoch.params)}, PDF_AND_PNG)
    return _cost(session, epoch.params, bands)


def _cost(session: Session, params: dict, bands: list[np.ndarray] | None = None) -> float:
    """Cost of freshly evaluated energies: the validation of what training says of itself."""
    cost = session.cost(params, session.bands(params) if bands is None else bands)
    assert cost is not None  # no bundle is read for training without reference energies
    return cost


def _restore_adam(session: Session, params: dict) -> Callable[[OptState], OptState]:
    """Puts the moments of init_AdamState.pth into a fresh optimizer state, where there are any."""
    found = initial_moments(session.bundle, session.problem, params)
    if found is None:
        return lambda state: state
    others = trained_channels(session.bundle.settings)[1:]
    fresh = f"; those of {', '.join(others)} start from zero" if others else ""
    session.report.line(f"Adam starts from the moments of init_AdamState.pth{fresh}")

    def restore(state: OptState) -> OptState:
        moments = adam_moments(state)
        assert moments is not None  # `initial_moments` finds some for Adam only
        merged = moments._replace(
            count=found.count,
            mu={**moments.mu, "local": found.mu},
            nu={**moments.nu, "local": found.nu},
        )
        return replace_adam_moments(state, merged)

    return restore
