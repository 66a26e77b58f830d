"""Costs as sums of terms: band errors, and the other observables that a bundle asks for.

Every term is a function of the problem, the parameters and the band energies, which are solved
once for all terms.
"""

from collections.abc import Callable, Sequence
from functools import reduce
from operator import add
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
from jaxtyping import Array, Float

from deeppseudopot_jax.losses import loss_of_energies
from deeppseudopot_jax.observable_costs import (
    coupling_cost,
    coupling_fits,
    deformation_cost,
    deformation_fits,
    mass_cost,
    mass_fits,
)
from deeppseudopot_jax.problem import Problem
from deeppseudopot_jax.records import record, static
from deeppseudopot_jax.types import Bundle

Bands = list[Float[Array, "_kpt _band"]]


@runtime_checkable
class CostOfBands(Protocol):
    """cost(problem, params, bands): a pytree, `jax.tree_util.Partial` for a plain function."""

    def __call__(self, problem: Problem, params: dict, bands: Bands) -> Float[Array, ""]:
        """Cost in eV^2 from band energies in eV."""
        ...


@record
class Sum:
    """Several costs added."""

    costs: tuple[CostOfBands, ...]

    def __call__(self, problem: Problem, params: dict, bands: Bands) -> Float[Array, ""]:
        """The sum."""
        return reduce(add, (cost(problem, params, bands) for cost in self.costs))


@record
class OfBands:
    """`measure(bands, fits)` as a term."""

    measure: Callable[[Bands, Any], Array] = static()
    fits: Any

    def __call__(self, problem: Problem, params: dict, bands: Bands) -> Float[Array, ""]:
        """What the band energies say."""
        del problem, params
        return self.measure(bands, self.fits)


@record
class Solving:
    """`measure(problem, params, fits)` as a term, which solves for itself."""

    measure: Callable[[Problem, dict, Any], Array] = static()
    fits: Any

    def __call__(self, problem: Problem, params: dict, bands: Bands) -> Float[Array, ""]:
        """What its own states say."""
        del bands
        return self.measure(problem, params, self.fits)


class Costs(NamedTuple):
    """A whole cost, and what of it follows from the band energies alone."""

    exact: CostOfBands
    of_bands: CostOfBands


def joined(of_bands: Sequence[CostOfBands], others: Sequence[CostOfBands]) -> Costs:
    """The sum of all terms, and that of the cheap ones."""
    return Costs(Sum((*of_bands, *others)), Sum(tuple(of_bands)))


def training_costs(bundle: Bundle, problem: Problem) -> Costs:
    """The cost of a training: the loss of the bands and what fit_* of every input_X.par adds.

    Args:
        bundle: what `read_bundle` returned.
        problem: from `build_problem`.

    Raises:
        ValueError: if a system has no reference energies, or a fit is asked for that nothing in the
            bundle defines.
    """
    check_references(bundle)

    def asked(key: str) -> list[int]:
        return [i for i, system in enumerate(bundle.systems) if getattr(system, key)]

    of_bands: list[CostOfBands] = [jax.tree_util.Partial(loss_of_energies)]
    others: list[CostOfBands] = []
    if masses := asked("fit_masses"):
        of_bands.append(OfBands(mass_cost, mass_fits(bundle, problem, masses)))
    if deformation := asked("fit_deformation"):
        others.append(Solving(deformation_cost, deformation_fits(bundle, deformation)))
    if couplings := asked("fit_couplings"):
        others.append(Solving(coupling_cost, coupling_fits(bundle, problem, couplings)))
    return joined(of_bands, others)


def check_references(bundle: Bundle) -> None:
    """Refuse to fit a system without band energies.

    Raises:
        ValueError: naming the file that is missing.
    """
    for system in bundle.systems:
        if system.reference_energies is None:
            raise ValueError(f"expBandStruct_{system.index}.par is missing: nothing can be fitted")
