"""An approximate inverse of H - E: exact among few plane waves, diagonal among the others.

The potential couples the waves of low kinetic energy strongly, so there the inverse comes from an
eigendecomposition; far above, the kinetic energy is all that counts. The decomposition may be
old: it only steers the iteration, and what steers need not be exact.
"""

import jax.numpy as jnp
from jaxtyping import Array, Complex, Float, Int

from deeppseudopot_jax.eigensolvers.interface import Operator
from deeppseudopot_jax.eigensolvers.rayleigh_ritz import hermitian_eigh
from deeppseudopot_jax.eigensolvers.single_precision import single
from deeppseudopot_jax.records import record

_FLOOR = 0.1
"""Ha: distances to E below this count as this much, which keeps the inverse positive definite."""


@record
class Preconditioner:
    """Eigenvectors of H among the waves of lowest kinetic energy, in single precision.

    `places` has the position of every row among `rows`, or a number beyond. `offset` (Ha) is the
    mean potential, which with the kinetic energy makes up the diagonal.
    """

    rows: Int[Array, " low"]
    places: Int[Array, " row"]
    energies: Float[Array, " low"]
    vectors: Complex[Array, "low low"]
    offset: Float[Array, ""]

    def __call__(
        self,
        residuals: Complex[Array, "row band"],
        energies: Float[Array, " band"],
        kinetic: Float[Array, " row"],
    ) -> Complex[Array, "row band"]:
        """About |H - E|^-1 times every column, E its energy (Ha)."""
        heights = kinetic[:, None] + self.offset - energies[None, :]
        direct = residuals * (1.0 / jnp.maximum(heights, _FLOOR)).astype(residuals.dtype)
        components = self.vectors.conj().T @ residuals[self.rows].astype(self.vectors.dtype)
        distances = jnp.abs(self.energies[:, None].astype(energies.dtype) - energies[None, :])
        inverse = 1.0 / jnp.maximum(distances, _FLOOR)
        low = self.vectors @ (components * inverse.astype(components.dtype))
        return self._among_all(low.astype(residuals.dtype), direct)

    def states(self, n: int) -> Complex[Array, "row band"]:
        """The lowest `n` states of the low part, as vectors of the whole operator."""
        return self._among_all(self.vectors[:, :n], jnp.zeros((), self.vectors.dtype))

    def _among_all(self, low: Array, otherwise: Array) -> Array:
        found = low[jnp.minimum(self.places, low.shape[0] - 1)]
        return jnp.where(self.places[:, None] < low.shape[0], found, otherwise)


def low_part(
    operator: Operator, n: int
) -> tuple[Preconditioner, Float[Array, " low"], Complex[Array, "low low"]]:
    """The preconditioner from about `n` rows of lowest kinetic energy, and their eigenstates."""
    small, rows = operator.restricted(n)
    matrix = small.matrix()
    energies, vectors = hermitian_eigh(matrix)
    offset = jnp.mean(jnp.diagonal(matrix).real - small.kinetic_energies())
    n_rows, n_low = operator.kinetic_energies().shape[0], rows.shape[0]
    places = jnp.full(n_rows, n_low, rows.dtype).at[rows].set(jnp.arange(n_low, dtype=rows.dtype))
    light_energies, light_vectors = single((energies, vectors))
    preconditioner = Preconditioner(rows, places, light_energies, light_vectors, offset)
    return preconditioner, energies, vectors
