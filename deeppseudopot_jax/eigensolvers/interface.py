"""What an eigensolver is: the lowest states of a Hermitian operator, with their residuals."""

from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Complex, Float, Int

_ROUNDING = 1e3
"""Ha over the relative precision: residuals of exact solutions are below."""


@runtime_checkable
class Operator(Protocol):
    """A Hermitian operator that can act on a block of vectors or become a matrix."""

    def apply(self, vectors: Complex[Array, "row band"]) -> Complex[Array, "row band"]:
        """The operator times a block of column vectors."""
        ...

    def matrix(self) -> Complex[Array, "row row"]:
        """The operator as a dense matrix."""
        ...

    def kinetic_energies(self) -> Float[Array, " row"]:
        """Of every row (Ha): what dominates the operator far above the lowest states."""
        ...

    def restricted(self, n: int) -> tuple["Operator", Int[Array, " row"]]:
        """The operator among (about) the `n` rows of lowest kinetic energy, and those rows."""
        ...


Flags = Bool[Array, "*batch band"] | Bool[np.ndarray, "*batch band"]


class States(NamedTuple):
    """The lowest states of one operator, energies ascending.

    `residuals` bounds every energy's error by |H psi - E psi|; NaN marks a failed solve, which the
    caller must look at. `preconditioner` is what an iterative solver can use again.
    """

    energies: Float[Array, " band"]
    vectors: Complex[Array, "row band"]
    residuals: Float[Array, " band"]
    preconditioner: Any = None

    def found(
        self, n: int, accuracy: "Accuracy"
    ) -> Bool[Array, "*batch band"] | Bool[np.ndarray, "*batch band"]:
        """Which of the `n` lowest states have been found; a NaN has not.

        No solve is more accurate than its arithmetic.
        """
        rounding = _ROUNDING * float(jnp.finfo(self.residuals.dtype).eps)
        return self.residuals[..., :n] <= accuracy.accepted + rounding

    def known_energies(self, n: int, accuracy: "Accuracy") -> Float[Array, "*batch band"]:
        """The `n` lowest energies, NaN where the state has not been found."""
        return jnp.where(self.found(n, accuracy), self.energies[..., :n], jnp.nan)


class Accuracy(NamedTuple):
    """What residuals (Ha) a solve is to reach, see `accurate_to`; numbers or traced arrays.

    `effort` is what a solve may cost before it counts as failed, over that of an ordinary one.
    """

    accepted: float | Float[Array, ""]
    tightest: float | Float[Array, ""]
    fraction: float | Float[Array, ""]
    effort: int | Int[Array, ""]


def accurate_to(residual: float, fraction: float = 0.0) -> Accuracy:
    """Residuals of `fraction` of the start's, but between a tenth of `residual` (Ha) and all of it.

    Energies are then wrong by about the residual's square over the distance to the next level:
    1e-4 Ha gives energies to 1e-7 eV and gradients to 4e-6 (docs/performance.md). `fraction` is for
    a potential on the move: a vector wrong by a small fraction of its last change gives a gradient
    wrong by a small fraction of the gradient's last change, so accuracy grows as the steps shrink.
    """
    return Accuracy(residual, residual / 10.0, fraction, 1 if residual > _DEMANDING else 4)


_DEMANDING = 1e-6
"""Ha: residuals below cost several times as many steps."""

FOR_RESULTS = accurate_to(1e-5)
"""Of energies that are shown, and of single functions: aims at 1e-6 Ha."""

FOR_GRADIENTS = accurate_to(1e-4, fraction=0.03)
"""Of the steps of a training."""

FOR_ENERGIES = accurate_to(1e-4, fraction=1.0)
"""Of the steps of a sampler: energies need less than gradients."""


@runtime_checkable
class Solver(Protocol):
    """solver(operator, n, guess, accuracy) -> States; hashable, so that it is static under jit."""

    def first_guess(self, operator: Operator, n: int) -> States | None:
        """Where a solve from scratch begins; None for a solver that needs no guess."""
        ...

    def __call__(
        self,
        operator: Operator,
        n: int,
        guess: States | None = None,
        accuracy: Accuracy = FOR_RESULTS,
    ) -> States:
        """At least the `n` lowest states, the wanted ones first.

        Args:
            operator: Hermitian.
            n: number of states that are wanted.
            guess: what `first_guess` or an earlier call returned; without it, `first_guess`.
            accuracy: what to reach; residuals tell whether it was.
        """
        ...
