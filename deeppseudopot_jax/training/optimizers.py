"""Optimisers that transform gradients, by their names in NN_config.par, as PyTorch has them."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int

from deeppseudopot_jax.errors import InputError
from deeppseudopot_jax.settings import Settings
from deeppseudopot_jax.training.adam_family import ADAM_FAMILY

_ASGD_DECAY = 1e-4
_ASGD_POWER = 0.75
_ADAGRAD_EPSILON = 1e-10


def scale_by_adam(beta1: float = 0.9, beta2: float = 0.999) -> optax.GradientTransformation:
    """optax's Adam, free to promote: it raises the betas to the power of an integer count."""
    return _promoting(optax.scale_by_adam(b1=beta1, b2=beta2))


def scale_by_adagrad() -> optax.GradientTransformation:
    """Over the root of the sum of all squares so far (J. Duchi et al., JMLR 12, 2121 (2011)).

    optax has the epsilon inside the root.
    """

    def update(updates: Any, sums: Any, params: Any = None) -> tuple:
        del params
        sums = jax.tree.map(lambda total, gradient: total + gradient**2, sums, updates)
        roots = jax.tree.map(lambda total: jnp.sqrt(total) + _ADAGRAD_EPSILON, sums)
        return jax.tree.map(jnp.divide, updates, roots), sums

    return optax.GradientTransformation(optax.tree.zeros_like, update)


class AsgdState(NamedTuple):
    """How many updates there were."""

    updates: Int[Array, ""]


def scale_by_asgd(schedule: optax.Schedule) -> optax.GradientTransformation:
    """PyTorch's averaged gradient descent, of which the last iterate is the potential.

    Rate and decay of update n follow from the learning rate r at update n - 1, r / (1 + decay r
    n)^0.75. The average that gives it its name begins after a million updates; before, it is the
    last iterate itself, so there is none here. (B. T. Polyak, A. B. Juditsky, SIAM J. Control
    Optim. 30, 838 (1992).)
    """

    def init(params: Any) -> AsgdState:
        del params
        return AsgdState(jnp.zeros((), jnp.int32))

    def update(updates: Any, state: AsgdState, params: Any = None) -> tuple:
        count = state.updates
        past = schedule(jnp.maximum(count - 1, 0))
        eta = past / (1.0 + _ASGD_DECAY * past * count.astype(past.dtype)) ** _ASGD_POWER
        scale = eta / schedule(count)
        moved = jax.tree.map(
            lambda gradient, value: scale.astype(value.dtype) * (gradient + _ASGD_DECAY * value),
            updates,
            params,
        )
        return moved, AsgdState(count + 1)

    return optax.GradientTransformation(init, update)


def _momentum(settings: Settings) -> optax.GradientTransformation:
    decay = settings.sgd_momentum
    return optax.trace(decay=decay) if decay else optax.identity()


OPTIMIZERS: dict[str, Callable[[Settings], optax.GradientTransformation]] = {
    **ADAM_FAMILY,
    "sgd": _momentum,
    "asgd": lambda s: scale_by_asgd(schedule_of(s)),
    "rmsprop": lambda s: optax.chain(
        optax.scale_by_rms(decay=0.99, eps=1e-8, eps_in_sqrt=False), _momentum(s)
    ),
    "adadelta": lambda _: optax.scale_by_adadelta(rho=0.9, eps=1e-6),
    "adagrad": lambda _: scale_by_adagrad(),
}
"""What a learning rate is multiplied by; `lbfgs` and `lm` are no transformations of gradients."""


def staircase(rate: float, gamma: float, every: int) -> optax.Schedule:
    """The rate times `gamma` after every `every` steps, in double precision."""

    def schedule(count: Any) -> Array:
        steps = jnp.asarray(count // every, jnp.float64)
        return jnp.asarray(rate, jnp.float64) * jnp.asarray(gamma, jnp.float64) ** steps

    return schedule


def schedule_of(settings: Settings) -> optax.Schedule:
    """The learning rate by the number of updates.

    Raises:
        InputError: if a key of the learning rate is missing.
    """
    keys = settings.learning_rate, settings.scheduler_gamma, settings.scheduler_step
    rate, gamma, every = keys
    if rate is None or gamma is None or every is None:
        raise InputError("training needs optimizer_lr, scheduler_gamma and schedulerStep")
    return staircase(rate, gamma, every)


def make_optimizer(
    settings: Settings, composition: Float[Array, "system species"]
) -> optax.GradientTransformation:
    """The optimiser of gradient training; its long-range updates keep every system neutral.

    Raises:
        InputError: if the optimiser is no transformation of gradients or the learning-rate keys are
            missing.
    """
    if settings.optimizer not in OPTIMIZERS:
        raise InputError(
            f"optimizer = {settings.optimizer} is no transformation of gradients; legal: "
            f"{', '.join(OPTIMIZERS)}"
        )
    schedule, limit = schedule_of(settings), settings.clip_gradient
    return optax.chain(
        optax.identity() if limit is None else _promoting(optax.clip_by_global_norm(limit)),
        _promoting(OPTIMIZERS[settings.optimizer](settings)),
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


def _promoting(transformation: optax.GradientTransformation) -> optax.GradientTransformation:
    """The same, free to promote dtypes."""

    def update(updates: Any, state: Any, params: Any = None) -> tuple:
        with jax.numpy_dtype_promotion("standard"):
            return transformation.update(updates, state, params)

    return optax.GradientTransformation(transformation.init, update)
