"""What `test_lapack.py` does in processes of their own."""

import sys
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from threadpoolctl import threadpool_info

from deeppseudopot_jax.eigensolvers.dense import dense
from deeppseudopot_jax.eigensolvers.interface import Operator

jax.config.update("jax_enable_x64", True)


class Matrix(Operator):
    """An operator with the part that the dense solver uses."""

    def __init__(self, matrix: jax.Array) -> None:
        self._matrix = matrix

    def matrix(self) -> jax.Array:
        return self._matrix


def energies(matrices: jax.Array) -> jax.Array:
    return jax.vmap(lambda matrix: dense(Matrix(matrix), 3).energies)(matrices)


def hermitian(*shape: int) -> np.ndarray:
    parts = np.random.default_rng(0).normal(size=(2, *shape))
    matrices = parts[0] + 1j * parts[1]
    return matrices + matrices.conj().swapaxes(-1, -2)


def many_solves(rows: int, repetitions: int) -> None:
    """All devices solve at the same time, in one program and in programs of their own."""
    n = jax.device_count()
    mesh = Mesh(np.array(jax.devices()), ("kpt",))
    spec = PartitionSpec("kpt")

    @jax.jit
    @partial(jax.shard_map, mesh=mesh, in_specs=spec, out_specs=spec, check_vma=False)
    def sharded(matrices: jax.Array) -> jax.Array:
        chunks = matrices.reshape(3, -1, rows, rows)
        found = jax.lax.map(energies, chunks).reshape(-1, 3)
        return found + 0.0 * jax.lax.psum(jnp.sum(found), "kpt")

    matrices = hermitian(12 * n, rows, rows)
    expected = np.linalg.eigvalsh(matrices)[:, :3]
    on_devices = jax.device_put(matrices, NamedSharding(mesh, spec))
    for _ in range(repetitions):
        found = jax.block_until_ready(sharded(on_devices))
    assert np.allclose(found, expected)

    alone = jax.jit(energies)
    parts = [jax.device_put(matrices[i::n], device) for i, device in enumerate(jax.devices())]
    for _ in range(repetitions):
        several = jax.block_until_ready([alone(part) for part in parts])
    assert all(np.allclose(found, expected[i::n]) for i, found in enumerate(several))


def compile_once() -> None:
    """Prints how many programs came from the cache, and the energies."""
    hits = []
    matrices = jnp.asarray(hermitian(4, 8, 8))
    lowered = jax.jit(energies).lower(matrices)
    jax.monitoring.register_event_listener(
        lambda event, **_: hits.append(event) if event.endswith("/cache_hits") else None
    )
    compiled = lowered.compile()
    print(len(hits), *np.asarray(compiled(matrices)).ravel().tolist())


def blas_threads() -> None:
    """Prints the threads of SciPy's BLAS after the imports, and after a solve."""

    def tell() -> None:
        libraries = [each for each in threadpool_info() if "scipy.libs" in each["filepath"]]
        print(*(library["num_threads"] for library in libraries))

    tell()
    jax.block_until_ready(energies(jnp.asarray(hermitian(2, 8, 8))))
    tell()


if __name__ == "__main__":
    if sys.argv[1] == "threads":
        blas_threads()
    elif sys.argv[1] == "solve":
        many_solves(6, 300)
        many_solves(40, 100)
    else:
        compile_once()
