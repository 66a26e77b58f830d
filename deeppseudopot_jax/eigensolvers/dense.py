"""Dense diagonalisation: the reference that needs no guess and misses nothing.

On a CPU, LAPACK's subset driver computes only the wanted states, several times faster than a full
`eigh`; JAX does not expose it, so it is called on the host. Elsewhere JAX's own `eigh` runs on the
device.
"""

from contextlib import suppress
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import scipy.linalg
from jaxtyping import Array, Complex, Float

from deeppseudopot_jax.eigensolvers.blas_threads import threads_for
from deeppseudopot_jax.eigensolvers.interface import Operator, States


@dataclass(frozen=True)
class Dense:
    """Diagonalises the whole matrix; a matrix with NaN or infinite entries gives NaN states."""

    accepted: float = float("inf")

    def following(self) -> "Dense":
        """Itself: it knows no accuracy but the best."""
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
        residuals = jnp.linalg.norm(matrix @ vectors - vectors * energies, axis=0)
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
    return jax.pure_callback(
        lambda matrices: _solve_batch(np.asarray(matrices), n),
        shapes,
        matrix,
        vmap_method="broadcast_all",
    )


def _solve_batch(matrices: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Lowest states of a stack of matrices (..., row, row), one after the other."""
    batch = matrices.shape[:-2]
    size = matrices.shape[-1]
    energies = np.full((*batch, n), np.nan, np.finfo(matrices.dtype).dtype)
    vectors = np.full((*batch, size, n), np.nan, matrices.dtype)
    with threads_for(size):
        for index in np.ndindex(batch):
            if np.isfinite(matrices[index]).all():
                with suppress(scipy.linalg.LinAlgError):  # what was not found stays NaN
                    energies[index], vectors[index] = scipy.linalg.eigh(
                        matrices[index], subset_by_index=(0, n - 1), check_finite=False
                    )
    return energies, vectors
