"""Semi-empirical pseudopotentials fitted to band structures, in JAX.

Energies are in eV, everything else in Hartree atomic units. Importing the package switches JAX to
64-bit floats; `build_problem(..., precision="float32")` builds a single-precision problem.
"""

import jax

jax.config.update("jax_enable_x64", True)

from deeppseudopot_jax.bundle.reader import read_bundle  # noqa: E402
from deeppseudopot_jax.cost_terms import training_costs  # noqa: E402
from deeppseudopot_jax.initialize import initial_params  # noqa: E402
from deeppseudopot_jax.losses import loss  # noqa: E402
from deeppseudopot_jax.observables.bands import energies, energies_at, form_factors  # noqa: E402
from deeppseudopot_jax.observables.couplings import coupling_tables, couplings  # noqa: E402
from deeppseudopot_jax.observables.deformation import deformation_potentials  # noqa: E402
from deeppseudopot_jax.observables.gaps import gap  # noqa: E402
from deeppseudopot_jax.observables.masses import effective_masses  # noqa: E402
from deeppseudopot_jax.problem import Problem, build_problem, distribute  # noqa: E402

__all__ = [
    "Problem",
    "build_problem",
    "coupling_tables",
    "couplings",
    "deformation_potentials",
    "distribute",
    "effective_masses",
    "energies",
    "energies_at",
    "form_factors",
    "gap",
    "initial_params",
    "loss",
    "read_bundle",
    "training_costs",
]
