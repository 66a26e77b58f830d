"""The lowest states at every k-point, and their energies as functions of the parameters.

Solving and differentiating are apart: `solve` finds states, from earlier ones if there are any;
`levels_of` gives their energies with the derivatives at fixed vectors, which are the
Hellmann-Feynman forces. Training keeps the states from step to step.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
from jax.sharding import PartitionSpec
from jaxtyping import Array, Float

from deeppseudopot_jax.batching import SystemGroup
from deeppseudopot_jax.eigensolvers.hellmann_feynman import energies_of_states
from deeppseudopot_jax.eigensolvers.interface import States
from deeppseudopot_jax.hamiltonian.assemble import (
    Channels,
    Field,
    Hamiltonian,
    build_field,
    hamiltonian_at,
)
from deeppseudopot_jax.hamiltonian.tables import SystemTables
from deeppseudopot_jax.parallel import gathered, spread
from deeppseudopot_jax.problem import Problem

Guesses = tuple[States | None, ...]
"""What every group's solves begin with, stacked over (system, kpt); None for dense solvers."""


def first_guesses(problem: Problem, params: dict) -> Guesses:
    """Where solves from scratch begin; also the preconditioners of this potential."""

    def at_k(group: SystemGroup, contents: tuple) -> States | None:
        return problem.solver.first_guess(build_hamiltonian(contents), group.n_levels)

    return at_every_k(problem, params, at_k)


def solve(problem: Problem, params: dict, guesses: Guesses | None = None) -> tuple[States, ...]:
    """The lowest states of every group, stacked over its systems and k-points; energies in Ha.

    Nothing here is differentiable. A state whose residual is above what the solver accepts, or NaN,
    has not been found: the caller must look at `residuals`.

    Args:
        problem: from `build_problem`.
        params: potential parameters.
        guesses: from `first_guesses` or an earlier solve; without them, `first_guesses`.
    """

    def at_k(group: SystemGroup, contents: tuple, guess: States | None = None) -> States:
        return problem.solver(build_hamiltonian(contents), group.n_levels, guess)

    return at_every_k(problem, params, at_k, guesses)


def solve_levels(problem: Problem, params: dict) -> tuple[States, ...]:
    """`solve` with empty vectors: those of many k-points would fill the memory."""

    def at_k(group: SystemGroup, contents: tuple) -> States:
        found = problem.solver(build_hamiltonian(contents), group.n_levels)
        return States(found.energies, found.vectors[:0, :0], found.residuals)

    return at_every_k(problem, params, at_k)


def levels_of(
    problem: Problem, params: dict, states: tuple[States, ...]
) -> tuple[Float[Array, "system kpt level"], ...]:
    """The wanted energies (Ha) of solved states of every group, differentiable in the parameters.

    Args:
        problem: from `build_problem`.
        params: the parameters that the states belong to.
        states: from `solve`.
    """

    def at_k(group: SystemGroup, contents: tuple, states: States) -> Array:
        wanted = states.energies[: group.n_levels], states.vectors[:, : group.n_levels]
        return energies_of_states(build_hamiltonian, contents, *wanted)

    levels = at_every_k(problem, params, at_k, jax.lax.stop_gradient(states))
    return on_every_device(problem, levels)


def on_every_device(problem: Problem, per_group: tuple[Any, ...]) -> tuple[Any, ...]:
    """Results of `at_every_k`, whole on every device."""
    pairs = zip(problem.groups, per_group, strict=True)
    return tuple(gathered(group.layout, found) for group, found in pairs)


def at_every_k(
    problem: Problem, params: dict, at_k: Callable[..., Any], given: Any = None
) -> tuple[Any, ...]:
    """`at_k(group, contents[, given at k])` at all k-points of all systems, group after group.

    `contents` is what `build_hamiltonian` takes; `given` has one pytree (system, kpt, ...) per
    group.
    """
    found = []
    for index, group in enumerate(problem.groups):
        per_k = () if given is None else (given[index],)
        found.append(over_group(partial(at_k, group), group, problem.channels, params, *per_k))
    return tuple(found)


def over_group(
    at_k: Callable[..., Any],
    group: SystemGroup,
    channels: Channels,
    params: dict,
    *per_k: Any,
    strain: Float[Array, "3 3"] | None = None,
) -> Any:
    """`at_k(contents, *per_k)` at every k-point of every system; results are (system, kpt, ...).

    Where the group lies on several devices, every device does its own systems and k-points.

    Args:
        at_k: a function of what `build_hamiltonian` takes, and of its part of `per_k`.
        group: systems and k-points.
        channels: of the problem.
        params: potential parameters.
        per_k: pytrees of arrays (system, kpt, ...).
        strain: of the crystals, as in `build_field`.
    """

    def share(
        tables: SystemTables, k_points: Array, shared: tuple[Channels, dict, Any], *per_k: Any
    ) -> Any:
        channels, params, strain = shared

        def one_system(tables: SystemTables, k_points: Array, *per_k: Any) -> Any:
            field = build_field(tables, channels, params, strain)
            return over_k(at_k, tables, channels, field, k_points, group.n_chunks, *per_k)

        return jax.vmap(one_system)(tables, k_points, *per_k)

    return on_devices(share, group, (channels, params, strain), *per_k)


def on_devices(share: Callable[..., Any], group: SystemGroup, shared: Any, *per_k: Any) -> Any:
    """`share(tables, k_points, shared, *per_k)`, with each device's part of all but `shared`.

    `per_k` and what `share` returns are trees of arrays (system, kpt, ...).
    """
    arguments = (group.tables, group.k_points, shared, *per_k)
    if group.layout is None:
        return share(*arguments)
    split = group.layout.per_k
    specs = (group.table_specs(group.layout), split, PartitionSpec(), *(split for _ in per_k))
    return spread(share, group.layout, specs, *arguments)


def over_k(
    at_k: Callable[..., Any],
    tables: SystemTables,
    channels: Channels,
    field: Field,
    k_points: Float[Array, "kpt 3"],
    n_chunks: int,
    *per_k: Any,
) -> Any:
    """`at_k(contents, *per_k)` at every k-point of a system, results stacked.

    Chunks run one after the other, which bounds the memory; the k-points of a chunk are vectorised.
    `contents` is what `build_hamiltonian` takes.
    """
    integers, mask = tables.wave_integers, tables.wave_mask
    if tables.own_sets:

        def point(k_point: Array, *rest: Any) -> Any:
            return at_k((tables, channels, field, k_point, *rest[:2]), *rest[2:])

        arguments = (k_points, integers, mask, *per_k)
    else:

        def point(k_point: Array, *rest: Any) -> Any:
            return at_k((tables, channels, field, k_point, integers[0], mask[0]), *rest)

        arguments = (k_points, *per_k)
    chunks = jax.tree.map(lambda leaf: leaf.reshape(n_chunks, -1, *leaf.shape[1:]), arguments)
    found = jax.lax.map(lambda chunk: jax.vmap(point)(*chunk), chunks)

    def flat(leaf: Array) -> Array:
        return leaf.reshape(leaf.shape[0] * leaf.shape[1], *leaf.shape[2:])

    return jax.tree.map(flat, found)


def build_hamiltonian(contents: tuple) -> Hamiltonian:
    """H at one k-point from `(tables, channels, field, k_point, integers, mask)`."""
    return hamiltonian_at(*contents)
