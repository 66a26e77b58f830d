"""The iterative solver: dense where that is faster, LOBPCG everywhere else."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import Array, Complex

from deeppseudopot_jax.eigensolvers.dense import dense
from deeppseudopot_jax.eigensolvers.interface import FOR_RESULTS, Accuracy, Operator, States
from deeppseudopot_jax.eigensolvers.lobpcg import lobpcg
from deeppseudopot_jax.eigensolvers.preconditioner import low_part
from deeppseudopot_jax.errors import InputError

_SMALLEST_BASIS = 6
"""Rows per block vector below which a block method has no room: three blocks span the space."""

_LOW_ROWS = 10
"""Rows per block vector of the small dense problem that gives guess and preconditioner."""

_NOISE = 1e-2


@dataclass(frozen=True)
class Iterative:
    """Block iteration from the last states, or from those of a small part of the operator.

    Attributes:
        max_steps: an ordinary solve that needs more has failed, and its residuals say so.
        spare: vectors beyond the wanted states; they watch for levels that come down.
        dense_up_to: dimension up to which dense is faster even with a guess.
        dense_start_up_to: dimension up to which dense is faster without one.
    """

    max_steps: int = 60
    spare: int = 4
    dense_up_to: int = 150
    dense_start_up_to: int = 700

    def first_guess(self, operator: Operator, n: int) -> States | None:
        """Lowest states of the operator among its plane waves of lowest kinetic energy.

        A little noise makes sure that no symmetry keeps the iteration away from a state.
        """
        if self._is_dense(operator, n):
            return None
        block = n + self.spare
        preconditioner, energies, vectors = low_part(operator, _LOW_ROWS * block)
        rows = operator.kinetic_energies().shape[0]
        noise = _NOISE / rows**0.5 * _generic(rows, block, vectors.dtype)
        start = noise.at[preconditioner.rows].add(vectors[:, :block])
        unknown = jnp.full(block, jnp.inf, energies.dtype)
        return States(energies[:block], start, unknown, preconditioner)

    def __call__(
        self,
        operator: Operator,
        n: int,
        guess: States | None = None,
        accuracy: Accuracy = FOR_RESULTS,
    ) -> States:
        """The `n` lowest states and the spare ones.

        Raises:
            InputError: if `guess` is not what an earlier call for as many states returned.
        """
        small = guess is None and operator.kinetic_energies().shape[0] <= self.dense_start_up_to
        if small or self._is_dense(operator, n):
            return dense(operator, n)
        guess = guess or self.first_guess(operator, n)
        shape = operator.kinetic_energies().shape[0], n + self.spare
        if guess is None or guess.preconditioner is None or guess.vectors.shape != shape:
            found = None if guess is None else guess.vectors.shape
            raise InputError(
                f"the guess has shape {found}; {n} states of this operator need {shape}"
            )
        limit = self.max_steps * accuracy.effort
        return lobpcg(operator, n, guess.vectors, guess.preconditioner, accuracy, limit)

    def _is_dense(self, operator: Operator, n: int) -> bool:
        dimension = operator.kinetic_energies().shape[0]
        return dimension <= max(self.dense_up_to, _SMALLEST_BASIS * (n + self.spare))


def _generic(rows: int, columns: int, dtype: jnp.dtype) -> Complex[Array, "row column"]:
    """Numbers of size 1 without any symmetry; a random generator would take longer to compile."""
    real = jnp.finfo(dtype).dtype
    i = jax.lax.broadcasted_iota(real, (rows, columns), 0)
    j = jax.lax.broadcasted_iota(real, (rows, columns), 1)
    angles = 1e4 * jnp.sin(12.9898 * i + 78.233 * j)  # a known recipe for numbers without order
    return jax.lax.complex(jnp.cos(angles), jnp.sin(angles)).astype(dtype)


iterative = Iterative()
