"""What a Monte Carlo run fits: its cost, and the part of it that a screen can afford.

A network has the cost of its training; the coefficients have mean errors of bands or gaps. Both can
be joined by other observables: mcOpts*.par asks for them of all systems, input_X.par of one.
"""

from typing import NamedTuple

import jax
from jaxtyping import Array, Float

from deeppseudopot_jax.losses import loss_of_energies
from deeppseudopot_jax.montecarlo.cost import (
    Bands,
    CostOfBands,
    MeanErrors,
    Sum,
    mean_band_error,
    mean_gap_error,
    spin_orbit_penalty,
)
from deeppseudopot_jax.observable_costs import (
    CouplingFit,
    DeformationFit,
    MassFit,
    coupling_cost,
    coupling_fits,
    deformation_cost,
    deformation_fits,
    mass_cost,
    mass_fits,
    mean_coupling_cost,
)
from deeppseudopot_jax.problem import Problem
from deeppseudopot_jax.types import Bundle, MonteCarloOptions, SystemInput

Partial = jax.tree_util.Partial


class Costs(NamedTuple):
    """The cost of a run, and `screened`: what of it follows from the band energies."""

    exact: CostOfBands
    screened: CostOfBands


def make_costs(bundle: Bundle, options: MonteCarloOptions | None, problem: Problem) -> Costs:
    """The costs of a run.

    Args:
        bundle: what `read_bundle` returned.
        options: the mcOpts*.par file of a run of the coefficients, if it has one.
        problem: from `build_problem`.

    Raises:
        ValueError: if a fit is asked for that nothing in the bundle defines, or a system has no
            reference energies.
    """
    for system in bundle.systems:
        if system.reference_energies is None:
            raise ValueError(f"expBandStruct_{system.index}.par is missing: nothing can be fitted")
    if bundle.settings.trains_coefficients:
        return _of_coefficients(bundle, options, problem)
    return _of_network(bundle, problem)


def _of_coefficients(bundle: Bundle, options: MonteCarloOptions | None, problem: Problem) -> Costs:
    gaps = options is not None and options.optimize_gaps
    if gaps:
        for system in bundle.systems:
            if system.n_bands < 2:
                raise ValueError(f"input_{system.index}.par: optGaps = True needs two bands")
    cheap: list[CostOfBands] = [MeanErrors(mean_gap_error if gaps else mean_band_error)]
    if bundle.settings.spin_orbit:
        cheap.append(Partial(spin_orbit_penalty))
    costly: list[CostOfBands] = []
    every = range(len(bundle.systems))
    if options is not None and options.fit_masses:
        fits = mass_fits(bundle, problem, _with_a_gap(bundle, options))
        cheap.append(Partial(_masses, fits))
    if options is not None and options.fit_deformation:
        weight = options.deformation_weight
        costly.append(Partial(_deformation, deformation_fits(bundle, every), weight))
    if options is not None and options.fit_couplings:
        costly.append(Partial(_mean_couplings, coupling_fits(bundle, problem, every)))
    return _sums(cheap, costly)


def _of_network(bundle: Bundle, problem: Problem) -> Costs:
    def asked(key: str) -> list[int]:
        return [i for i, system in enumerate(bundle.systems) if getattr(system, key)]

    cheap: list[CostOfBands] = [Partial(loss_of_energies)]
    costly: list[CostOfBands] = []
    if masses := asked("fit_masses"):
        cheap.append(Partial(_masses, mass_fits(bundle, problem, masses)))
    if deformation := asked("fit_deformation"):
        costly.append(Partial(_deformation, deformation_fits(bundle, deformation), 1.0))
    if couplings := asked("fit_couplings"):
        costly.append(Partial(_couplings, coupling_fits(bundle, problem, couplings)))
    return _sums(cheap, costly)


def _sums(cheap: list[CostOfBands], costly: list[CostOfBands]) -> Costs:
    return Costs(Sum((*cheap, *costly)), Sum(tuple(cheap)))


def _with_a_gap(bundle: Bundle, options: MonteCarloOptions) -> list[int]:
    """The systems whose input_X.par names the gap."""

    def names_gap(system: SystemInput) -> bool:
        keys = (system.gap_k_point, system.valence_band, system.conduction_band)
        return None not in keys

    found = [i for i, system in enumerate(bundle.systems) if names_gap(system)]
    if not found:
        raise ValueError(
            f"{options.file}: fitEffMass = True needs idxVB, idxCB and idxGap in an input_X.par"
        )
    return found


def _deformation(
    fits: tuple[DeformationFit, ...], weight: Array | float, problem: Problem, params: dict,
    bands: Bands,
) -> Float[Array, ""]:  # fmt: skip
    del bands
    return weight * deformation_cost(problem, params, fits)


def _mean_couplings(
    fits: tuple[CouplingFit, ...], problem: Problem, params: dict, bands: Bands
) -> Float[Array, ""]:
    del bands
    return mean_coupling_cost(problem, params, fits)


def _couplings(
    fits: tuple[CouplingFit, ...], problem: Problem, params: dict, bands: Bands
) -> Float[Array, ""]:
    del bands
    return coupling_cost(problem, params, fits)


def _masses(
    fits: tuple[MassFit, ...], problem: Problem, params: dict, bands: Bands
) -> Float[Array, ""]:
    del problem, params
    return mass_cost(bands, fits)
