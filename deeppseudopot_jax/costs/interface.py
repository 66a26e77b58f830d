"""Costs as sums of squares: named, weighted residuals, and the few terms that are no squares.

Bands are solved once and handed to all terms. Whoever needs a cost - training, Monte Carlo,
validation, the log - goes through the same list.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, NamedTuple, Protocol, runtime_checkable

import jax.numpy as jnp
from jaxtyping import Array, Float

from deeppseudopot_jax.arguments import checked, described, refuse, require_list, require_shape
from deeppseudopot_jax.observables.arguments import a_problem, fitting_parameters
from deeppseudopot_jax.parameters import Parameters
from deeppseudopot_jax.problem import Problem
from deeppseudopot_jax.records import record

Needs = Literal["parameters", "bands", "states"]
Bands = list[Float[Array, "_kpt _band"]]


class Evaluated(NamedTuple):
    """What is known at some parameters before any term is formed: bands (eV) of every system."""

    bands: Bands

    def ascending(self, problem: Problem, system_index: int) -> Float[Array, "kpt band"]:
        """The bands of a system by energy, whatever its order of the bands."""
        bands = self.bands[system_index]
        by_energy = problem.targets[system_index].by_energy
        return bands if by_energy else jnp.sort(bands, axis=1)


@runtime_checkable
class Term(Protocol):
    """A term of a cost that is a sum of squares; a pytree.

    `needs` tells the most that residuals follow from; states of its own are solved for.
    """

    name: ClassVar[str]
    needs: ClassVar[Needs]

    def residuals(
        self, problem: Problem, params: Parameters, evaluated: Evaluated
    ) -> Float[Array, " residual"]:
        """Root of the weight times the error of every datum; eV for energies."""
        ...


@runtime_checkable
class Penalty(Protocol):
    """A term of a cost that is no sum of squares, and depends on the parameters alone."""

    name: ClassVar[str]

    def value(self, problem: Problem, params: Parameters) -> Float[Array, ""]:
        """What it adds to the cost."""
        ...


def _of_problem(name: str, evaluated: Any, given: Mapping[str, Any]) -> None:
    """Problem, parameters and bands belong together, where a term needs bands."""
    if not isinstance(evaluated, Evaluated):
        raise refuse(name, described(evaluated), "an Evaluated(bands)")
    if all(term.needs == "parameters" for term in given["self"].terms):
        return
    a_problem("problem", given["problem"], given)
    fitting_parameters("params", given["params"], given)
    bands, targets = evaluated.bands, given["problem"].targets
    legal = f"a list of {len(targets)} arrays, the bands of every system"
    require_list(f"{name}.bands", bands, legal)
    if len(bands) != len(targets):
        raise refuse(f"{name}.bands", f"{len(bands)} arrays", legal)
    for index, target in enumerate(targets):
        require_shape(f"{name}.bands[{index}]", bands[index], (target.n_k, target.n_bands))


@record
class Cost:
    """The sum of squares of all residuals plus the penalties, in eV^2."""

    terms: tuple[Term, ...]
    penalties: tuple[Penalty, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Of terms and penalties, in the order of `values`."""
        return tuple(part.name for part in self.parts)

    @property
    def parts(self) -> tuple[Term | Penalty, ...]:
        """Terms and penalties."""
        return (*self.terms, *self.penalties)

    @property
    def of_bands(self) -> "Cost":
        """The part that follows from bands and parameters without another solve."""
        return Cost(tuple(t for t in self.terms if t.needs != "states"), self.penalties)

    @checked(evaluated=_of_problem)
    def values(
        self, problem: Problem, params: Parameters, evaluated: Evaluated
    ) -> Float[Array, " term"]:
        """What every term and penalty adds.

        Raises:
            InputError: if a term needs bands, and bands or parameters are not the problem's.
        """
        squares = [jnp.sum(term.residuals(problem, params, evaluated) ** 2) for term in self.terms]
        return jnp.stack([*squares, *(p.value(problem, params) for p in self.penalties)])

    def of_parameters(self, problem: Problem, params: Parameters) -> Float[Array, " residual"]:
        """The residuals that know of the parameters alone."""
        terms = [term for term in self.terms if term.needs == "parameters"]
        found = [term.residuals(problem, params, Evaluated([])) for term in terms]
        return joined(found, problem.dtype)

    def __call__(
        self, problem: Problem, params: Parameters, evaluated: Evaluated
    ) -> Float[Array, ""]:
        """The whole cost; see `values`."""
        return jnp.sum(self.values(problem, params, evaluated))


def joined(parts: Sequence[Array], dtype: jnp.dtype) -> Float[Array, " residual"]:
    """Residuals of several systems as one vector."""
    return jnp.concatenate([jnp.zeros(0, dtype), *(part.ravel() for part in parts)])
