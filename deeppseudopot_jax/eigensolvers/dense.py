"""Dense diagonalisation: the reference that needs no guess and misses nothing.

On a CPU, LAPACK's subset driver computes only the wanted states, several times faster than a full
`eigh`; JAX does not expose it, so it is called on the host. Elsewhere JAX's own `eigh` runs on the
device.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental.buffer_callback import Buffer, ExecutionContext, buffer_callback
from jaxtyping import Array, Complex, Float

from deeppseudopot_jax.eigensolvers.interface import Operator, States
from deeppseudopot_jax.eigensolvers.lapack import lowest_eigenpairs


@dataclass(frozen=True)
class Dense:
    """Diagonalises the whole matrix; a matrix with NaN or infinite entries gives NaN states."""

    accepted: float = float("inf")

    def following(self) -> "Dense":
        """Itself: it knows no accuracy but the best."""
        return self

    def for_energies(self) -> "Dense":
        """The same solver."""
        return self

    def first_guess(self, operator: Operator, n: int) -> None:
        """None is needed."""

    def __call__(self, operator: Operator, n: int, guess: States | None = None) -> States:
        """The `n` lowest states; `guess` is not needed."""
        del guess
        matrix = operator.matrix()
        energies, vectors = jax.lax.platform_dependent(
            matrix, cpu=lambda m: _lapack_subset(m, n), default=lambda m: _device(m, n)
        )
        shifted = vectors * energies[None, :].astype(vectors.dtype)
        residuals = jnp.linalg.norm(matrix @ vectors - shifted, axis=0)
        return States(energies, vectors, residuals)


dense = Dense()


def _device(
    matrix: Complex[Array, "row row"], n: int
) -> tuple[Float[Array, " band"], Complex[Array, "row band"]]:
    # The upper triangle: complex batched eigh of the lower one has returned NaN on some GPUs.
    vectors, energies = jax.lax.linalg.eigh(matrix, lower=False, sort_eigenvalues=True)
    return energies[:n], vectors[:, :n]


def _lapack_subset(
    matrix: Complex[Array, "row row"], n: int
) -> tuple[Float[Array, " band"], Complex[Array, "row band"]]:
    real = jnp.finfo(matrix.dtype).dtype
    shapes = (
        jax.ShapeDtypeStruct((n,), real),
        jax.ShapeDtypeStruct((matrix.shape[-1], n), matrix.dtype),
    )
    # Not `pure_callback`: it makes JAX arrays of the arguments, and reading these can wait forever
    # for threads that wait for this callback (docs/performance.md).
    solve = buffer_callback(_solve, shapes, vmap_method="broadcast_all")
    energies, vectors = solve(matrix)
    return energies, vectors


def _solve(context: ExecutionContext, out: Sequence[Buffer], matrices: Buffer) -> None:
    del context
    energies, vectors = out
    lowest_eigenpairs(np.asarray(matrices), np.asarray(energies), np.asarray(vectors))
