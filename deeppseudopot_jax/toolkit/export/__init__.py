"""The command `export`: a potential in the forms that other programs take."""

from deeppseudopot_jax.toolkit.export.loading import LoadedPotential, load_potential
from deeppseudopot_jax.toolkit.export.module import form_factor_module
from deeppseudopot_jax.toolkit.export.real_space import Grids
from deeppseudopot_jax.toolkit.export.writing import EVERYTHING, export_potential

__all__ = [
    "EVERYTHING",
    "Grids",
    "LoadedPotential",
    "export_potential",
    "form_factor_module",
    "load_potential",
]
