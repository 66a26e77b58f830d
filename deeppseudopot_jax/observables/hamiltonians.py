"""H of every system at every k-point for one set of parameters, and work done at all of them.

What is costly to compile works on `Hamiltonians`: no model of the local potential is left in them,
so a network, the analytic form and a table share one compiled eigensolver.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec
from jaxtyping import Array, Float

from deeppseudopot_jax.batching import SystemGroup
from deeppseudopot_jax.eigensolvers.interface import Solver
from deeppseudopot_jax.hamiltonian.assemble import (
    AtK,
    Channels,
    Field,
    SeparableChannel,
    build_field,
)
from deeppseudopot_jax.hamiltonian.tables import SystemTables
from deeppseudopot_jax.parallel import gathered, spread
from deeppseudopot_jax.parameters import Parameters
from deeppseudopot_jax.problem import Problem
from deeppseudopot_jax.records import record, static


@record
class Hamiltonians:
    """The parameter-free tables of every group of systems with the fields of some parameters.

    Leaves of a group's field are stacked over its systems.
    """

    groups: tuple[SystemGroup, ...]
    separable: tuple[SeparableChannel, ...]
    fields: tuple[Field, ...]
    solver: Solver = static()


def hamiltonians(problem: Problem, params: Parameters) -> Hamiltonians:
    """H everywhere, for use inside jitted functions; differentiable in the parameters."""
    return _joined(problem, fields_of(problem, params))


def prepared(problem: Problem, params: Parameters) -> Hamiltonians:
    """The same from a small compiled program, for functions that are compiled apart from it."""
    return _joined(problem, _compiled_fields(problem, params))


def fields_of(problem: Problem, params: Parameters) -> tuple[Field, ...]:
    """The k-independent halves of H, group after group."""
    return tuple(group_field(group, problem.channels, params) for group in problem.groups)


def group_field(
    group: SystemGroup,
    channels: Channels,
    params: Parameters,
    strain: Float[Array, "3 3"] | None = None,
) -> Field:
    """The fields of a group's systems, of crystals deformed by `strain` as in `build_field`."""

    def share(tables: SystemTables, shared: tuple[Channels, Parameters, Any]) -> Field:
        return jax.vmap(lambda tables: build_field(tables, *shared))(tables)

    shared = channels, params, strain
    if group.layout is None:
        return share(group.tables, shared)
    specs = group.table_specs(group.layout), PartitionSpec()
    field: Field = spread(share, group.layout, specs, group.layout.per_system, group.tables, shared)
    return field


def at_every_k(
    everywhere: Hamiltonians, at_k: Callable[..., Any], given: Any = None, shared: Any = ()
) -> tuple[Any, ...]:
    """`at_k(group, point[, given at k], *shared)` at all k-points, group after group.

    `given` has one pytree (system, kpt, ...) per group, `shared` is the same everywhere.
    """
    found = []
    for index, (group, field) in enumerate(zip(everywhere.groups, everywhere.fields, strict=True)):
        per_k = () if given is None else (given[index],)
        work = partial(at_k, group)
        found.append(over_group(work, group, everywhere.separable, field, *per_k, shared=shared))
    return tuple(found)


def over_group(
    at_k: Callable[..., Any],
    group: SystemGroup,
    separable: tuple[SeparableChannel, ...],
    field: Field,
    *per_k: Any,
    shared: Any = (),
) -> Any:
    """`at_k(point, *per_k, *shared)` at every k-point of every system.

    Results are (system, kpt, ...).

    Where the group lies on several devices, every device does its own systems and k-points.

    Args:
        at_k: a function of a point, of its part of `per_k` and of what is `shared`.
        group: systems and k-points.
        separable: channels of the problem.
        field: of the group's systems.
        per_k: pytrees of arrays (system, kpt, ...).
        shared: traced arrays that `at_k` needs; closing over them would not do on a mesh.
    """

    def share(
        tables: SystemTables, k_points: Array, field: Field, given: tuple[Any, Any], *per_k: Any
    ) -> Any:
        separable, shared = given

        def everything(point: AtK, *per_k: Any) -> Any:
            return at_k(point, *per_k, *shared)

        def one_system(tables: SystemTables, k_points: Array, field: Field, *per_k: Any) -> Any:
            return over_k(everything, tables, separable, field, k_points, group.n_chunks, *per_k)

        return jax.vmap(one_system)(tables, k_points, field, *per_k)

    return on_devices(share, group, field, (separable, shared), *per_k)


def on_devices(
    share: Callable[..., Any], group: SystemGroup, field: Field, shared: Any, *per_k: Any
) -> Any:
    """`share(tables, k_points, field, shared, *per_k)` on every device.

    Each gets its part of all but `shared`. `per_k` and what `share` returns are trees of arrays
    (system, kpt, ...).
    """
    arguments = (group.tables, group.k_points, field, shared, *per_k)
    layout = group.layout
    if layout is None:
        return share(*arguments)
    split = layout.per_k
    specs = (group.table_specs(layout), split, layout.per_system, PartitionSpec())
    return spread(share, layout, (*specs, *(split for _ in per_k)), split, *arguments)


def over_k(
    at_k: Callable[..., Any],
    tables: SystemTables,
    separable: tuple[SeparableChannel, ...],
    field: Field,
    k_points: Float[Array, "kpt 3"],
    n_chunks: int,
    *per_k: Any,
) -> Any:
    """`at_k(point, *per_k)` at every k-point of a system, results stacked.

    Chunks run one after the other, which bounds the memory; the k-points of a chunk are vectorised.
    """
    at, chunks = _chunked(at_k, tables, separable, field, k_points, n_chunks, *per_k)
    found = jax.lax.map(lambda chunk: jax.vmap(at)(*chunk), chunks)

    def flat(leaf: Array) -> Array:
        return leaf.reshape(leaf.shape[0] * leaf.shape[1], *leaf.shape[2:])

    return jax.tree.map(flat, found)


def summed_over_k(
    at_k: Callable[..., Any],
    group: SystemGroup,
    separable: tuple[SeparableChannel, ...],
    field: Field,
    per_system: Any,
    *per_k: Any,
) -> Any:
    """The sum of `at_k(point, of_system, *per_k)` over the k-points of every system of a group.

    As `over_group`, but nothing that grows with the number of k-points is kept. Results are
    (system, ...), those of padded k-points must be zero.

    Args:
        at_k: a function of a point, of the system's part of `per_system` and of the point's.
        group: systems and k-points.
        separable: channels of the problem.
        field: of the group's systems.
        per_system: a pytree of arrays (system, ...).
        per_k: pytrees of arrays (system, kpt, ...).
    """
    layout = group.layout

    def one_system(
        separable: tuple[SeparableChannel, ...],
        tables: SystemTables,
        k_points: Array,
        field: Field,
        of_system: Any,
        *per_k: Any,
    ) -> Any:
        def everything(point: AtK, *per_k: Any) -> Any:
            return at_k(point, of_system, *per_k)

        arguments = tables, separable, field, k_points, group.n_chunks
        at, chunks = _chunked(everything, *arguments, *per_k)

        def of_chunk(chunk: Any) -> Any:
            return jax.tree.map(lambda leaf: leaf.sum(axis=0), jax.vmap(at)(*chunk))

        def add_chunk(total: Any, chunk: Any) -> tuple[Any, None]:
            return jax.tree.map(jnp.add, total, of_chunk(chunk)), None

        one_chunk = jax.tree.map(lambda leaf: leaf[0], chunks)
        zeros = jax.tree.map(
            lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), jax.eval_shape(of_chunk, one_chunk)
        )
        return jax.lax.scan(add_chunk, zeros, chunks)[0]

    def share(separable: tuple[SeparableChannel, ...], *arguments: Any) -> Any:
        found = jax.vmap(partial(one_system, separable))(*arguments)
        return found if layout is None else jax.lax.psum(found, layout.kpt_axes)

    arguments = (separable, group.tables, group.k_points, field, per_system, *per_k)
    if layout is None:
        return share(*arguments)
    whole, split = layout.per_system, layout.per_k
    specs = (PartitionSpec(), group.table_specs(layout), split, whole, whole)
    return spread(share, layout, (*specs, *(split for _ in per_k)), whole, *arguments)


def _chunked(
    at_k: Callable[..., Any],
    tables: SystemTables,
    separable: tuple[SeparableChannel, ...],
    field: Field,
    k_points: Float[Array, "kpt 3"],
    n_chunks: int,
    *per_k: Any,
) -> tuple[Callable[..., Any], Any]:
    """`at_k` as a function of what belongs to one k-point, and that of all, chunk after chunk."""
    sets = (tables.wave_integers, tables.wave_mask)
    own = sets if tables.own_sets else ()

    def at(k_point: Array, own: tuple[Array, ...], *rest: Any) -> Any:
        integers, mask = own or (leaf[0] for leaf in sets)
        return at_k(AtK(tables, separable, field, k_point, integers, mask), *rest)

    def in_chunks(leaf: Array) -> Array:
        return leaf.reshape(n_chunks, leaf.shape[0] // n_chunks, *leaf.shape[1:])

    return at, jax.tree.map(in_chunks, (k_points, own, *per_k))


def on_every_device(groups: tuple[SystemGroup, ...], per_group: tuple[Any, ...]) -> tuple[Any, ...]:
    """Results of `at_every_k`, whole on every device."""
    pairs = zip(groups, per_group, strict=True)
    return tuple(gathered(group.layout, found) for group, found in pairs)


def _joined(problem: Problem, fields: tuple[Field, ...]) -> Hamiltonians:
    return Hamiltonians(problem.groups, problem.channels.separable, fields, problem.solver)


_compiled_fields = jax.jit(fields_of)
