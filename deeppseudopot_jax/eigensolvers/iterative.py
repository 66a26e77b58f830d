"""The iterative solver: dense where that is faster, LOBPCG everywhere else."""

from dataclasses import dataclass

import jax
from jaxtyping import Array, Complex

from deeppseudopot_jax.eigensolvers.dense import dense
from deeppseudopot_jax.eigensolvers.interface import Operator, States
from deeppseudopot_jax.eigensolvers.lobpcg import lobpcg

_SMALLEST_BASIS = 6
"""Rows per block vector below which a block method has no room: three blocks span the space."""

_START_ROWS = 10
"""Rows per block vector of the small dense problem that gives the first guess."""


_NOISE = 1e-2


@dataclass(frozen=True)
class Iterative:
    """Block iteration from the last vectors, or from the states of a small part of the operator.

    Attributes:
        accepted: residual norm (Ha) to converge to. Energies are then wrong by about its square
            over the distance to the next level, far below 1e-6 eV.
        max_steps: a solve that needs more has failed, and its residuals say so.
        spare: vectors beyond the wanted states; they watch for levels that come down.
        dense_up_to: dimension up to which dense is faster even with a guess.
        dense_start_up_to: dimension up to which dense is faster without one.
    """

    accepted: float = 1e-5
    max_steps: int = 60
    spare: int = 6
    dense_up_to: int = 300
    dense_start_up_to: int = 700

    def __call__(
        self,
        operator: Operator,
        n: int,
        guess: Complex[Array, "row block"] | None = None,
    ) -> States:
        """The `n` lowest states and the spare ones.

        Raises:
            ValueError: if `guess` is not what an earlier call for as many states returned.
        """
        dimension = operator.diagonal().shape[0]
        block = min(n + self.spare, dimension)
        if dimension <= max(self.dense_up_to, _SMALLEST_BASIS * block):
            return dense(operator, n)
        if guess is None and dimension <= self.dense_start_up_to:
            return dense(operator, block)
        if guess is None:
            guess = _first_guess(operator, block)
        elif guess.shape != (dimension, block):
            raise ValueError(
                f"the guess has shape {guess.shape}; {n} states of this operator need "
                f"({dimension}, {block})"
            )
        return lobpcg(operator, n, guess, self.accepted, self.max_steps)


def _first_guess(operator: Operator, block: int) -> Complex[Array, "row block"]:
    """Lowest states of the operator among its plane waves of lowest kinetic energy.

    A little noise makes sure that no symmetry keeps the iteration away from a state.
    """
    small, rows = operator.restricted(_START_ROWS * block)
    states = dense(small, block)
    shape = operator.diagonal().shape[0], block
    noise = jax.random.normal(jax.random.key(0), shape, states.vectors.dtype)
    return (_NOISE / shape[0] ** 0.5 * noise).at[rows].add(states.vectors)


iterative = Iterative()
