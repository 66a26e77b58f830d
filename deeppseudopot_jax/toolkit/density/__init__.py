"""The command `density`: the charge density of a potential's bands, in cube files and figures."""

from deeppseudopot_jax.toolkit.density.density import ChargeDensity, Choice, charge_density
from deeppseudopot_jax.toolkit.density.files import write_cube
from deeppseudopot_jax.toolkit.density.k_points import KPoints

__all__ = ["ChargeDensity", "Choice", "KPoints", "charge_density", "write_cube"]
