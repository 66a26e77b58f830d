"""Padding and grouping: systems of similar size share one vmap, k-points come in chunks.

This is the one place that knows about padded arrays' natural sizes.
"""

from collections.abc import Sequence
from functools import reduce

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from deeppseudopot_jax.hamiltonian.tables import SystemTables, TableSizes, UnpaddedTables
from deeppseudopot_jax.numerics import repeat_last
from deeppseudopot_jax.records import record, static

_LARGEST_GROWTH = 1.08
"""Waves of a padded system over its own; the cost of a dense solve grows with the cube."""

_CHUNK_BYTES = {"cpu": 8 * 2**20}
_CHUNK_BYTES_ELSEWHERE = 512 * 2**20
"""Dense matrices of one chunk of k-points stay below this: a chunk's vectors fit into the caches of
a CPU, and are many enough for an accelerator."""


@record
class SystemGroup:
    """Systems padded to common sizes and stacked along a leading axis."""

    tables: SystemTables
    k_points: Float[Array, "system kpt 3"]
    members: tuple[int, ...] = static()
    n_levels: int = static()
    n_chunks: int = static()


def group_systems(
    systems: Sequence[UnpaddedTables], levels: Sequence[int], dtype: jnp.dtype
) -> tuple[SystemGroup, ...]:
    """Groups of systems whose basis sizes differ by less than 8 %, largest first.

    Args:
        systems: tables of every system, in the problem's order.
        levels: number of eigenvalues needed of every system.
        dtype: real dtype of the device arrays.
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
    n_k = max(len(systems[i].system.k_points) for i in members)
    dimension = systems[members[0]].n_spin * sizes.waves
    n_chunks, n_k = chunks(n_k, len(members) * dimension**2, dtype)
    tables = [systems[i].padded(sizes, n_k, dtype) for i in members]
    k_points = [repeat_last(systems[i].system.k_points, n_k) for i in members]
    return SystemGroup(
        jax.tree.map(lambda *leaves: jnp.stack(leaves), *tables),
        jnp.asarray(np.stack(k_points), dtype),
        members,
        max(levels[i] for i in members),
        n_chunks,
    )


def chunks(n_k: int, matrix_elements: int, dtype: jnp.dtype) -> tuple[int, int]:
    """Number of chunks, and of k-points padded to fill them, that bound the matrices of one."""
    allowed = _CHUNK_BYTES.get(jax.default_backend(), _CHUNK_BYTES_ELSEWHERE)
    chunk = max(1, allowed // (2 * np.dtype(dtype).itemsize * matrix_elements))
    n_chunks = -(-n_k // chunk)
    return n_chunks, n_chunks * -(-n_k // n_chunks)
