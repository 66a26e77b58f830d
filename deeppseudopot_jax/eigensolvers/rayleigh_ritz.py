"""Rayleigh-Ritz in a basis that may be nearly dependent: the small problem of a block method."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Complex, Float

from deeppseudopot_jax.eigensolvers.one_by_one import one_by_one_on_cpu

_ABOVE = 10.0
"""Ha above the block: where dependent directions are put, out of the way."""

_DEPENDENT = 1e-6
"""Pivots of a Gram matrix below this fraction of the largest one are linear dependence."""


@one_by_one_on_cpu
def lowest_combinations(
    gram: Complex[Array, "basis basis"],
    matrix: Complex[Array, "basis basis"],
    energies: Float[Array, " block"],
    rounding: Float[Array, ""],
) -> tuple[Float[Array, " block"], Complex[Array, "basis block"]]:
    """The lowest Ritz values and the combinations of basis vectors that belong to them.

    The basis starts with the current block, which is orthonormal and diagonal in the operator; what
    follows may be dependent, or zero. A small multiple d of the identity makes its Gram matrix
    positive definite, and the same times an energy above the block keeps the directions that exist
    by grace of d out of the answer. The block is then made exact in its own span.

    Args:
        gram: overlaps of the basis.
        matrix: the operator in the basis.
        energies: of the current block (Ha).
        rounding: relative precision of `matrix` outside the block.
    """
    block = energies.shape[0]
    added = (jnp.arange(gram.shape[0]) >= block).astype(energies.dtype)
    lengths = jnp.diagonal(gram).real
    scale = jnp.where(lengths > 0, jax.lax.rsqrt(jnp.where(lengths > 0, lengths, 1.0)), 0.0)
    shift = jnp.maximum(10.0 * rounding, 2000.0 * jnp.finfo(lengths.dtype).eps) * added
    above = jnp.max(energies) + _ABOVE
    shift, above, scale = (part.astype(gram.dtype) for part in (shift, above, scale))
    metric = scale[:, None] * gram * scale[None, :] + jnp.diag(shift)
    inner = scale[:, None] * matrix * scale[None, :] + jnp.diag(shift * above)
    lower = jnp.linalg.cholesky(metric, symmetrize_input=False)
    half = jax.lax.linalg.triangular_solve(lower, inner, left_side=True, lower=True)
    _, rotation = hermitian_eigh(_times_inverse_right(half, lower))
    found = scale[:, None] * _times_inverse(rotation[:, :block], lower)
    values, exact = ritz_combinations(
        found.conj().T @ gram @ found, found.conj().T @ matrix @ found
    )
    return values, found @ exact


def _times_inverse_right(rows: Array, lower: Array) -> Array:
    """Rows times L^-H."""
    return jax.lax.linalg.triangular_solve(
        lower, rows, left_side=False, lower=True, transpose_a=True, conjugate_a=True
    )


def _times_inverse(columns: Array, lower: Array) -> Array:
    """L^-H times columns."""
    return jax.lax.linalg.triangular_solve(
        lower, columns, left_side=True, lower=True, transpose_a=True, conjugate_a=True
    )


@one_by_one_on_cpu
def ritz_combinations(
    gram: Complex[Array, "block block"], matrix: Complex[Array, "block block"]
) -> tuple[Float[Array, " block"], Complex[Array, "block block"]]:
    """All Ritz values and vectors of a basis, in ascending order; NaN if it is dependent."""
    lower = jnp.linalg.cholesky(gram, symmetrize_input=False)
    pivots = jnp.diagonal(lower).real
    independent = jnp.min(pivots) > _DEPENDENT * jnp.max(pivots)
    half = jax.lax.linalg.triangular_solve(lower, matrix, left_side=True, lower=True)
    values, rotation = hermitian_eigh(_times_inverse_right(half, lower))
    return jnp.where(independent, values, jnp.nan), _times_inverse(rotation, lower)


@one_by_one_on_cpu
def hermitian_eigh(
    matrix: Complex[Array, "size size"],
) -> tuple[Float[Array, " size"], Complex[Array, "size size"]]:
    """Eigenvalues and eigenvectors of the Hermitian part, by its upper triangle."""
    hermitian = 0.5 * (matrix + matrix.conj().T)
    vectors, values = jax.lax.linalg.eigh(hermitian, lower=False, symmetrize_input=False)
    return values, vectors
