"""Fits a network to given curves v(q): the initialisation before any bands are looked at."""

from collections.abc import Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Key

from deeppseudopot_jax.errors import InputError
from deeppseudopot_jax.potentials.networks import NetworkModel
from deeppseudopot_jax.settings import Settings
from deeppseudopot_jax.training.optimizers import scale_by_adam, staircase

_OPTIMIZERS = {"adam": scale_by_adam, "sgd": optax.identity}
"""At PyTorch's defaults: adam_beta1, adam_beta2 and sgd_momentum belong to gradient training."""
_SMALLEST_SINGULAR_VALUE = 1e-3
"""Of the largest: splines have 0.07 or more, less belongs to q that the curves do not reach."""
_SMALL_Q = 1.0
_SMALL_Q_WEIGHT = 10.0


class Curves(NamedTuple):
    """Target curves: v(q) in Ha Bohr^3 at q in Bohr^-1, with the weight of every q."""

    q: Float[Array, " q"]
    v: Float[Array, "q species"]
    weights: Float[Array, " q"]


class RegressionStage(NamedTuple):
    """Variables after `epoch` updates; cost and gradient norm of every epoch since the last stage.

    `gradient` is that of the last of them, in the weights. A cost that is not finite means that the
    variables are of no use: the caller must look.
    """

    epoch: int
    costs: Float[Array, " epoch"]
    gradient_norms: Float[Array, " epoch"]
    variables: dict
    gradient: dict


def analytic_curves(q: Float[Array, " q"], v: Float[Array, "q species"]) -> Curves:
    """Targets from an analytic form, small q (long wave lengths) weighted ten times."""
    return Curves(q, v, jnp.where(q <= _SMALL_Q, _SMALL_Q_WEIGHT, 1.0))


def fit_curves(
    model: NetworkModel, variables: dict, curves: Curves, settings: Settings
) -> Iterator[RegressionStage]:
    """Fit a network to curves v(q), in a way that suits it.

    The cost is the weighted mean squared error. Where v(q) is linear in the weights they are solved
    for, which is a single stage of one epoch; else they are trained.

    Raises:
        InputError: if a key of the fit is missing.
    """
    if model.spec.linear:
        return iter([_solved(model, variables, curves)])
    return _trained(_training_of(model, curves, settings), variables)


def _cost(
    parameters: dict, rest: dict, model: NetworkModel, curves: Curves, key: Array
) -> tuple[Array, dict]:
    """The weighted mean squared error and the updated variables."""
    v, updated = model.apply_training({**rest, "params": parameters}, curves.q, key)
    return jnp.mean(curves.weights[:, None] * (v - curves.v) ** 2), updated


_cost_and_gradient = jax.value_and_grad(_cost, has_aux=True)


def _solved(model: NetworkModel, variables: dict, curves: Curves) -> RegressionStage:
    """The weights of smallest cost, of several the shortest: those of no consequence are 0."""
    root = np.sqrt(np.asarray(curves.weights, np.float64))[:, None]
    features = np.asarray(model.features(curves.q), np.float64)
    kernel = np.linalg.lstsq(
        root * features, root * np.asarray(curves.v, np.float64), _SMALLEST_SINGULAR_VALUE
    )[0]
    found = {"linear_0": {"kernel": jnp.asarray(kernel, curves.v.dtype)}}
    costs, norms = [], []
    for parameters in (variables["params"], found):
        (cost, _), gradient = _cost_and_gradient(parameters, {}, model, curves, jax.random.key(0))
        costs.append(cost)
        norms.append(optax.tree.norm(gradient))
    return RegressionStage(1, jnp.stack(costs), jnp.stack(norms), {"params": found}, gradient)


def fit_many(
    model: NetworkModel, variables: dict, curves: Curves, settings: Settings
) -> tuple[dict, Float[Array, " member"]]:
    """As the training of `fit_curves`, of several networks at once.

    Args:
        model: not linear in its weights.
        variables: leaves with a leading axis of members.
        curves: what all of them are fitted to.
        settings: keys of the fit.

    Returns:
        Fitted variables, and the last cost of every member; not finite where a fit diverged.
    """
    fit = _training_of(model, curves, settings)

    @jax.jit
    @jax.vmap
    def run(variables: dict) -> tuple[dict, Array]:
        carry, (costs, _) = jax.lax.scan(fit.update, fit.begin(variables), fit.keys)
        return carry[0], costs[-1]

    found: tuple[dict, Array] = run(variables)
    return found


class _Training(NamedTuple):
    """The training of a network on curves, an update at a time.

    The learning rate is multiplied by init_Zunger_scheduler_gamma after every
    init_Zunger_plotEvery epochs. Batch norms and dropout are in training mode.
    """

    model: NetworkModel
    curves: Curves
    optimizer: optax.GradientTransformation
    keys: Key[Array, " epoch"]
    every: int

    def begin(self, variables: dict) -> tuple[dict, optax.OptState, dict]:
        """What the updates carry along: variables, the optimiser's state, the last gradient."""
        parameters = variables["params"]
        return variables, self.optimizer.init(parameters), jax.tree.map(jnp.zeros_like, parameters)

    def update(self, carry: tuple, key: Array) -> tuple[tuple, tuple[Array, Array]]:
        """One epoch; also its cost and gradient norm."""
        variables, state, _ = carry
        rest = {name: value for name, value in variables.items() if name != "params"}
        (value, updated), gradient = _cost_and_gradient(
            variables["params"], rest, self.model, self.curves, key
        )
        updates, state = self.optimizer.update(gradient, state, variables["params"])
        parameters = optax.apply_updates(variables["params"], updates)
        moved = {**updated, "params": parameters}
        return (moved, state, gradient), (value, optax.tree.norm(gradient))


def _training_of(model: NetworkModel, curves: Curves, settings: Settings) -> _Training:
    rate, gamma = settings.init_learning_rate, settings.init_scheduler_gamma
    every = settings.init_plot_every
    if rate is None or gamma is None or every is None:
        raise InputError("fitting the initial potential needs its lr, gamma and plotEvery keys")
    optimizer = optax.chain(
        _OPTIMIZERS[settings.init_optimizer](),
        optax.scale_by_learning_rate(staircase(rate, gamma, every)),
    )
    keys = jax.random.split(jax.random.key(settings.seed), settings.init_epochs)
    return _Training(model, curves, optimizer, keys, every)


def _trained(fit: _Training, variables: dict) -> Iterator[RegressionStage]:
    """One stage per init_Zunger_plotEvery epochs."""
    run = jax.jit(lambda carry, keys: jax.lax.scan(fit.update, carry, keys))
    carry = fit.begin(variables)
    for start in range(0, len(fit.keys), fit.every):
        carry, (costs, norms) = run(carry, fit.keys[start : start + fit.every])
        variables, _, gradient = carry
        yield RegressionStage(start + len(costs), costs, norms, variables, gradient)
