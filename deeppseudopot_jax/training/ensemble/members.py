"""Several fits side by side: from other starts, by one compiled round for all of them.

A round is an update of every member that is still on its way: a step of Adam or SGD, or a trial
step of least squares, which may be rejected. Members share nothing but the program.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, PartitionSpec
from jaxtyping import Array, Bool

from deeppseudopot_jax.batching import in_batches, replicas_together
from deeppseudopot_jax.costs.interface import Cost
from deeppseudopot_jax.eigensolvers.interface import FOR_GRADIENTS
from deeppseudopot_jax.observables.hamiltonians import hamiltonians
from deeppseudopot_jax.observables.states import first_guesses, solve
from deeppseudopot_jax.parallel import REPLICA, on_host, placed, replica_mesh
from deeppseudopot_jax.parameters import Parameters, trained_channels
from deeppseudopot_jax.problem import Problem
from deeppseudopot_jax.settings import Settings
from deeppseudopot_jax.training.ensemble.rounds import (
    DescentRound,
    LeastSquaresRound,
    Member,
    Round,
    cost_of_states,
)
from deeppseudopot_jax.training.least_squares.levenberg_marquardt import least_squares
from deeppseudopot_jax.training.optimizers import make_optimizer
from deeppseudopot_jax.training.trainable import split


def fit_members(
    problem: Problem,
    starts: Parameters,
    settings: Settings,
    cost: Cost,
    members: Member | None = None,
) -> Iterator[Member]:
    """The members at their starts, then after every round until all are done.

    A member is done after `max_num_epochs` updates, where least squares has converged or stalled,
    after `patience` updates of an optimiser of optax without a lower cost, or where states are not
    found. Where the number of devices divides that of the members, every device has its own, and
    `problem` must not be distributed; else they share k-points as far as it is.

    Args:
        problem: from `build_problem`.
        starts: parameters with a leading axis of members.
        settings: optimiser and its keys.
        cost: what is minimised.
        members: of another such fit, which goes on with the round after them.

    Yields:
        All members, leaves with a leading axis.
    """
    n = len(starts.long_range)
    mesh = replica_mesh(n) if problem.mesh is None else None
    first = jax.tree.map(lambda leaf: leaf[0], starts)
    round_ = _round_of(problem, settings, cost, first)
    together = replicas_together(problem.groups, n if mesh is None else n // mesh.size)
    shared = placed(mesh, PartitionSpec(), (round_, cost, problem))
    limit = jnp.asarray(settings.max_epochs, jnp.int32)
    each = PartitionSpec(REPLICA)
    if members is None:
        members = _begun(shared, placed(mesh, each, starts), together, mesh)
        yield members
    else:
        members = placed(mesh, each, members)
    while np.any(on_host(_on_their_way(members, limit))):
        members = _after_round(shared, members, limit, together, mesh)
        yield members


def shapes_of_members(
    problem: Problem, params: Parameters, settings: Settings, cost: Cost
) -> Member:
    """All members of an ensemble that starts from parameters like these, as shapes alone."""
    round_ = _round_of(problem, settings, cost, params)

    def begin(params: Parameters) -> Member:
        return _first(round_, cost, problem, params)

    one = jax.eval_shape(begin, params)
    n = settings.ensemble_size
    found: Member = jax.tree.map(lambda s: jax.ShapeDtypeStruct((n, *s.shape), s.dtype), one)
    return found


def _round_of(problem: Problem, settings: Settings, cost: Cost, params: Parameters) -> Round:
    channels = trained_channels(settings)
    if settings.least_squares:
        found = least_squares(problem, cost, split(params, channels).trainable)
        return LeastSquaresRound(found.coordinates, found.columns, found.side, channels)
    optimizer = make_optimizer(settings, problem.composition)
    return DescentRound(optimizer, channels, settings.patience or settings.max_epochs + 1)


_Shared = tuple[Round, Cost, Problem]


def _on_their_way(members: Member, limit: Array) -> Bool[Array, " member"]:
    return ~members.done & (members.updates < limit)


@partial(jax.jit, static_argnames=("together", "mesh"))
def _begun(shared: _Shared, starts: Parameters, together: int, mesh: Mesh | None) -> Member:
    def work(shared: _Shared, params: Parameters) -> Member:
        return _first(*shared, params)

    every = jnp.ones(len(starts.long_range), bool)
    like = jax.eval_shape(jax.vmap(partial(work, shared)), starts)
    nothing = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), like)
    return _spread(work, shared, together, mesh, every, nothing, starts)


def _first(round_: Round, cost: Cost, problem: Problem, params: Parameters) -> Member:
    """A member at its start."""
    everywhere = hamiltonians(problem, params)
    states = solve(everywhere, first_guesses(everywhere), FOR_GRADIENTS)
    found = cost_of_states(cost, problem, params, states)
    memory, zero = round_.begin(params), jnp.zeros((), jnp.int32)
    return Member(params, memory, states, found, params, found, zero, zero, ~jnp.isfinite(found))


@partial(jax.jit, static_argnames=("together", "mesh"))
def _after_round(
    shared: _Shared, members: Member, limit: Array, together: int, mesh: Mesh | None
) -> Member:
    def work(shared: _Shared, member: Member) -> Member:
        round_, cost, problem = shared
        return round_(cost, problem, member)

    active = _on_their_way(members, limit)
    return _spread(work, shared, together, mesh, active, members, members)


def _spread(
    work: Callable[[_Shared, Any], Member],
    shared: _Shared,
    together: int,
    mesh: Mesh | None,
    active: Bool[Array, " member"],
    otherwise: Member,
    given: Any,
) -> Member:
    """`work(shared, one of given)` of the active members, every device with its own."""

    def share(shared: _Shared, active: Array, otherwise: Member, given: Any) -> Member:
        return in_batches(partial(work, shared), together, active, otherwise, (given,))

    arguments = shared, active, otherwise, given
    if mesh is None:
        return share(*arguments)
    each, all_ = PartitionSpec(REPLICA), PartitionSpec()
    specs = all_, each, each, each
    found: Member = jax.shard_map(
        share, mesh=mesh, in_specs=specs, out_specs=each, check_vma=False
    )(*arguments)
    return found
