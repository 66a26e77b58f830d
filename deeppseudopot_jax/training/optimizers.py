"""Optimisers by their names in NN_config.par."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import numpy as np
import optax
from jaxtyping import Array, Float

from deeppseudopot_jax.errors import InputError
from deeppseudopot_jax.settings import Settings


def scale_by_adam(beta1: float = 0.9, beta2: float = 0.999) -> optax.GradientTransformation:
    """optax's Adam, free to promote: it raises the betas to the power of an integer count."""
    adam = optax.scale_by_adam(b1=beta1, b2=beta2)

    def update(
        updates: optax.Updates, state: optax.OptState, params: optax.Params | None = None
    ) -> tuple:
        with jax.numpy_dtype_promotion("standard"):
            return adam.update(updates, state, params)

    return optax.GradientTransformation(adam.init, update)


class AdamOfChannels(NamedTuple):
    """Adam's count and moments of every channel, by its name."""

    channels: dict[str, optax.ScaleByAdamState]


def scale_by_adam_of_channels(beta1: float, beta2: float) -> optax.GradientTransformation:
    """Adam with a count of its own for every channel, each a pytree of parameters by its name.

    A channel that is trained for the first time beside one with old moments begins as a fresh Adam
    does: moments of zero under an old count would lack their bias correction.
    """
    adam = scale_by_adam(beta1, beta2)

    def init(params: dict) -> AdamOfChannels:
        return AdamOfChannels({name: adam.init(channel) for name, channel in params.items()})

    def update(
        updates: dict, state: AdamOfChannels, params: dict | None = None
    ) -> tuple[dict, AdamOfChannels]:
        del params
        found = {name: adam.update(updates[name], old) for name, old in state.channels.items()}
        moved = {name: step for name, (step, _) in found.items()}
        return moved, AdamOfChannels({name: new for name, (_, new) in found.items()})

    return optax.GradientTransformation(init, update)


OPTIMIZERS: dict[str, Callable[[Settings], optax.GradientTransformation]] = {
    "adam": lambda s: scale_by_adam_of_channels(s.adam_beta1, s.adam_beta2),
    "sgd": lambda s: optax.trace(decay=s.sgd_momentum) if s.sgd_momentum else optax.identity(),
}


def staircase(rate: float, gamma: float, every: int) -> optax.Schedule:
    """The rate times `gamma` after every `every` steps."""
    return optax.exponential_decay(rate, every, gamma, staircase=True)


def make_optimizer(
    settings: Settings, composition: Float[Array, "system species"]
) -> optax.GradientTransformation:
    """The optimiser of gradient training; its long-range updates keep every system neutral.

    Raises:
        InputError: if the optimiser is not implemented or the learning-rate keys are missing.
    """
    if settings.optimizer not in OPTIMIZERS:
        raise InputError(
            f"optimizer = {settings.optimizer}: implemented are {', '.join(OPTIMIZERS)}"
        )
    if (
        settings.learning_rate is None
        or settings.scheduler_gamma is None
        or settings.scheduler_step is None
    ):
        raise InputError("training needs optimizer_lr, scheduler_gamma and schedulerStep")
    schedule = staircase(settings.learning_rate, settings.scheduler_gamma, settings.scheduler_step)
    return optax.chain(
        OPTIMIZERS[settings.optimizer](settings),
        optax.scale_by_learning_rate(schedule),
        neutral_long_range(composition),
    )


def neutral_long_range(
    composition: Float[Array, "system species"],
) -> optax.GradientTransformation:
    """Projects updates of a4 on those that leave composition @ a4 as it is.

    So N - 1 species of one compound stay free, and fewer where compounds share species.
    """
    # In NumPy: an array that spans processes must not be closed over.
    counts = np.asarray(composition)
    identity = np.eye(counts.shape[1], dtype=counts.dtype)
    projector = identity - np.linalg.pinv(counts) @ counts

    def project(updates: dict, params: dict | None = None) -> dict:
        if "long_range" not in updates:
            return updates
        return {**updates, "long_range": projector @ updates["long_range"]}

    return optax.stateless(project)
