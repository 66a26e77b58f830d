"""Padding and grouping: systems of similar size share one vmap, k-points come in chunks.

This is the one place that knows about padded arrays' natural sizes, and how a group lies on several
devices.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import reduce
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import PartitionSpec
from jaxtyping import Array, Bool, Float

from deeppseudopot_jax.hamiltonian.tables import SystemTables, TableSizes, UnpaddedTables
from deeppseudopot_jax.numerics import host_array, repeat_last
from deeppseudopot_jax.parallel import Layout, placed
from deeppseudopot_jax.records import record, static

_LARGEST_GROWTH = 1.08
"""Waves of a padded system over its own; the cost of a dense solve grows with the cube."""

_CHUNK_BYTES = {"cpu": 8 * 2**20}
_CHUNK_BYTES_ELSEWHERE = 512 * 2**20
"""Dense matrices of one chunk of k-points stay below this: a chunk's vectors fit into the caches of
a CPU, and are many enough for an accelerator."""


@record
class SystemGroup:
    """Systems padded to common sizes and stacked along a leading axis.

    `n_k` counts the k-points of every system without padding, `n_chunks` is what one device works
    through; `layout` is None where one device has everything.
    """

    tables: SystemTables
    k_points: Float[Array, "system kpt 3"]
    members: tuple[int, ...] = static()
    n_k: tuple[int, ...] = static()
    n_levels: int = static()
    n_chunks: int = static()
    layout: Layout | None = static()

    def table_specs(self, layout: Layout) -> Any:
        """The split of every table: over systems, and over k-points where these own their sets."""
        specs: Any = jax.tree.map(lambda _: layout.per_system, self.tables)
        if self.tables.own_sets:
            specs = replace(specs, wave_integers=layout.per_k, wave_mask=layout.per_k)
        return specs


def group_systems(
    systems: Sequence[UnpaddedTables], levels: Sequence[int], dtype: jnp.dtype
) -> tuple[SystemGroup, ...]:
    """Groups of systems whose basis sizes differ by less than 8 %, largest first, in NumPy.

    Args:
        systems: tables of every system, in the problem's order.
        levels: number of eigenvalues needed of every system.
        dtype: real dtype of the arrays.
    """
    order = sorted(range(len(systems)), key=lambda i: -systems[i].sizes.waves)
    groups: list[list[int]] = []
    for index in order:
        if groups and _may_join(systems[groups[-1][0]], systems[index]):
            groups[-1].append(index)
        else:
            groups.append([index])
    return tuple(_stack(systems, levels, tuple(sorted(group)), dtype) for group in groups)


def _may_join(largest: UnpaddedTables, other: UnpaddedTables) -> bool:
    same_layout = largest.waves.own_sets == other.waves.own_sets
    return same_layout and largest.sizes.waves <= _LARGEST_GROWTH * other.sizes.waves


def _stack(
    systems: Sequence[UnpaddedTables],
    levels: Sequence[int],
    members: tuple[int, ...],
    dtype: jnp.dtype,
) -> SystemGroup:
    sizes: TableSizes = reduce(TableSizes.union, (systems[i].sizes for i in members))
    n_k = tuple(len(systems[i].k_points) for i in members)
    dimension = systems[members[0]].n_spin * sizes.waves
    n_chunks, padded = chunks(max(n_k), len(members) * dimension**2, dtype)
    tables = [systems[i].padded(sizes, padded, dtype) for i in members]
    k_points = [repeat_last(systems[i].k_points, padded) for i in members]
    return SystemGroup(
        jax.tree.map(lambda *leaves: np.stack(leaves), *tables),
        host_array(np.stack(k_points), dtype),
        members,
        n_k,
        max(levels[i] for i in members),
        n_chunks,
        None,
    )


def laid_out(group: SystemGroup, layout: Layout) -> SystemGroup:
    """The same group on the devices of a mesh.

    Args:
        group: in NumPy, or on one device.
        layout: how systems and k-points are split; it must divide the systems.
    """
    n_k = max(group.n_k)
    elements = len(group.members) // layout.system_shards * group.tables.dimension**2
    n_chunks, padded = chunks(n_k, elements, group.k_points.dtype, layout.kpt_shards)

    def place(leaf: Array, spec: PartitionSpec) -> Any:
        whole = np.asarray(leaf)
        if spec == layout.per_k:
            whole = np.stack([repeat_last(of_system[:n_k], padded) for of_system in whole])
        return placed(layout.mesh, spec, whole)

    return replace(
        group,
        tables=jax.tree.map(place, group.tables, group.table_specs(layout)),
        k_points=place(group.k_points, layout.per_k),
        n_chunks=n_chunks,
        layout=layout,
    )


def chunks(n_k: int, matrix_elements: int, dtype: jnp.dtype, shards: int = 1) -> tuple[int, int]:
    """Chunks of one device, and k-points padded to fill all devices, that bound the matrices.

    Args:
        n_k: k-points of one system.
        matrix_elements: of all systems that one device vectorises, at one k-point.
        dtype: real dtype.
        shards: parts that the k-points are split into.
    """
    chunk = max(1, _allowed_bytes() // (2 * np.dtype(dtype).itemsize * matrix_elements))
    local = -(-n_k // shards)
    n_chunks = -(-local // chunk)
    return n_chunks, shards * n_chunks * -(-local // n_chunks)


def replicas_together(groups: Sequence[SystemGroup], n: int) -> int:
    """How many of `n` copies of a calculation to do at a time: a divisor of `n`.

    The matrices of one chunk of k-points of all copies stay within the same bound.
    """

    def chunk_bytes(group: SystemGroup) -> int:
        systems, n_k = group.k_points.shape[:2]
        shards = 1 if group.layout is None else group.layout.kpt_shards
        size = 2 * group.k_points.dtype.itemsize
        return systems * n_k // (shards * group.n_chunks) * group.tables.dimension**2 * size

    largest = max(1, _allowed_bytes() // max(map(chunk_bytes, groups)))
    return max(count for count in range(1, n + 1) if n % count == 0 and count <= largest)


def in_batches(
    work: Callable[..., Any],
    together: int,
    active: Bool[Array, " replica"],
    otherwise: Any,
    arguments: tuple[Any, ...],
) -> Any:
    """`work(*arguments)` of the active replicas, `otherwise` of the others.

    Batches of `together` replicas come one after the other, so that their matrices fit into memory
    (or caches); a batch without an active replica costs nothing. All trees are (replica, ...).
    """

    def batch(given: tuple[Array, Any, tuple[Any, ...]]) -> Any:
        active, otherwise, arguments = given

        def done() -> Any:
            return select(active, jax.vmap(work)(*arguments), otherwise)

        return jax.lax.cond(jnp.any(active), done, lambda: otherwise)

    def single(given: tuple[Array, Any, tuple[Any, ...]]) -> Any:
        active, otherwise, arguments = given
        return jax.lax.cond(active, lambda: work(*arguments), lambda: otherwise)

    if together == 1:  # small batches are slower than what they are made of
        return jax.lax.map(single, (active, otherwise, arguments))

    def split(leaf: Array) -> Array:
        return leaf.reshape(-1, together, *leaf.shape[1:])

    found = jax.lax.map(batch, jax.tree.map(split, (active, otherwise, arguments)))
    return jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), found)


def select(where: Bool[Array, " replica"], new: Any, old: Any) -> Any:
    """`new` of the replicas where it holds, `old` of the others."""

    def leaf(new: Array, old: Array) -> Array:
        return jnp.where(where.reshape(-1, *[1] * (new.ndim - 1)), new, old)

    return jax.tree.map(leaf, new, old)


def _allowed_bytes() -> int:
    return _CHUNK_BYTES.get(jax.default_backend(), _CHUNK_BYTES_ELSEWHERE)
