"""Several devices: a mesh over systems, k-points and replicas, and work that is spread over it.

Every device works through the chunks of its own systems and k-points (`shard_map`); only energies
and gradients are exchanged. Without a layout the same functions run as they are.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from deeppseudopot_jax.errors import InputError

SYSTEM, KPT, REPLICA = "system", "kpt", "replica"

Tree = TypeVar("Tree")


@dataclass(frozen=True)
class Layout:
    """How the systems and k-points of one group lie on a mesh: the axes they are split over."""

    mesh: Mesh
    system_axes: tuple[str, ...]
    kpt_axes: tuple[str, ...]

    @property
    def system_shards(self) -> int:
        """Parts that the systems are split into."""
        return self._size(self.system_axes)

    @property
    def kpt_shards(self) -> int:
        """Parts that the k-points of every system are split into."""
        return self._size(self.kpt_axes)

    @property
    def per_system(self) -> P:
        """Of an array with a leading axis of systems."""
        return P(self.system_axes)

    @property
    def per_k(self) -> P:
        """Of an array with leading axes of systems and k-points."""
        return P(self.system_axes, self.kpt_axes)

    def _size(self, axes: tuple[str, ...]) -> int:
        return int(np.prod([self.mesh.shape[axis] for axis in axes], dtype=int))


def layout_of(mesh: Mesh, n_systems: int) -> Layout:
    """Systems over their axis where it divides them, else k-points over both axes."""
    if n_systems % mesh.shape[SYSTEM]:
        return Layout(mesh, (), (SYSTEM, KPT))
    return Layout(mesh, (SYSTEM,), (KPT,))


def device_mesh(devices: Sequence[jax.Device], n_systems: int, replicas: int) -> Mesh:
    """Devices in `n_systems` parts for systems, `replicas` for replicas, the rest for k-points.

    Raises:
        InputError: if these do not divide the number of devices.
    """
    if len(devices) % (n_systems * replicas):
        raise InputError(
            f"{len(devices)} devices cannot be split into {n_systems} parts for systems times "
            f"{replicas} for replicas"
        )
    shape = n_systems, -1, replicas
    return Mesh(np.array(devices).reshape(shape), (SYSTEM, KPT, REPLICA))


def replica_mesh(n: int) -> Mesh | None:
    """All devices in one row, where they are several and divide `n` replicas; else None."""
    devices = jax.devices()
    if len(devices) == 1 or n % len(devices):
        return None
    return Mesh(np.array(devices), (REPLICA,))


def best_system_split(groups: Sequence[tuple[int, int, int]], n_devices: int) -> int:
    """Parts of the axis of systems with which the busiest device has the least to do.

    Args:
        groups: number of systems, of k-points and of rows of H of every group of systems.
        n_devices: for systems and k-points.
    """

    def work(parts: int) -> int:
        total = 0
        for systems, k_points, rows in groups:
            splits = systems % parts == 0  # as `layout_of` has it
            local_systems = systems // parts if splits else systems
            local_k_points = -(-k_points // (n_devices // parts if splits else n_devices))
            total += local_systems * local_k_points * rows**3
        return total

    return min((i for i in range(1, n_devices + 1) if n_devices % i == 0), key=work)


def spread(
    work: Callable[..., Any],
    layout: Layout,
    in_specs: tuple[Any, ...],
    out_specs: P,
    *arguments: Any,
) -> Any:
    """`work(*arguments)`, every device with its part.

    Args:
        work: a function of the parts that one device holds.
        layout: of the group.
        in_specs: the split of every argument.
        out_specs: of the results.
        arguments: trees of arrays.
    """
    # A solver's loops start from constants, which the check of replication would refuse.
    mapped = jax.shard_map(
        work, mesh=layout.mesh, in_specs=in_specs, out_specs=out_specs, check_vma=False
    )
    return mapped(*arguments)


def gathered(layout: Layout | None, tree: Tree) -> Tree:
    """The same arrays, whole on every device; for use inside jitted functions."""
    if layout is None:
        return tree
    return jax.lax.with_sharding_constraint(tree, NamedSharding(layout.mesh, P()))


def placed(mesh: Mesh | None, spec: P, tree: Tree) -> Tree:
    """Arrays that every process holds whole, split over the mesh; as they are without one.

    With `P()` every device holds a copy, with `P(REPLICA)` its part of a leading axis of replicas
    (to be used under `jax.vmap(..., spmd_axis_name=REPLICA)`). Nothing is sent: each process cuts
    out its own parts.
    """
    if mesh is None:
        return tree
    sharding = NamedSharding(mesh, spec)

    def place(leaf: jax.Array) -> jax.Array:
        if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            return jax.random.wrap_key_data(place(jax.random.key_data(leaf)))
        whole = np.asarray(leaf)
        return jax.make_array_from_callback(whole.shape, sharding, lambda part: whole[part])

    return jax.tree.map(place, tree)


def local(tree: Tree) -> Tree:
    """Arrays that all devices hold whole, as arrays of this process alone."""

    def fetch(leaf: Any) -> Any:
        if isinstance(leaf, jax.Array) and not leaf.is_fully_addressable:
            return jnp.asarray(np.asarray(leaf))
        return leaf

    return jax.tree.map(fetch, tree)


def on_host(tree: Any) -> Any:
    """NumPy copies of arrays that may be spread over processes, which all have to call this."""

    def fetch(leaf: jax.Array) -> np.ndarray:
        if not (leaf.is_fully_addressable or leaf.is_fully_replicated):
            leaf = multihost_utils.process_allgather(leaf, tiled=True)
        return np.asarray(leaf)

    return jax.tree.map(fetch, tree)
