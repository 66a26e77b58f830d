"""What an eigensolver is: the lowest states of a Hermitian operator, with their residuals."""

from typing import NamedTuple, Protocol, runtime_checkable

from jaxtyping import Array, Complex, Float


@runtime_checkable
class Operator(Protocol):
    """A Hermitian operator that can act on a block of vectors or become a matrix."""

    def apply(self, vectors: Complex[Array, "row band"]) -> Complex[Array, "row band"]:
        """The operator times a block of column vectors."""
        ...

    def matrix(self) -> Complex[Array, "row row"]:
        """The operator as a dense matrix."""
        ...


class States(NamedTuple):
    """The lowest states of one operator, energies ascending.

    `residuals` bounds every energy's error by |H psi - E psi|; NaN marks a failed solve, which the
    caller must look at.
    """

    energies: Float[Array, " band"]
    vectors: Complex[Array, "row band"]
    residuals: Float[Array, " band"]


@runtime_checkable
class Solver(Protocol):
    """lowest(operator, n, guess) -> States; hashable, so that it can be static under jit."""

    def __call__(
        self, operator: Operator, n: int, guess: Complex[Array, "row band"] | None = None
    ) -> States:
        """The `n` lowest states; `guess` may speed an iterative solver up."""
        ...
