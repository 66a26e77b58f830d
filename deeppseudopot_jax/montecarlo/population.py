"""All replicas side by side: cheap attempts one after the other, exact evaluations together.

A batch of replicas cannot skip an evaluation that only some of them need. So every replica goes on
attempting, on its own clock, until it holds a promising proposal; then those proposals are
evaluated in one batch. Clocks are even again at the end of a walk, and only there may replicas be
compared: states seen at the moment of a survivor are not distributed like the chain.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key

from deeppseudopot_jax.batching import in_batches, select
from deeppseudopot_jax.montecarlo.interface import Attempt, Kernel, Replica, StepInfo
from deeppseudopot_jax.montecarlo.schedule import Schedule

Keep = Callable[[Replica], Any]
"""What a caller wants to see of a replica after every step; any pytree of arrays."""


class Best(NamedTuple):
    """Lowest exact cost that a replica has evaluated, accepted or not, and its parameters."""

    params: Any
    cost: Float[Array, " replica"]


class History(NamedTuple):
    """What every step of every replica did and what was kept; leaves (step, replica, ...)."""

    info: StepInfo
    kept: Any


class _Walk(NamedTuple):
    """`clock` counts the steps of every replica; `pending` ones wait for an exact evaluation."""

    clock: Int[Array, " replica"]
    pending: Bool[Array, " replica"]
    replicas: Replica
    attempts: Attempt
    best: Best
    history: History


def walk(
    kernel: Kernel,
    keys: Key[Array, "step replica 2"],
    replicas: Replica,
    best: Best,
    rungs: Int[Array, " replica"],
    schedule: Schedule,
    first_step: Int[Array, ""],
    keep: Keep,
    together: int,
) -> tuple[Replica, Best, History]:
    """A step of every replica on its rung for every row of keys, one key for each half of a step.

    Leaves of `replicas` are (replica, ...).

    Exact evaluations come in as many batches as the busiest replica needs, at most `n_steps`;
    `together` replicas at a time, which must divide their number.
    """
    n_steps, n = keys.shape[:2]
    every = jnp.arange(n)

    off = jnp.zeros(n, bool)
    unknown = jnp.full_like(replicas.cost, jnp.nan)

    def written(history: History, here: Array, clock: Array, entry: History) -> History:
        # a row outside the history is dropped
        rows = jnp.where(here, clock, n_steps)
        return jax.tree.map(
            lambda log, new: log.at[rows, every].set(new, mode="drop"), history, entry
        )

    def attempt(now: _Walk) -> _Walk:
        searching = ~now.pending & (now.clock < n_steps)
        levels = jax.vmap(schedule.temperature)(first_step + now.clock, rungs)
        at_temperature = now.replicas._replace(
            temperature=select(searching, levels, now.replicas.temperature)
        )
        attempts = in_batches(
            kernel.attempt,
            together,
            searching,
            now.attempts,
            (keys[now.clock, every, 0], at_temperature),
        )
        entry = History(
            StepInfo(at_temperature.cost, unknown, off, off), jax.vmap(keep)(at_temperature)
        )
        return now._replace(
            clock=now.clock + searching.astype(now.clock.dtype),
            pending=now.pending | (searching & attempts.promising),
            replicas=at_temperature,
            attempts=attempts,
            history=written(now.history, searching, now.clock, entry),
        )

    def settle(now: _Walk) -> _Walk:
        found, info = in_batches(
            kernel.settle,
            together,
            now.pending,
            (now.replicas, StepInfo(now.replicas.cost, unknown, off, off)),
            (keys[now.clock - 1, every, 1], now.replicas, now.attempts),
        )
        better = info.proposed_cost < now.best.cost  # never where it is NaN: not evaluated
        best = Best(now.attempts.params, info.proposed_cost)
        entry = History(info, jax.vmap(keep)(found))
        return now._replace(
            pending=jnp.zeros(n, bool),
            replicas=found,
            best=select(better, best, now.best),
            history=written(now.history, now.pending, now.clock - 1, entry),
        )

    def round_(now: _Walk) -> _Walk:
        now = jax.lax.while_loop(
            lambda now: jnp.any(~now.pending & (now.clock < n_steps)), attempt, now
        )
        return jax.lax.cond(jnp.any(now.pending), settle, lambda now: now, now)

    start = _Walk(
        jnp.zeros(n, int),
        jnp.zeros(n, bool),
        replicas,
        _no_attempts(replicas),
        best,
        _empty_history(replicas, n_steps, keep),
    )
    end = jax.lax.while_loop(lambda now: jnp.any(now.clock < n_steps), round_, start)
    return end.replicas, end.best, end.history


def _no_attempts(replicas: Replica) -> Attempt:
    zeros = jnp.zeros_like(replicas.cost)
    return Attempt(replicas.params, zeros, zeros, zeros > 0)


def _empty_history(replicas: Replica, n_steps: int, keep: Keep) -> History:
    costs = jnp.zeros((n_steps, *replicas.cost.shape), replicas.cost.dtype)
    none = jnp.zeros(costs.shape, bool)
    kept = jax.tree.map(
        lambda leaf: jnp.zeros((n_steps, *leaf.shape), leaf.dtype), jax.vmap(keep)(replicas)
    )
    return History(StepInfo(costs, costs, none, none), kept)
