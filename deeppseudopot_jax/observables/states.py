"""The lowest states at every k-point, and their energies as functions of the parameters.

Solving and differentiating are apart: `solve` finds vectors, from a guess if there is one;
`levels_of` gives their expectation values, whose derivatives at fixed vectors are the
Hellmann-Feynman forces. Training keeps the vectors from step to step.
"""

from collections.abc import Callable
from typing import Any

import jax
from jax.sharding import PartitionSpec
from jaxtyping import Array, Float

from deeppseudopot_jax.batching import SystemGroup
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

Vectors = tuple[Array, ...]
"""Wave functions of every group of systems, each (system, kpt, row, block)."""


def solve(
    problem: Problem,
    params: dict,
    guess: Vectors | None = None,
) -> tuple[States, ...]:
    """The lowest states of every group, stacked over its systems and k-points; energies in Ha.

    Nothing here is differentiable. A state whose residual is above what the solver accepts, or NaN,
    has not been found: the caller must look at `residuals`.

    Args:
        problem: from `build_problem`.
        params: potential parameters.
        guess: vectors of an earlier solve, to start an iterative solver from.
    """
    found = []
    for index, group in enumerate(problem.groups):
        start = () if guess is None else (guess[index],)

        def at_k(contents: tuple, *start: Array, group: SystemGroup = group) -> States:
            operator = build_hamiltonian(contents)
            return problem.solver(operator, group.n_levels, start[0] if start else None)

        found.append(over_group(at_k, group, problem.channels, params, *start))
    return tuple(found)


def solve_levels(problem: Problem, params: dict) -> tuple[States, ...]:
    """`solve` with empty vectors: those of many k-points would fill the memory."""
    return tuple(
        states._replace(vectors=states.vectors[..., :0, :0]) for states in solve(problem, params)
    )


def levels_of(
    problem: Problem, params: dict, vectors: Vectors
) -> tuple[Float[Array, "system kpt level"], ...]:
    """Energies (Ha) of given states of every group, differentiable in the parameters.

    The wave functions are rebuilt on the grid in the backward pass, so that nothing but `vectors`
    is kept for every k-point.
    """
    found = []
    for group, states in zip(problem.groups, vectors, strict=True):
        wanted = jax.lax.stop_gradient(states[..., : group.n_levels])
        levels = over_group(_expectation, group, problem.channels, params, wanted)
        found.append(gathered(group.layout, levels))
    return tuple(found)


@jax.checkpoint
def _expectation(contents: tuple, states: Array) -> Array:
    return build_hamiltonian(contents).expectation(states)


def over_group(
    at_k: Callable[..., Any],
    group: SystemGroup,
    channels: Channels,
    params: dict,
    *per_k: Array,
    strain: Float[Array, "3 3"] | None = None,
) -> Any:
    """`at_k(contents, *per_k)` at every k-point of every system; results are (system, kpt, ...).

    Where the group lies on several devices, every device does its own systems and k-points.

    Args:
        at_k: a function of what `build_hamiltonian` takes, and of its part of `per_k`.
        group: systems and k-points.
        channels: of the problem.
        params: potential parameters.
        per_k: arrays (system, kpt, ...).
        strain: of the crystals, as in `build_field`.
    """

    def share(
        tables: SystemTables, k_points: Array, shared: tuple[Channels, dict, Any], *per_k: Array
    ) -> Any:
        channels, params, strain = shared

        def one_system(tables: SystemTables, k_points: Array, *per_k: Array) -> Any:
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
    *per_k: Array,
) -> Any:
    """`at_k(contents, *per_k)` at every k-point of a system, results stacked.

    Chunks run one after the other, which bounds the memory; the k-points of a chunk are vectorised.
    `contents` is what `build_hamiltonian` takes.
    """
    integers, mask = tables.wave_integers, tables.wave_mask
    if tables.own_sets:

        def point(k_point: Array, *rest: Array) -> Any:
            return at_k((tables, channels, field, k_point, *rest[:2]), *rest[2:])

        arguments = (k_points, integers, mask, *per_k)
    else:

        def point(k_point: Array, *rest: Array) -> Any:
            return at_k((tables, channels, field, k_point, integers[0], mask[0]), *rest)

        arguments = (k_points, *per_k)
    chunks = jax.tree.map(lambda leaf: leaf.reshape(n_chunks, -1, *leaf.shape[1:]), arguments)
    found = jax.lax.map(lambda chunk: jax.vmap(point)(*chunk), chunks)
    return jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), found)


def build_hamiltonian(contents: tuple) -> Hamiltonian:
    """H at one k-point from `(tables, channels, field, k_point, integers, mask)`."""
    return hamiltonian_at(*contents)
