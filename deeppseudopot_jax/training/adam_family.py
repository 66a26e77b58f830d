"""Adam and its relatives as PyTorch has them, every channel with a count of its own.

D. P. Kingma, J. Ba, arXiv:1412.6980 (Adam, Adamax); T. Dozat, ICLR workshop 2016 (NAdam); L. Liu et
al., arXiv:1908.03265 (RAdam); I. Loshchilov, F. Hutter, arXiv:1711.05101 (AdamW). Where optax puts
an epsilon or a bias correction elsewhere than PyTorch, the formula is written here. Betas are
raised to the power of an integer count: dtypes must be free to promote.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int

from deeppseudopot_jax.records import record
from deeppseudopot_jax.settings import Settings

EPSILON = 1e-8
WEIGHT_DECAY = 1e-2
"""Of adamw: parameters shrink by so much of themselves times the learning rate."""
MOMENTUM_DECAY = 4e-3
_NADAM_BASE = 0.96
_TRACTABLE = 5.0
"""Length of the average of squares above which RAdam divides by its root."""


@record
class NadamState:
    """Adam's count and moments, and the product of all momenta so far."""

    count: Int[Array, ""]
    mu: Any
    nu: Any
    mu_product: Float[Array, ""]


def with_product(adam: optax.ScaleByAdamState, product: float) -> NadamState:
    """The state of a NAdam that has come as far as an Adam."""
    count, mu, nu = adam
    return NadamState(count, mu, nu, jnp.asarray(product, jnp.float64))


class AdamOfChannels(NamedTuple):
    """Count and moments of every channel, by its name."""

    channels: dict[str, Any]


def of_channels(transformation: optax.GradientTransformation) -> optax.GradientTransformation:
    """The same with a state of its own for every channel, a pytree of parameters by its name.

    A channel that is trained for the first time beside one with old moments begins as a fresh
    optimiser does: moments of zero under an old count would lack their bias correction.
    """

    def init(params: dict) -> AdamOfChannels:
        return AdamOfChannels({name: transformation.init(part) for name, part in params.items()})

    def update(
        updates: dict, state: AdamOfChannels, params: dict | None = None
    ) -> tuple[dict, AdamOfChannels]:
        del params
        found = {
            name: transformation.update(updates[name], old) for name, old in state.channels.items()
        }
        moved = {name: step for name, (step, _) in found.items()}
        return moved, AdamOfChannels({name: new for name, (_, new) in found.items()})

    return optax.GradientTransformation(init, update)


def scale_by_radam(beta1: float, beta2: float) -> optax.GradientTransformation:
    """Adam, rectified while the average of squares is short; epsilon beside its plain root."""
    longest = 2.0 / (1.0 - beta2) - 1.0

    def update(updates: Any, state: optax.ScaleByAdamState, params: Any = None) -> tuple:
        del params
        count, mu, nu = _moments(updates, state, beta1, beta2)
        power = beta2**count
        length = longest - 2.0 * count * power / (1.0 - power)
        known = jnp.maximum(length, _TRACTABLE)  # a shorter one has no root
        shrink = (known - 4.0) * (known - 2.0) * longest
        rectified = jnp.sqrt(shrink / ((longest - 4.0) * (longest - 2.0) * known))
        scale = rectified * jnp.sqrt(1.0 - power)

        def moved(mean: Array, square: Array) -> Array:
            adaptive = scale / (jnp.sqrt(square) + EPSILON)
            factor = jnp.where(length > _TRACTABLE, adaptive, 1.0) / (1.0 - beta1**count)
            return mean * factor.astype(mean.dtype)

        return jax.tree.map(moved, mu, nu), optax.ScaleByAdamState(count, mu, nu)

    return optax.GradientTransformation(optax.scale_by_adam().init, update)


def scale_by_nadam(beta1: float, beta2: float) -> optax.GradientTransformation:
    """Adam with Nesterov's momentum, which warms up as Dozat has it."""

    def init(params: Any) -> NadamState:
        return with_product(optax.scale_by_adam().init(params), 1.0)

    def momentum(count: Array) -> Array:
        return beta1 * (1.0 - 0.5 * _NADAM_BASE ** (count * MOMENTUM_DECAY))

    def update(updates: Any, state: NadamState, params: Any = None) -> tuple:
        del params
        count, mu, nu = _moments(updates, state, beta1, beta2)
        now, following = momentum(count), momentum(count + 1)
        product = state.mu_product * now
        of_gradient = (1.0 - now) / (1.0 - product)
        of_mean = following / (1.0 - product * following)

        def moved(gradient: Array, mean: Array, square: Array) -> Array:
            root = jnp.sqrt(square / (1.0 - beta2**count).astype(square.dtype)) + EPSILON
            return (
                of_gradient.astype(mean.dtype) * gradient + of_mean.astype(mean.dtype) * mean
            ) / root

        return jax.tree.map(moved, updates, mu, nu), NadamState(count, mu, nu, product)

    return optax.GradientTransformation(init, update)


def _moments(updates: Any, state: Any, beta1: float, beta2: float) -> tuple[Array, Any, Any]:
    """Count and averages after one more gradient."""
    mu = optax.tree.update_moment(updates, state.mu, beta1, 1)
    nu = optax.tree.update_moment(updates, state.nu, beta2, 2)
    return state.count + 1, mu, nu


def _adam(settings: Settings) -> optax.GradientTransformation:
    beta1, beta2 = settings.adam_beta1, settings.adam_beta2
    return of_channels(optax.scale_by_adam(beta1, beta2, EPSILON))


ADAM_FAMILY: dict[str, Callable[[Settings], optax.GradientTransformation]] = {
    "adam": _adam,
    "adamw": lambda s: optax.chain(_adam(s), optax.add_decayed_weights(WEIGHT_DECAY)),
    "sparseadam": _adam,  # which differs where a gradient has no entry; ours have them all
    "adamax": lambda s: of_channels(optax.scale_by_adamax(s.adam_beta1, s.adam_beta2, EPSILON)),
    "nadam": lambda s: of_channels(scale_by_nadam(s.adam_beta1, s.adam_beta2)),
    "radam": lambda s: of_channels(scale_by_radam(s.adam_beta1, s.adam_beta2)),
}
"""Optimisers with moments, by their names in NN_config.par."""
