"""Which terms a bundle asks for, and the costs made of them.

A training fits what fit_* of every input_X.par names, and so does a Monte Carlo run of a network;
a run of the coefficients has mean errors of bands or gaps, joined by what mcOpts*.par asks for.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from deeppseudopot_jax.arguments import checked
from deeppseudopot_jax.costs.bands import (
    BandErrors,
    band_residuals,
    mean_band_residuals,
    mean_gap_residuals,
)
from deeppseudopot_jax.costs.couplings import (
    Weighting,
    coupling_errors,
    mean_of_system,
    per_k_point,
)
from deeppseudopot_jax.costs.deformation import deformation_errors
from deeppseudopot_jax.costs.interface import Cost, Penalty, Term
from deeppseudopot_jax.costs.masses import mass_errors
from deeppseudopot_jax.costs.penalties import LargeSpinOrbit, penalties_of
from deeppseudopot_jax.costs.priors import priors_of
from deeppseudopot_jax.errors import InputError
from deeppseudopot_jax.observables.arguments import a_bundle, of_bundle
from deeppseudopot_jax.problem import Problem
from deeppseudopot_jax.types import Bundle, MonteCarloOptions


@dataclass(frozen=True)
class Asked:
    """The systems, by index, whose observables beside the bands a cost contains."""

    deformation: tuple[int, ...] = ()
    couplings: tuple[int, ...] = ()
    masses: tuple[int, ...] = ()

    def has(self, system_index: int) -> tuple[bool, bool, bool]:
        """Whether a system's deformation potentials, couplings, masses are among them."""
        every = self.deformation, self.couplings, self.masses
        deformation, couplings, masses = (system_index in systems for systems in every)
        return deformation, couplings, masses


def asked_by_inputs(bundle: Bundle) -> Asked:
    """What fit_defPot, fit_eph and fit_eff_masses ask for in input_X.par of the fitted systems."""

    def systems(key: str) -> tuple[int, ...]:
        return tuple(i for i in _fitted(bundle) if getattr(bundle.systems[i], key))

    keys = "fit_deformation", "fit_couplings", "fit_masses"
    return Asked(*map(systems, keys))


def asked_by_options(bundle: Bundle, options: Sequence[MonteCarloOptions]) -> Asked:
    """What mcOpts*.par files ask for, of all fitted systems that can have it."""
    every = _fitted(bundle)
    with_a_gap = tuple(i for i in every if bundle.systems[i].mass_points is not None)
    return Asked(
        every if any(file.fit_deformation for file in options) else (),
        every if any(file.fit_couplings for file in options) else (),
        with_a_gap if any(file.fit_masses for file in options) else (),
    )


@checked(bundle=a_bundle, problem=of_bundle)
def training_cost(bundle: Bundle, problem: Problem) -> Cost:
    """The cost of a training: bands, what fit_* of every input_X.par adds, priors and penalties.

    Args:
        bundle: what `read_bundle` returned.
        problem: from `build_problem`.

    Raises:
        InputError: if a system has no reference energies, a fit is asked for that nothing in the
            bundle defines, or bundle and problem differ in species, k-points or bands.
    """
    check_references(bundle)
    others = _observables(bundle, problem, asked_by_inputs(bundle), 1.0, per_k_point)
    terms = (BandErrors(band_residuals), *others, *priors_of(bundle, problem))
    return Cost(terms, penalties_of(problem))


def monte_carlo_cost(bundle: Bundle, options: MonteCarloOptions | None, problem: Problem) -> Cost:
    """The cost of a Monte Carlo run.

    Args:
        bundle: what `read_bundle` returned.
        options: the mcOpts*.par file of a run of the coefficients, if it has one.
        problem: from `build_problem`.

    Raises:
        InputError: if a fit is asked for that nothing in the bundle defines, or a system has no
            reference energies.
    """
    if not bundle.settings.trains_coefficients:
        return training_cost(bundle, problem)
    check_references(bundle)
    penalties: tuple[Penalty, ...] = ()
    if bundle.settings.spin_orbit:
        penalties = (LargeSpinOrbit(),)
    if options is None:
        return Cost((BandErrors(mean_band_residuals),), penalties)
    if options.optimize_gaps:
        for system in bundle.systems:
            if system.n_bands < 2:
                raise InputError(f"input_{system.index}.par: optGaps = True needs two bands")
    asked = asked_by_options(bundle, [options])
    if options.fit_masses and not asked.masses:
        raise InputError(
            f"{options.file}: fitEffMass = True needs idxVB, idxCB and idxGap in an input_X.par"
        )
    measure = mean_gap_residuals if options.optimize_gaps else mean_band_residuals
    others = _observables(bundle, problem, asked, options.deformation_weight, mean_of_system)
    return Cost((BandErrors(measure), *others), penalties)


def check_references(bundle: Bundle) -> None:
    """Refuse to fit a system without band energies.

    Raises:
        InputError: naming the file that is missing.
    """
    for system in bundle.systems:
        if system.reference_energies is None:
            raise InputError(f"expBandStruct_{system.index}.par is missing: nothing can be fitted")


def _observables(
    bundle: Bundle,
    problem: Problem,
    asked: Asked,
    deformation_weight: float,
    coupling_weighting: Weighting,
) -> list[Term]:
    """The terms beside the bands, those that follow from them first."""
    terms: list[Term] = []
    if asked.masses:
        terms.append(mass_errors(bundle, problem, asked.masses))
    if asked.deformation:
        terms.append(deformation_errors(bundle, asked.deformation, deformation_weight))
    if asked.couplings:
        terms.append(coupling_errors(bundle, problem, asked.couplings, coupling_weighting))
    return terms


def _fitted(bundle: Bundle) -> tuple[int, ...]:
    """The systems that are not held out as a whole."""
    return tuple(i for i, system in enumerate(bundle.systems) if system.is_fitted.any())
