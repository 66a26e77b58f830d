"""Figures of bands, potentials, costs and walks; only the modules in here know matplotlib.

Figures are plain objects, unknown to pyplot: they vanish with their last reference, and drawing
needs no display.
"""

from matplotlib.figure import Figure

from deeppseudopot_jax.files.results.figures.band_plot import BandPlot
from deeppseudopot_jax.files.results.figures.bands import band_figure
from deeppseudopot_jax.files.results.figures.costs import cost_figure
from deeppseudopot_jax.files.results.figures.monte_carlo import (
    monte_carlo_figure,
    temperature_walk_figure,
)
from deeppseudopot_jax.files.results.figures.painter import Beside, Drawing, Here, Painter
from deeppseudopot_jax.files.results.figures.potentials import PotentialPlot, potential_figure
from deeppseudopot_jax.files.results.figures.style import save

__all__ = [
    "BandPlot",
    "Beside",
    "Drawing",
    "Figure",
    "Here",
    "Painter",
    "PotentialPlot",
    "band_figure",
    "cost_figure",
    "monte_carlo_figure",
    "potential_figure",
    "save",
    "temperature_walk_figure",
]
