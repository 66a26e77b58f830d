"""The numbers that a step of least squares changes, as one flat vector."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float

from deeppseudopot_jax.records import record

_LONG_RANGE = "long_range"
_UNKNOWN = 100.0


@record
class Coordinates:
    """All trainable numbers, but of a4 only what leaves every system as charged as it is.

    `neutral` has an orthonormal basis of those changes of a4 as columns; None where a4 is fixed.
    """

    neutral: Float[Array, "species free"] | None

    def size(self, trainable: dict) -> int:
        """The number of coordinates."""
        return int(self._flat_zeros(trainable)[0].size)

    def moved(self, trainable: dict, step: Float[Array, " coordinate"]) -> dict:
        """The trainable numbers after a step."""
        flat, back = ravel_pytree(trainable)
        moved: dict = back(flat + ravel_pytree(self.unfolded(trainable, step))[0])
        return moved

    def unfolded(self, trainable: dict, flat: Float[Array, " coordinate"]) -> dict:
        """A vector, such as a step or a gradient, in the form of the trainable numbers."""
        template, unravel = self._flat_zeros(trainable)
        unfolded: dict = unravel(flat.astype(template.dtype))
        if self.neutral is not None:
            unfolded = {**unfolded, _LONG_RANGE: self.neutral @ unfolded[_LONG_RANGE]}
        return unfolded

    def values(self, trainable: dict) -> Float[Array, " coordinate"]:
        """Where the trainable numbers stand, for their size alone."""
        if self.neutral is not None:
            inside = self.neutral.T @ trainable[_LONG_RANGE]
            trainable = {**trainable, _LONG_RANGE: inside}
        return ravel_pytree(trainable)[0]

    def names(self, trainable: dict) -> list[str]:
        """What every coordinate is: where it stands in the tree of trainable numbers."""
        if self.neutral is not None:
            trainable = {**trainable, _LONG_RANGE: self.neutral.T @ trainable[_LONG_RANGE]}
        leaves, _ = jax.tree_util.tree_flatten_with_path(trainable)
        return [
            jax.tree_util.keystr(path, simple=True, separator=".") + str(list(index))
            for path, leaf in leaves
            for index in np.ndindex(leaf.shape)
        ]

    def by_channel(
        self, trainable: dict, flat: Float[Array, " coordinate"]
    ) -> dict[str, Float[Array, "_"]]:
        """The part of a vector that belongs to every channel."""
        template, unravel = self._flat_zeros(trainable)
        parts = unravel(flat.astype(template.dtype))
        return {name: ravel_pytree(part)[0] for name, part in parts.items()}

    def scales(
        self, trainable: dict, column_norms: Float[Array, " coordinate"]
    ) -> Float[Array, " coordinate"]:
        """Units of the coordinates from the norms of the columns of a Jacobian.

        Coefficients have units of their own, and each its norm. The weights of a model are alike
        and have the largest norm of all: else those that hardly matter would take giant steps.
        """
        template, unravel = self._flat_zeros(trainable)
        norms = unravel(column_norms.astype(template.dtype))
        if isinstance(trainable.get("local"), dict):
            flat, back = ravel_pytree(norms["local"])
            norms = {**norms, "local": back(jnp.full_like(flat, flat.max(initial=0.0)))}
        return ravel_pytree(norms)[0].astype(column_norms.dtype)

    def known_beforehand(self, trainable: dict) -> Float[Array, " coordinate"]:
        """How far the coordinates are known without data: one standard deviation of each.

        Weights of a model: the root mean square of them all. Coefficients: a hundred times the
        largest of their channel, which is to say nothing.
        """
        _, unravel = self._flat_zeros(trainable)
        values = unravel(self.values(trainable))

        def of_channel(part: Any) -> Any:
            flat, back = ravel_pytree(part)
            if isinstance(part, dict):
                return back(jnp.full_like(flat, jnp.sqrt(jnp.mean(flat**2))))
            largest = jnp.max(jnp.abs(flat), initial=0.0)
            return back(jnp.full_like(flat, _UNKNOWN * jnp.where(largest > 0, largest, 1.0)))

        known = {name: of_channel(part) for name, part in values.items()}
        return ravel_pytree(known)[0].astype(jnp.float64)

    def _flat_zeros(self, trainable: dict) -> tuple[Array, Callable[[Array], dict]]:
        if self.neutral is not None:
            zeros = jnp.zeros(self.neutral.shape[1], self.neutral.dtype)
            trainable = {**trainable, _LONG_RANGE: zeros}
        flat, unravel = ravel_pytree(trainable)
        return jnp.zeros_like(flat), unravel


def coordinates_of(composition: Float[Array, "system species"], trainable: dict) -> Coordinates:
    """The coordinates of some trainable channels, for systems with these numbers of atoms."""
    if _LONG_RANGE not in trainable:
        return Coordinates(None)
    counts = np.asarray(composition, np.float64)
    _, sizes, rows = np.linalg.svd(counts)
    rank = int(np.sum(sizes > sizes.max() * 1e-10))
    return Coordinates(jnp.asarray(rows[rank:].T, composition.dtype))
