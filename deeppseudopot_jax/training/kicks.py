"""Random changes of parameters: kicks on the way, and single moves before the first epoch."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.flatten_util import ravel_pytree
from jax.sharding import PartitionSpec
from jaxtyping import Array, Key

from deeppseudopot_jax.costs.interface import Cost
from deeppseudopot_jax.errors import InputError
from deeppseudopot_jax.parallel import local, placed
from deeppseudopot_jax.parameters import Parameters
from deeppseudopot_jax.problem import Problem
from deeppseudopot_jax.settings import Settings
from deeppseudopot_jax.training.descent import Descent
from deeppseudopot_jax.training.interface import TrainingState
from deeppseudopot_jax.training.optimizers import neutral_long_range

KICKS: dict[str, float] = {"local": 0.1, "spin_orbit": 1e-3, "nonlocal": 1e-3}
"""Channels that are kicked, and the largest relative change; a4 and a8 stay as they are."""

_OF_KICKS, _OF_MOVES = 1, 2
"""Streams of random numbers, apart from those that make the start."""


def is_kicked(settings: Settings, updates: int) -> bool:
    """Whether a kick belongs to an update, the last one of `updates`."""
    every = settings.perturb_every
    return every > 0 and updates > 0 and updates % every == 0


def kicked(trainable: dict, seed: int, *numbers: int) -> dict:
    """Every number of the channels of KICKS times 1 + U(-1, 1) times the change of its channel.

    Args:
        trainable: channels by name.
        seed: of the run.
        numbers: which kick this is.
    """
    found = dict(trainable)
    for channel, (name, change) in enumerate(KICKS.items()):
        if name in trainable:
            flat, back = ravel_pytree(trainable[name])
            key = _key(seed, _OF_KICKS, *numbers, channel)
            deviates = jax.random.uniform(key, flat.shape, flat.dtype, -1.0, 1.0)
            found[name] = back(flat * (1.0 + change * deviates))
    return found


def pre_adjusted(
    problem: Problem,
    frozen: Parameters,
    state: TrainingState,
    cost: Cost,
    settings: Settings,
) -> tuple[TrainingState, list[dict], str]:
    """The state of lowest cost after some moves of one parameter each, and what they have done.

    That is the trainable numbers after every move, and a sentence.

    A move lowers the one parameter with the largest gradient by a random part of its greatest
    length; of a4 it changes what leaves every system neutral. They end where a cost is not finite.

    Args:
        problem: from `build_problem`.
        frozen: what is not trained.
        state: before the first epoch.
        cost: what is minimised.
        settings: number of the moves, their greatest length, seed.

    Raises:
        InputError: if there is no greatest length.
    """
    number = settings.pre_adjust_moves
    size = settings.pre_adjust_step_size or settings.learning_rate
    if size is None:
        raise InputError("pre_adjust_moves needs pre_adjust_stepSize or optimizer_lr")
    neutral = neutral_long_range(problem.composition)
    looks = Descent(cost, optax.identity())
    here, costs, best = state, [], state
    moved: list[dict] = []
    for move in range(number + 1):
        info, found = looks.look(problem, frozen, here)
        costs.append(float(info.cost))
        gradient, _ = neutral.update(found.gradient, optax.EmptyState())
        if not np.isfinite([costs[-1], *map(float, info.gradient_norms.values())]).all():
            break
        if costs[-1] <= min(costs):
            best = here._replace(carried=found.carried)
        if move < number:
            length = size * float(jax.random.uniform(_key(settings.seed, _OF_MOVES, move)))
            step, _ = neutral.update(_single(local(gradient), length), optax.EmptyState())
            step = placed(problem.mesh, PartitionSpec(), step)
            here = here._replace(
                trainable=optax.apply_updates(here.trainable, step), carried=found.carried
            )
            moved.append(here.trainable)
    lowest = int(np.nanargmin(costs)) if np.isfinite(costs).any() else 0
    told = f"pre_adjust_moves: cost {costs[0]:.8g} -> {costs[lowest]:.8g} eV^2 after {lowest}"
    return best, moved, f"{told} of {number} moves, the last one {costs[-1]:.8g}"


def _single(gradient: dict, length: float) -> dict:
    """A downhill step along the one coordinate with the largest gradient."""
    flat, back = ravel_pytree(gradient)
    largest = jnp.argmax(jnp.abs(flat))
    step: dict = back(jnp.zeros_like(flat).at[largest].set(-length * jnp.sign(flat[largest])))
    return step


def _key(seed: int, *numbers: int) -> Key[Array, ""]:
    key = jax.random.key(seed)
    for number in numbers:
        key = jax.random.fold_in(key, number)
    return key
