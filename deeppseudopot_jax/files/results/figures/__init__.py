"""Figures of bands, potentials, costs, walks, densities, terms of H, clusters; frames of movies.

Only the modules in here know matplotlib.

Figures are plain objects, unknown to pyplot: they vanish with their last reference, and drawing
needs no display.
"""

from matplotlib.figure import Figure

from deeppseudopot_jax.files.results.figures.bands import band_figure, band_panel
from deeppseudopot_jax.files.results.figures.clusters import (
    cluster_map_figure,
    cluster_potential_figure,
)
from deeppseudopot_jax.files.results.figures.costs import (
    cost_comparison_figure,
    cost_figure,
)
from deeppseudopot_jax.files.results.figures.density import (
    density_line_figure,
    density_plane_figure,
)
from deeppseudopot_jax.files.results.figures.inline import inline_svg
from deeppseudopot_jax.files.results.figures.monte_carlo import (
    monte_carlo_figure,
    temperature_walk_figure,
)
from deeppseudopot_jax.files.results.figures.movies import (
    band_pictures,
    potential_pictures,
    save_movie,
)
from deeppseudopot_jax.files.results.figures.potentials import (
    form_factor_panel,
    potential_figure,
    real_space_panel,
)
from deeppseudopot_jax.files.results.figures.residuals import band_error_figure, residual_figure
from deeppseudopot_jax.files.results.figures.style import PANEL, save, save_draft
from deeppseudopot_jax.files.results.figures.terms import term_energy_figure, term_matrix_figure
from deeppseudopot_jax.files.results.plots import BandPlot, PotentialPlot

__all__ = [
    "PANEL",
    "BandPlot",
    "Figure",
    "PotentialPlot",
    "band_error_figure",
    "band_figure",
    "band_panel",
    "band_pictures",
    "cluster_map_figure",
    "cluster_potential_figure",
    "cost_comparison_figure",
    "cost_figure",
    "density_line_figure",
    "density_plane_figure",
    "form_factor_panel",
    "inline_svg",
    "monte_carlo_figure",
    "potential_figure",
    "potential_pictures",
    "real_space_panel",
    "residual_figure",
    "save",
    "save_draft",
    "save_movie",
    "temperature_walk_figure",
    "term_energy_figure",
    "term_matrix_figure",
]
