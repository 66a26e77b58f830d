"""What a Monte Carlo run fits.

A network has the cost of its training; the coefficients have mean errors of bands or gaps, joined
by what mcOpts*.par asks for.
"""

import jax

from deeppseudopot_jax.cost_terms import (
    CostOfBands,
    Costs,
    OfBands,
    Solving,
    check_references,
    joined,
    training_costs,
)
from deeppseudopot_jax.montecarlo.cost import (
    MeanErrors,
    mean_band_error,
    mean_gap_error,
    spin_orbit_penalty,
)
from deeppseudopot_jax.observable_costs import (
    coupling_fits,
    deformation_cost,
    deformation_fits,
    mass_cost,
    mass_fits,
    mean_coupling_cost,
)
from deeppseudopot_jax.problem import Problem
from deeppseudopot_jax.types import Bundle, MonteCarloOptions, SystemInput


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
    if not bundle.settings.trains_coefficients:
        return training_costs(bundle, problem)
    check_references(bundle)
    gaps = options is not None and options.optimize_gaps
    if gaps:
        for system in bundle.systems:
            if system.n_bands < 2:
                raise ValueError(f"input_{system.index}.par: optGaps = True needs two bands")
    of_bands: list[CostOfBands] = [MeanErrors(mean_gap_error if gaps else mean_band_error)]
    if bundle.settings.spin_orbit:
        of_bands.append(jax.tree_util.Partial(spin_orbit_penalty))
    others: list[CostOfBands] = []
    every = range(len(bundle.systems))
    if options is not None and options.fit_masses:
        of_bands.append(
            OfBands(mass_cost, mass_fits(bundle, problem, _with_a_gap(bundle, options)))
        )
    if options is not None and options.fit_deformation:
        weight = options.deformation_weight
        others.append(Solving(deformation_cost, deformation_fits(bundle, every, weight)))
    if options is not None and options.fit_couplings:
        others.append(Solving(mean_coupling_cost, coupling_fits(bundle, problem, every)))
    return joined(of_bands, others)


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
