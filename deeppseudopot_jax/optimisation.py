"""The gradient-training stage: epochs with their files, and what is kept of them."""

from collections.abc import Callable

import numpy as np
from optax import OptState

from deeppseudopot_jax.outputs import PDF_AND_PNG
from deeppseudopot_jax.potentials.networks import NetworkModel
from deeppseudopot_jax.session import NumericalError, Session
from deeppseudopot_jax.training.adam_state import (
    adam_moments,
    from_torch_adam,
    replace_adam_moments,
)
from deeppseudopot_jax.training.loop import Epoch, train


def optimise(session: Session, params: dict) -> dict:
    """Gradient training; returns the parameters of the lowest cost."""
    bundle, report, outputs = session.bundle, session.report, session.outputs
    settings = bundle.settings
    training: list[tuple[int, float]] = []
    validation: list[tuple[int, float]] = []
    best: Epoch | None = None
    with report.progress("training", settings.max_epochs) as counter:
        for epoch in train(session.problem, params, settings, _restore_adam(session)):
            training.append((epoch.number, epoch.cost))
            if epoch.failed:
                outputs.costs("final_training_cost", training)
                raise NumericalError(
                    f"epoch {epoch.number}: {epoch.stopped}; the last files written hold the last "
                    "good potential. Try a lower optimizer_lr"
                )
            if best is None or epoch.cost < best.cost:
                best = epoch
            if settings.log_gradients:
                norms = ", ".join(f"{k} {v:.3e}" for k, v in epoch.gradient_norms.items())
                report.log(f"epoch {epoch.number}: gradient norms {norms}")
            if settings.plot_every and epoch.number and epoch.number % settings.plot_every == 0:
                validation.append((epoch.number, _epoch_files(session, epoch)))
                outputs.costs("final_training_cost", training)
                outputs.costs("final_validation_cost", validation)
            counter.update(epoch.number, f"cost {epoch.cost:.6g}")
    assert best is not None  # there is always an epoch 0
    if not validation or validation[-1][0] != epoch.number:
        validation.append((epoch.number, _cost(session, epoch.params)))
    outputs.costs("final_training_cost", training)
    outputs.costs("final_validation_cost", validation)
    curves = {"training": training, "validation": validation}
    outputs.cost_figure("final_train_cost", curves)
    report.line(
        f"Training ended at epoch {epoch.number} ({epoch.stopped}): cost {training[0][1]:.4f} -> "
        f"{epoch.cost:.4f}, lowest {best.cost:.4f} at epoch {best.number}, which is exported"
    )
    return best.params


def _epoch_files(session: Session, epoch: Epoch) -> float:
    """epoch_<N>_*; returns the cost of the energies that were written."""
    prefix, outputs = f"epoch_{epoch.number}", session.outputs
    bands = session.bands(epoch.params)
    outputs.parameters(prefix, epoch.params, epoch.optimizer_state)
    outputs.band_tables(prefix, bands)
    outputs.band_figure(prefix, {f"epoch {epoch.number}": bands}, PDF_AND_PNG)
    outputs.potential_tables(prefix, epoch.params, real_space=False)
    outputs.potential_figure(prefix, {f"epoch {epoch.number}": epoch.params}, PDF_AND_PNG)
    return _cost(session, epoch.params, bands)


def _cost(session: Session, params: dict, bands: list[np.ndarray] | None = None) -> float:
    """Cost of freshly evaluated energies: the validation of what training says of itself."""
    cost = session.cost(params, session.bands(params) if bands is None else bands)
    assert cost is not None  # training was refused without reference energies
    return cost


def _restore_adam(session: Session) -> Callable[[OptState], OptState]:
    """Puts the moments of init_AdamState.pth into a fresh optimizer state, where there are any."""
    given, model = session.bundle.optimizer_state, session.problem.local

    def restore(state: OptState) -> OptState:
        moments = adam_moments(state)
        if given is None or moments is None or not isinstance(model, NetworkModel):
            return state
        found = from_torch_adam(model, moments.mu["local"], given)
        session.report.line("Adam starts from the moments of init_AdamState.pth")
        merged = moments._replace(
            count=found.count,
            mu={**moments.mu, "local": found.mu},
            nu={**moments.nu, "local": found.nu},
        )
        return replace_adam_moments(state, merged)

    return restore
