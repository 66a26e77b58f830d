"""Classic mistakes in bundles: one file for each kind, all of them in `CHECKS`."""

from deeppseudopot_jax.toolkit.doctor.checks.band_order import order_applied_twice, unknown_levels
from deeppseudopot_jax.toolkit.doctor.checks.basis import cutoff_convergence, few_plane_waves
from deeppseudopot_jax.toolkit.doctor.checks.energy_zero import other_zero_of_energy
from deeppseudopot_jax.toolkit.doctor.checks.k_points import (
    cartesian_k_points,
    equivalent_k_points,
    sizes_of_k_weights,
    weights_of_systems,
)
from deeppseudopot_jax.toolkit.doctor.checks.species import (
    interchanged_species,
    order_of_scales,
    species_in_a_header,
)
from deeppseudopot_jax.toolkit.doctor.checks.spin import (
    band_edges,
    pairs_of_bands,
    surplus_levels,
    unsplit_levels,
)
from deeppseudopot_jax.toolkit.doctor.checks.units import units_of_energies, units_of_lengths
from deeppseudopot_jax.toolkit.doctor.checks.window import cut_multiplets
from deeppseudopot_jax.toolkit.doctor.checks.zone_boundary import edges_at_the_basis
from deeppseudopot_jax.toolkit.doctor.examined import Check

CHECKS: tuple[Check, ...] = (
    pairs_of_bands,
    unsplit_levels,
    band_edges,
    surplus_levels,
    unknown_levels,
    order_applied_twice,
    cut_multiplets,
    equivalent_k_points,
    cartesian_k_points,
    sizes_of_k_weights,
    weights_of_systems,
    units_of_lengths,
    units_of_energies,
    other_zero_of_energy,
    few_plane_waves,
    cutoff_convergence,
    edges_at_the_basis,
    interchanged_species,
    species_in_a_header,
    order_of_scales,
)
"""In the order in which they speak."""
