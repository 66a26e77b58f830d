"""Dense diagonalisation: the reference that needs no guess and misses nothing.

On a CPU, LAPACK's subset driver computes only the wanted states, several times faster than a full
`eigh`; JAX does not expose it, so `lapack_ffi` does. Elsewhere JAX's own `eigh` runs on the device.
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import Array, Complex, Float

from deeppseudopot_jax.eigensolvers.interface import FOR_RESULTS, Accuracy, Operator, States
from deeppseudopot_jax.eigensolvers.lapack_ffi import subset_eigenpairs


@dataclass(frozen=True)
class Dense:
    """Diagonalises the whole matrix; a matrix with NaN or infinite entries gives NaN states."""

    def first_guess(self, operator: Operator, n: int) -> None:
        """None is needed."""

    def __call__(
        self,
        operator: Operator,
        n: int,
        guess: States | None = None,
        accuracy: Accuracy = FOR_RESULTS,
    ) -> States:
        """The `n` lowest states; neither guess nor accuracy is needed: it knows but the best."""
        del guess, accuracy
        matrix = operator.matrix()
        energies, vectors = jax.lax.platform_dependent(
            matrix, cpu=lambda m: subset_eigenpairs(m, n), default=lambda m: _device(m, n)
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
