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

from deeppseudopot_jax.costs.choice import monte_carlo_cost
from deeppseudopot_jax.costs.diagnosis import diagnosis
from deeppseudopot_jax.costs.interface import Cost
from deeppseudopot_jax.eigensolvers.interface import FOR_ENERGIES, States
from deeppseudopot_jax.errors import InputError
from deeppseudopot_jax.montecarlo.delayed_acceptance import Anchor
from deeppseudopot_jax.montecarlo.evaluation import BandEvaluation, Left, start_of
from deeppseudopot_jax.montecarlo.interface import Move, Replica
from deeppseudopot_jax.montecarlo.options import Plan, make_move, make_sampler, plans
from deeppseudopot_jax.montecarlo.population import Keep
from deeppseudopot_jax.montecarlo.tempering import (
    State,
    Tempering,
    WindowInfo,
    run_chunk,
    spread_out,
)
from deeppseudopot_jax.observables.evaluation import (
    Carried,
    begun,
    carried,
    check_due,
    compiled_solve,
    misses_levels,
)
from deeppseudopot_jax.observables.hamiltonians import prepared
from deeppseudopot_jax.parallel import REPLICA, on_host, placed, replica_mesh
from deeppseudopot_jax.parameters import Parameters, beside_local, to_coefficients
from deeppseudopot_jax.problem import Problem
from deeppseudopot_jax.types import Bundle


class Running(NamedTuple):
    """All that a run needs to go on bit by bit; a pytree of arrays."""

    state: State
    preconditioners: tuple[Any, ...]


class Kept(NamedTuple):
    """What is kept of every step of a replica: terms of its cost, and its coefficients.

    These are a0 to a8 of every species, or a4 to a8 beside a network.
    """

    values: Float[Array, " term"]
    coefficients: Float[Array, "species column"]


class Chunk(NamedTuple):
    """What some steps did; `missed_levels` tells that everything was solved anew after them."""

    info: WindowInfo
    missed_levels: bool


@dataclass(frozen=True, eq=False)
class Chain:
    """One run: temperatures, move and cost, but not its state.

    With a `mesh` every device has its own replicas and the whole `problem`, else all devices share
    the k-points of each replica as far as `problem` is distributed. The history of its chunks has
    what `Kept` lists.
    """

    plan: Plan
    problem: Problem
    move: Move
    cost: Cost
    keep: Keep
    mesh: Mesh | None

    def begin(
        self, key: Key[Array, ""], params: Parameters, near: Carried | None = None
    ) -> Running:
        """All replicas at the same parameters; `near` are wave functions to start from.

        Raises:
            InputError: if the cost there is not finite.
        """
        start = start_of(self.problem, params, None if self.mesh is not None else near)
        sampler = self._sampler_here(start.preconditioners)
        try:
            state = sampler.init(key, params, self._first(start), self.plan.schedule)
        except InputError as error:
            why = diagnosis(self.problem, params, self.cost)
            raise InputError(f"{error}: {why}") from error
        return self.placed(Running(state, start.preconditioners))

    def _first(self, start: Carried) -> Left:
        """The `aux` of a first evaluation."""
        return BandEvaluation(self.problem, self.cost, start.preconditioners).begin(start.vectors)

    def compile(self, params: Parameters, states: tuple[States, ...], n_steps: int) -> None:
        """Compile the first chunk before it is needed; states may be shapes alone."""
        run_chunk.lower(*self.shapes(params, states), n_steps).compile()

    def shapes(self, params: Parameters, states: tuple[States, ...]) -> tuple[Tempering, State]:
        """Sampler and state at the start, as shapes alone where the states are such."""
        left = carried(states)
        parts = self.problem, self.move, self.cost, left.preconditioners, self.keep, self.mesh
        sampler = make_sampler(self.plan, *parts)

        def first_state(
            sampler: Tempering, key: Array, params: Parameters, start: Carried
        ) -> State:
            schedule, one = sampler.start(params, self._first(start), self.plan.schedule)
            return spread_out(key, one, schedule)

        return sampler, jax.eval_shape(first_state, sampler, jax.random.key(0), params, left)

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
            InputError: if `n_steps` is not a multiple of the steps between swaps.
        """
        done = int(running.state.step)
        parts = (*self._parts, running.preconditioners, self.keep, self.mesh)
        state, info = run_chunk(make_sampler(self.plan, *parts), running.state, n_steps)
        running = running._replace(state=state)
        check = check_due(done, done + n_steps)
        if check is None:
            return running, Chunk(info, False)
        renewed, missed = self.looked_after(running, check)
        return renewed, Chunk(info, missed)

    @cached_property
    def _parts(self) -> tuple[Problem, Move, Cost]:
        """What does not change, on the devices that sample."""
        parts: tuple[Problem, Move, Cost] = placed(
            self.mesh, PartitionSpec(), (self.problem, self.move, self.cost)
        )
        return parts

    def _sampler_here(self, preconditioners: tuple[Any, ...]) -> Tempering:
        """The sampler of this process alone, where replicas are split."""
        parts = self.problem, self.move, self.cost, preconditioners, self.keep
        return make_sampler(self.plan, *parts)

    def looked_after(self, running: Running, turn: int) -> tuple[Running, bool]:
        """The same run with new preconditioners, and whether one k-point had missed a level.

        The replicas take turns, and so do the k-points.
        """
        state, old = running
        replicas, old = self._here((state.replicas, old))
        params, aux = _replica((replicas.params, replicas.aux), turn)
        everywhere = prepared(self.problem, params)
        start = Carried(_left(aux).vectors, old)
        states = compiled_solve(everywhere, start, FOR_ENERGIES)
        missed = misses_levels(everywhere, states, turn)
        if missed:
            state = self._found_anew(state._replace(replicas=replicas, best=self._here(state.best)))
        new = begun(everywhere).preconditioners
        return self.placed(Running(state, new)) if missed else self._renewed(running, new), missed

    def _renewed(self, running: Running, preconditioners: tuple[Any, ...]) -> Running:
        new: tuple[Any, ...] = placed(self.mesh, PartitionSpec(), preconditioners)
        return running._replace(preconditioners=new)

    def _here(self, tree: Any) -> Any:
        """Arrays that may be split over processes, as this process' own."""
        return tree if self.mesh is None else jax.tree.map(jnp.asarray, on_host(tree))

    def _found_anew(self, state: State) -> State:
        """Every replica, and the best that each has met, with states from scratch."""

        def replica(params: Parameters, temperature: Any) -> Replica:
            start = start_of(self.problem, params)
            sampler = self._sampler_here(start.preconditioners)
            return sampler.kernel.init(params, self._first(start), temperature)

        n = self.plan.schedule.n_rungs
        temperatures = [_replica(state.replicas.temperature, i) for i in range(n)]
        replicas = [replica(_replica(state.replicas.params, i), temperatures[i]) for i in range(n)]
        best = [replica(_replica(state.best.params, i), temperatures[i]).cost for i in range(n)]
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
        InputError: if anything about them cannot work.
    """
    keep = _all_nine if bundle.settings.trains_coefficients else _beside_a_network
    mesh = replica_mesh(bundle.settings.mc_replicas)
    if mesh is None:
        problem = distributed or problem

    def chain(plan: Plan) -> Chain:
        move = make_move(bundle, plan.options, problem)
        cost = monte_carlo_cost(bundle, plan.options, problem)
        return Chain(plan, problem, move, cost, keep, mesh)

    return tuple(map(chain, plans(bundle)))


def _all_nine(replica: Replica) -> Kept:
    rows = to_coefficients(replica.params, replica.params.local)
    return Kept(_left(replica.aux).values, rows)


def _beside_a_network(replica: Replica) -> Kept:
    rows = beside_local(replica.params)
    return Kept(_left(replica.aux).values, rows)


def _replica(tree: Any, index: int) -> Any:
    """The part of one replica; `index` may go round."""

    def leaf(stacked: Array) -> Array:
        return stacked[index % len(stacked)]

    return jax.tree.map(leaf, tree)


def _left(aux: Any) -> Left:
    """What the last evaluation left, of either kernel."""
    found: Left = aux.aux if isinstance(aux, Anchor) else aux
    return found
