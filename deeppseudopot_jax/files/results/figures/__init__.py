"""Figures of bands, potentials, costs and walks; only the modules in here know matplotlib.

Figures are plain objects, unknown to pyplot: they vanish with their last reference, and drawing
needs no display.
"""

from matplotlib.figure import Figure

from deeppseudopot_jax.files.results.figures.bands import band_figure
from deeppseudopot_jax.files.results.figures.costs import cost_figure
from deeppseudopot_jax.files.results.figures.monte_carlo import (
    monte_carlo_figure,
    temperature_walk_figure,
)
from deeppseudopot_jax.files.results.figures.potentials import potential_figure
from deeppseudopot_jax.files.results.figures.style import save
from deeppseudopot_jax.files.results.plots import BandPlot, PotentialPlot

__all__ = [
    "BandPlot",
    "Figure",
    "PotentialPlot",
    "band_figure",
    "cost_figure",
    "monte_carlo_figure",
    "potential_figure",
    "save",
    "temperature_walk_figure",
]
