"""A Monte Carlo run of a bundle, a chunk of steps at a time.

Between chunks the solver is looked after, at steps that follow from nothing but their number: the
preconditioners are renewed, and a dense solve tells whether a level has been missed.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, PartitionSpec
from jaxtyping import Array, Float, Key

from deeppseudopot_jax.cost_terms import Costs
from deeppseudopot_jax.montecarlo.cost import BandEvaluation, Vectors, start_of
from deeppseudopot_jax.montecarlo.delayed_acceptance import Anchor
from deeppseudopot_jax.montecarlo.fitted import make_costs
from deeppseudopot_jax.montecarlo.interface import Move, Replica
from deeppseudopot_jax.montecarlo.options import Plan, make_move, make_sampler, plans
from deeppseudopot_jax.montecarlo.population import Keep
from deeppseudopot_jax.montecarlo.tempering import (
    State,
    Tempering,
    WindowInfo,
    run_chunk,
)
from deeppseudopot_jax.observables.fallback import largest_deviation
from deeppseudopot_jax.observables.states import first_guesses
from deeppseudopot_jax.parallel import REPLICA, on_host, placed, replica_mesh
from deeppseudopot_jax.problem import Problem
from deeppseudopot_jax.types import Bundle

_FIRST_CHECKS = (50, 100, 200)
_STEPS_BETWEEN_LATER_CHECKS = 400
_TOLERATED_DEVIATION = 4e-7  # Ha, 1e-5 eV: far above the error of an accepted state


class Running(NamedTuple):
    """All that a run needs to go on bit by bit; a pytree of arrays."""

    state: State
    preconditioners: tuple[Any, ...]


class Chunk(NamedTuple):
    """What some steps did; `missed_levels` tells that everything was solved anew after them."""

    info: WindowInfo
    missed_levels: bool


@dataclass(frozen=True, eq=False)
class Chain:
    """One run: temperatures, move and costs, but not its state.

    With a `mesh` every device has its own replicas and the whole `problem`, else all devices share
    the k-points of each replica as far as `problem` is distributed. The history of its chunks has
    a0 to a8 of every species, or a4 to a8 beside a network.
    """

    plan: Plan
    problem: Problem
    move: Move
    costs: Costs
    keep: Keep
    mesh: Mesh | None

    def begin(self, key: Key[Array, ""], params: dict) -> Running:
        """All replicas at the same parameters.

        Raises:
            ValueError: if the cost there is not finite.
        """
        vectors, preconditioners = start_of(self.problem, params)
        sampler = self._sampler_here(preconditioners)
        state = sampler.init(key, params, vectors, self.plan.schedule)
        return self.placed(Running(state, preconditioners))

    def placed(self, running: Running) -> Running:
        """A state that every process knows whole, on the devices that go on with it."""
        state, preconditioners = running
        each, all_ = PartitionSpec(REPLICA), PartitionSpec()
        replicas, best = placed(self.mesh, each, (state.replicas, state.best))
        rest = state.key, state.step, state.rungs, state.schedule, state.counts
        key, step, rungs, schedule, counts = placed(self.mesh, all_, rest)
        state = State(key, step, replicas, best, rungs, schedule, counts)
        return Running(state, placed(self.mesh, all_, preconditioners))

    def advance(self, running: Running, n_steps: int) -> tuple[Running, Chunk]:
        """`n_steps` more steps of every replica.

        Raises:
            ValueError: if `n_steps` is not a multiple of the steps between swaps.
        """
        done = int(running.state.step)
        parts = (*self._parts, running.preconditioners, self.keep, self.mesh)
        state, info = run_chunk(make_sampler(self.plan, *parts), running.state, n_steps)
        running = running._replace(state=state)
        turn = _checks_until(done + n_steps)
        if turn == _checks_until(done):
            return running, Chunk(info, False)
        renewed, missed = self.looked_after(running, turn)
        return renewed, Chunk(info, missed)

    @cached_property
    def _parts(self) -> tuple[Problem, Move, Costs]:
        """What does not change, on the devices that sample."""
        parts: tuple[Problem, Move, Costs] = placed(
            self.mesh, PartitionSpec(), (self.problem, self.move, self.costs)
        )
        return parts

    def _sampler_here(self, preconditioners: tuple[Any, ...]) -> Tempering:
        """The sampler of this process alone, where replicas are split."""
        parts = self.problem, self.move, self.costs, preconditioners, self.keep
        return make_sampler(self.plan, *parts)

    def looked_after(self, running: Running, turn: int) -> tuple[Running, bool]:
        """The same run with new preconditioners, and whether one k-point had missed a level.

        The replicas take turns, and so do the k-points.
        """
        state, old = running
        replicas, old = self._here((state.replicas, old))
        params, aux = _replica((replicas.params, replicas.aux), turn)
        evaluate = BandEvaluation(self.problem, self.costs.exact, old)
        states = evaluate.states(params, _vectors(aux))
        missed = largest_deviation(self.problem, params, states, turn) > _TOLERATED_DEVIATION
        if missed:
            state = self._found_anew(state._replace(replicas=replicas, best=self._here(state.best)))
        guesses = jax.jit(first_guesses)(self.problem, params)
        new = tuple(None if guess is None else guess.preconditioner for guess in guesses)
        return self.placed(Running(state, new)) if missed else self._renewed(running, new), missed

    def _renewed(self, running: Running, preconditioners: tuple[Any, ...]) -> Running:
        new: tuple[Any, ...] = placed(self.mesh, PartitionSpec(), preconditioners)
        return running._replace(preconditioners=new)

    def _here(self, tree: Any) -> Any:
        """Arrays that may be split over processes, as this process' own."""
        return tree if self.mesh is None else jax.tree.map(jnp.asarray, on_host(tree))

    def _found_anew(self, state: State) -> State:
        """Every replica, and the best that each has met, with states from scratch."""

        def replica(params: dict, level: Any) -> Replica:
            vectors, preconditioners = start_of(self.problem, params)
            return self._sampler_here(preconditioners).kernel.init(params, vectors, level)

        n = self.plan.schedule.n_rungs
        levels = [_replica(state.replicas.level, i) for i in range(n)]
        replicas = [replica(_replica(state.replicas.params, i), levels[i]) for i in range(n)]
        best = [replica(_replica(state.best.params, i), levels[i]).cost for i in range(n)]
        return state._replace(
            replicas=jax.tree.map(lambda *leaves: jnp.stack(leaves), *replicas),
            best=state.best._replace(cost=jnp.stack(best)),
        )


def chains(
    bundle: Bundle, problem: Problem, distributed: Problem | None = None
) -> tuple[Chain, ...]:
    """The runs that a bundle asks for, to be done one after the other.

    Args:
        bundle: what `read_bundle` returned.
        problem: from `build_problem`.
        distributed: the same from `distribute`, for runs whose replicas the number of devices does
            not divide.

    Raises:
        ValueError: if anything about them cannot work.
    """
    keep = _all_nine if bundle.settings.trains_coefficients else _beside_a_network
    mesh = replica_mesh(bundle.settings.mc_replicas)
    if mesh is None:
        problem = distributed or problem

    def chain(plan: Plan) -> Chain:
        move = make_move(bundle, plan.options, problem)
        costs = make_costs(bundle, plan.options, problem)
        return Chain(plan, problem, move, costs, keep, mesh)

    return tuple(map(chain, plans(bundle)))


def _all_nine(replica: Replica) -> Float[Array, "species 9"]:
    """a0 to a8."""
    return jnp.concatenate([replica.params["local"], _beside_a_network(replica)], axis=1)


def _beside_a_network(replica: Replica) -> Float[Array, "species 5"]:
    """a4 to a8."""
    params = replica.params
    columns = (params["long_range"], params["spin_orbit"], *params["nonlocal"].T, params["strain"])
    return jnp.stack(columns, axis=1)


def _checks_until(step: int) -> int:
    later = step // _STEPS_BETWEEN_LATER_CHECKS
    return sum(check <= step for check in _FIRST_CHECKS) + later


def _replica(tree: Any, index: int) -> Any:
    """The part of one replica; `index` may go round."""

    def leaf(stacked: Array) -> Array:
        return stacked[index % len(stacked)]

    return jax.tree.map(leaf, tree)


def _vectors(aux: Any) -> Vectors:
    """Of what either kernel leaves for the next evaluation."""
    found: Vectors = aux.aux if isinstance(aux, Anchor) else aux
    return found
