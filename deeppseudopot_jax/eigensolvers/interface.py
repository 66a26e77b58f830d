"""What an eigensolver is: the lowest states of a Hermitian operator, with their residuals."""

from typing import NamedTuple, Protocol, runtime_checkable

from jaxtyping import Array, Complex, Float, Int


@runtime_checkable
class Operator(Protocol):
    """A Hermitian operator that can act on a block of vectors or become a matrix."""

    def apply(self, vectors: Complex[Array, "row band"]) -> Complex[Array, "row band"]:
        """The operator times a block of column vectors."""
        ...

    def matrix(self) -> Complex[Array, "row row"]:
        """The operator as a dense matrix."""
        ...

    def diagonal(self) -> Float[Array, " row"]:
        """Kinetic energies (Ha): what dominates the operator far above the lowest states."""
        ...

    def restricted(self, n: int) -> tuple["Operator", Int[Array, " row"]]:
        """The operator among (about) the `n` rows of lowest kinetic energy, and those rows."""
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
    """solver(operator, n, guess) -> States; hashable, so that it is static under jit."""

    @property
    def accepted(self) -> float:
        """The largest residual (Ha) of a state that counts as found."""
        ...

    def __call__(
        self,
        operator: Operator,
        n: int,
        guess: Complex[Array, "row block"] | None = None,
    ) -> States:
        """At least the `n` lowest states, the wanted ones first.

        Args:
            operator: Hermitian.
            n: number of states that are wanted.
            guess: start vectors for an iterative solver, as an earlier call returned them.
        """
        ...
