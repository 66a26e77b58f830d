"""Parallel tempering, of which a single walker with a schedule is the case of one replica.

R. H. Swendsen and J.-S. Wang, Phys. Rev. Lett. 57, 2607 (1986); C. J. Geyer (1991).
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, PartitionSpec
from jaxtyping import Array, Bool, Float, Int, Key

from deeppseudopot_jax.errors import InputError
from deeppseudopot_jax.montecarlo.interface import Kernel, Replica
from deeppseudopot_jax.montecarlo.population import Best, History, walk
from deeppseudopot_jax.montecarlo.schedule import Schedule
from deeppseudopot_jax.montecarlo.swaps import SwapInfo, adapted, swap
from deeppseudopot_jax.parallel import REPLICA
from deeppseudopot_jax.records import record, static


class Counts(NamedTuple):
    """Per rung: steps, exact evaluations, acceptances; per pair of rungs: swaps; round trips.

    A replica makes a round trip when it goes from the coldest rung to the hottest and back; `seen`
    is the end it saw last (0 none, 1 the coldest, 2 the hottest after it).
    """

    steps: Int[Array, " rung"]
    evaluated: Int[Array, " rung"]
    accepted: Int[Array, " rung"]
    swaps_tried: Int[Array, " pair"]
    swaps_accepted: Int[Array, " pair"]
    round_trips: Int[Array, " replica"]
    seen: Int[Array, " replica"]


class State(NamedTuple):
    """All that the run needs to go on bit by bit as if it had never stopped; a pytree of arrays.

    Leaves of `replicas` and `best` are (replica, ...); `rungs` says where on the ladder each
    replica is, and `schedule` is the ladder as far as it has adapted.
    """

    key: Key[Array, ""]
    step: Int[Array, ""]
    replicas: Replica
    best: Best
    rungs: Int[Array, " replica"]
    schedule: Schedule
    counts: Counts


class WindowInfo(NamedTuple):
    """The steps between two swaps, the rungs the replicas were on, and the swap that followed."""

    history: History
    rungs: Int[Array, " replica"]
    betas: Float[Array, " rung"]
    swaps: SwapInfo


def params_of(replica: Replica) -> Any:
    """What a run keeps of every step by default: the parameters."""
    return replica.params


@record
class Tempering:
    """A window of `swap_every` steps of every replica, then swaps; the ladder adapts at first.

    It adapts in the first `burn_in` steps; what is sampled then is not yet the distribution.
    `together` replicas are calculated at a time; it divides their number. On a `mesh` with an axis
    of replicas every device walks with its own ones, and `together` divides the number of these.
    """

    kernel: Kernel
    swap_every: int = static()
    burn_in: int = static()
    keep: Callable[[Replica], Any] = static()
    together: int = static()
    mesh: Mesh | None = static(default=None)

    def init(self, key: Key[Array, ""], params: Any, aux: Any, schedule: Schedule) -> State:
        """All replicas at the same start, replica r on rung r.

        Raises:
            InputError: if the cost there, or anything else of the start, is not finite.
        """
        schedule, one = self.start(params, aux, schedule)
        if not _is_finite(one):
            raise InputError("the start of a Monte Carlo run has no finite cost")
        return spread_out(key, one, schedule)

    def start(self, params: Any, aux: Any, schedule: Schedule) -> tuple[Schedule, Replica]:
        """The schedule in the dtype of the parameters, and one replica at its first temperature."""
        dtype = jnp.result_type(*jax.tree.leaves(params))
        schedule = replace(
            schedule,
            betas=schedule.betas.astype(dtype),
            step_factors=schedule.step_factors.astype(dtype),
        )
        temperature = schedule.temperature(jnp.asarray(0), jnp.asarray(0))
        return schedule, self.kernel.init(params, aux, temperature)

    def step(self, key: Key[Array, ""], state: State) -> tuple[State, WindowInfo]:
        """One window."""
        walk_key, swap_key = jax.random.split(key)
        keys = jax.random.split(walk_key, (self.swap_every, len(state.rungs), 2))
        replicas, best, history = self._walk(keys, state)
        event = state.step // self.swap_every
        end = state.step + self.swap_every
        row = state.schedule.row(end - 1)
        betas = state.schedule.betas[row]
        rungs, swaps = swap(swap_key, betas, replicas.cost, state.rungs, event)
        nearer = jnp.where(end <= self.burn_in, adapted(betas, swaps.probability, event), betas)
        schedule = replace(state.schedule, betas=state.schedule.betas.at[row].set(nearer))
        counts = _counted(state.counts, history, state.rungs, swaps, rungs)
        found = State(state.key, end, replicas, best, rungs, schedule, counts)
        return found, WindowInfo(history, state.rungs, betas, swaps)

    def _walk(self, keys: Key[Array, "step replica 2"], state: State) -> tuple:
        """`walk` of all replicas: nothing is exchanged before they swap."""

        def share(kernel: Kernel, schedule: Schedule, step: Array, *per_replica: Any) -> tuple:
            keys, replicas, best, rungs = per_replica
            sizes = self.keep, self.together
            return walk(kernel, keys, replicas, best, rungs, schedule, step, *sizes)

        per_replica = keys, state.replicas, state.best, state.rungs
        arguments = self.kernel, state.schedule, state.step, *per_replica
        if self.mesh is None:
            return share(*arguments)
        of_all, of_one, log = PartitionSpec(), PartitionSpec(REPLICA), PartitionSpec(None, REPLICA)
        in_specs = (of_all, of_all, of_all, log, of_one, of_one, of_one)
        mapped = jax.shard_map(
            share, mesh=self.mesh, in_specs=in_specs, out_specs=(of_one, of_one, log),
            check_vma=False,
        )  # fmt: skip
        return mapped(*arguments)


@jax.jit
def spread_out(key: Key[Array, ""], one: Replica, schedule: Schedule) -> State:
    """All replicas like one, replica r on rung r."""
    n = schedule.n_rungs
    rungs = jnp.arange(n)
    replicas = jax.tree.map(lambda leaf: jnp.repeat(leaf[None], n, axis=0), one)
    pairs, every = jnp.zeros(n - 1, int), jnp.zeros(n, int)
    return State(
        key,
        jnp.asarray(0),
        replicas,
        Best(replicas.params, replicas.cost),
        rungs,
        schedule,
        Counts(every, every, every, pairs, pairs, every, _seen(every, rungs)[0]),
    )


@jax.jit
def _is_finite(tree: Any) -> Bool[Array, ""]:
    leaves = [jnp.all(jnp.isfinite(leaf)) for leaf in jax.tree.leaves(tree)]
    return jnp.all(jnp.stack(leaves))


@partial(jax.jit, static_argnames="n_steps")
def run_chunk(sampler: Tempering, state: State, n_steps: int) -> tuple[State, WindowInfo]:
    """`n_steps` steps of every replica, compiled once per number of steps.

    Chunks of any lengths give the same chain bit by bit. Leaves of the info's history are (step,
    replica, ...), the others (window, ...).

    Raises:
        InputError: if `n_steps` is not a multiple of the steps between swaps.
    """
    windows, rest = divmod(n_steps, sampler.swap_every)
    if rest:
        raise InputError(f"{n_steps} steps are no whole windows of {sampler.swap_every} steps")

    def window(state: State, _: None) -> tuple[State, WindowInfo]:
        return sampler.step(jax.random.fold_in(state.key, state.step), state)

    state, info = jax.lax.scan(window, state, length=windows)
    flat = jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), info.history)
    return state, info._replace(history=flat)


def best(state: State) -> tuple[Any, Float[Array, ""]]:
    """Parameters and cost of the best that any replica has met."""
    lowest = jnp.argmin(state.best.cost)
    return jax.tree.map(lambda leaf: leaf[lowest], tuple(state.best))


def _counted(
    counts: Counts, history: History, before: Array, swaps: SwapInfo, after: Array
) -> Counts:
    info = history.info
    seen, returned = _seen(counts.seen, after)
    return Counts(
        counts.steps + len(info.cost),
        counts.evaluated.at[before].add(jnp.sum(info.evaluated, axis=0)),
        counts.accepted.at[before].add(jnp.sum(info.accepted, axis=0)),
        counts.swaps_tried + swaps.tried.astype(int),
        counts.swaps_accepted + swaps.accepted.astype(int),
        counts.round_trips + returned.astype(int),
        seen,
    )


def _seen(seen: Int[Array, " replica"], rungs: Int[Array, " replica"]) -> tuple[Array, Array]:
    """The end of the ladder that every replica saw last, and whether it has just come back."""
    hottest = max(len(rungs) - 1, 1)  # no replica is ever there where there is one rung only
    coldest = rungs == 0
    returned = coldest & (seen == 2)
    return jnp.where(coldest, 1, jnp.where((rungs == hottest) & (seen == 1), 2, seen)), returned
