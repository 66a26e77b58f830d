"""Semi-empirical pseudopotentials fitted to band structures, in JAX.

Energies are in eV, everything else in Hartree atomic units. Importing the package switches JAX to
64-bit floats; `build_problem(..., precision="float32")` builds a single-precision problem, whose
matrix products keep all 24 bits where nobody has told JAX otherwise.
"""

import jax

jax.config.update("jax_enable_x64", True)
if jax.config.jax_default_matmul_precision is None:  # type: ignore[attr-defined]
    # GPUs would multiply single-precision matrices with eleven bits: 0.1 eV, or no convergence.
    jax.config.update("jax_default_matmul_precision", "highest")

from deeppseudopot_jax.costs.bands import cost  # noqa: E402
from deeppseudopot_jax.costs.choice import training_cost  # noqa: E402
from deeppseudopot_jax.costs.interface import Cost, Evaluated  # noqa: E402
from deeppseudopot_jax.eigensolvers.dense import dense  # noqa: E402
from deeppseudopot_jax.eigensolvers.iterative import iterative  # noqa: E402
from deeppseudopot_jax.errors import (  # noqa: E402
    ClusterError,
    InputError,
    NumericalError,
    ResultsError,
    UnsupportedError,
    UserError,
)
from deeppseudopot_jax.files.bundle.reader import read_bundle  # noqa: E402
from deeppseudopot_jax.files.findings import BundleError  # noqa: E402
from deeppseudopot_jax.initialise import initial_params  # noqa: E402
from deeppseudopot_jax.observables.bands import energies, energies_at, form_factors  # noqa: E402
from deeppseudopot_jax.observables.couplings import coupling_tables, couplings  # noqa: E402
from deeppseudopot_jax.observables.deformation import deformation_potentials  # noqa: E402
from deeppseudopot_jax.observables.gaps import gap  # noqa: E402
from deeppseudopot_jax.observables.masses import effective_masses  # noqa: E402
from deeppseudopot_jax.parameters import Parameters  # noqa: E402
from deeppseudopot_jax.problem import Problem, build_problem, distribute  # noqa: E402
from deeppseudopot_jax.settings import Settings  # noqa: E402
from deeppseudopot_jax.types import Bundle, DeformationTarget, SystemInput  # noqa: E402
from deeppseudopot_jax.version import version  # noqa: E402

__version__ = version()

loss = cost
"""The name that other codes use."""

__all__ = [
    "Bundle",
    "BundleError",
    "ClusterError",
    "Cost",
    "DeformationTarget",
    "Evaluated",
    "InputError",
    "NumericalError",
    "Parameters",
    "Problem",
    "ResultsError",
    "Settings",
    "SystemInput",
    "UnsupportedError",
    "UserError",
    "build_problem",
    "cost",
    "coupling_tables",
    "couplings",
    "deformation_potentials",
    "dense",
    "distribute",
    "effective_masses",
    "energies",
    "energies_at",
    "form_factors",
    "gap",
    "initial_params",
    "iterative",
    "loss",
    "read_bundle",
    "training_cost",
]
