"""What an eigensolver is: the lowest states of a Hermitian operator, with their residuals."""

from typing import Any, NamedTuple, Protocol, runtime_checkable

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
    caller must look at. `preconditioner` is what an iterative solver can use again.
    """

    energies: Float[Array, " band"]
    vectors: Complex[Array, "row band"]
    residuals: Float[Array, " band"]
    preconditioner: Any = None


@runtime_checkable
class Solver(Protocol):
    """solver(operator, n, guess) -> States; hashable, so that it is static under jit."""

    @property
    def accepted(self) -> float:
        """The largest residual (Ha) of a state that counts as found."""
        ...

    def following(self) -> "Solver":
        """The solver for a potential on the move: as accurate as its steps require."""
        ...

    def for_energies(self) -> "Solver":
        """The solver where only energies are asked for, which need less than gradients."""
        ...

    def first_guess(self, operator: Operator, n: int) -> States | None:
        """Where a solve from scratch begins; None for a solver that needs no guess."""
        ...

    def __call__(self, operator: Operator, n: int, guess: States | None = None) -> States:
        """At least the `n` lowest states, the wanted ones first.

        Args:
            operator: Hermitian.
            n: number of states that are wanted.
            guess: what `first_guess` or an earlier call returned; without it, `first_guess`.
        """
        ...
