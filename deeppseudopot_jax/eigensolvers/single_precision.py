"""Operators and vectors in single precision."""

from typing import Any

import jax
import jax.numpy as jnp


def single(tree: Any) -> Any:
    """A pytree with its double precision arrays in single precision."""
    smaller = {"float64": jnp.float32, "complex128": jnp.complex64}
    return jax.tree.map(lambda leaf: leaf.astype(smaller.get(str(leaf.dtype), leaf.dtype)), tree)
