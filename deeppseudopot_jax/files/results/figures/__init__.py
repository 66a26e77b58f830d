"""Figures of bands, potentials, costs and walks, and pictures of movies.

Only the modules in here know matplotlib.

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
from deeppseudopot_jax.files.results.figures.movies import band_movie, potential_movie
from deeppseudopot_jax.files.results.figures.potentials import potential_figure
from deeppseudopot_jax.files.results.figures.style import save
from deeppseudopot_jax.files.results.plots import BandPlot, PotentialPlot

__all__ = [
    "BandPlot",
    "Figure",
    "PotentialPlot",
    "band_figure",
    "band_movie",
    "cost_figure",
    "monte_carlo_figure",
    "potential_figure",
    "potential_movie",
    "save",
    "temperature_walk_figure",
]
