"""Pictures of movies: curves move from frame to frame, all else is drawn once and stays.

So a picture takes a tenth of the time of a figure, and no axis can change.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from jaxtyping import Float, UInt8
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from deeppseudopot_jax.files.results.figures.bands import (
    band_figure,
    deviations,
    draw_curves,
    draw_reference,
)
from deeppseudopot_jax.files.results.figures.potentials import (
    draw_species,
    frame_around,
    potential_figure,
)
from deeppseudopot_jax.files.results.figures.style import line_styles, styled
from deeppseudopot_jax.files.results.movies import Made, Pictures, write_movie
from deeppseudopot_jax.files.results.plots import BandPlot, PotentialPlot
from deeppseudopot_jax.k_path import k_path

Picture = UInt8[np.ndarray, "height width 3"]
"""Red, green and blue of every pixel; both sizes are even, as video formats want them."""

T = TypeVar("T")
_DPI = 150.0
_MOST_PIXELS = 1.3e6
"""Of a picture: larger figures are drawn more coarsely."""
_BACKGROUND = 1.0
"""Lines of a lower zorder than this are no curves or points."""


def band_pictures(frames: Mapping[str, Sequence[BandPlot]]) -> Pictures:
    """What begins to draw a `band_movie`."""
    return partial(band_movie, frames)


def potential_pictures(*arguments: Any) -> Pictures:
    """What begins to draw a `potential_movie` of these arguments."""
    return partial(potential_movie, *arguments)


def save_movie(pictures: Pictures, path: Path) -> Made:
    """Write a movie next to `path`, see `write_movie`."""
    return write_movie(path, pictures)


def band_movie(frames: Mapping[str, Sequence[BandPlot]]) -> Iterator[Picture]:
    """One picture per frame with its name on it, as `band_figure` draws its systems.

    All frames have the same systems, with references and curves of the same names.
    """
    first, *_ = frames.values()
    scene = _Scene(band_figure(first))
    paths = [k_path(system.k_points, system.lattice, system.labels) for system in first]
    styles = line_styles(name for system in first for name in system.curves)

    def draw(systems: Sequence[BandPlot]) -> None:
        panels = iter(scene.figure.axes)
        for system, path in zip(systems, paths, strict=True):
            for zoom in (False, True):
                axes = next(panels)
                draw_reference(axes, system, path)
                draw_curves(axes, system, path, styles)
                axes.set_title(deviations(system, zoom), loc="right")

    for name, systems in frames.items():
        yield scene.picture(name, draw, systems)


def potential_movie(
    q: Float[np.ndarray, " q"],
    r: Float[np.ndarray, " r"],
    species: Sequence[str],
    plots: Sequence[PotentialPlot],
) -> Iterator[Picture]:
    """One picture per entry of `plots` with its label on it, as `potential_figure` draws it.

    The axes are wide enough for all of them.
    """
    figure = potential_figure(q, r, species, plots[:1])
    left, right = figure.axes
    frame_around(left, q, [plot.v_q for plot in plots])
    frame_around(right, r, [plot.v_r for plot in plots])
    scene = _Scene(figure)

    def draw(plot: PotentialPlot) -> None:
        draw_species(left, q, plot.v_q)
        draw_species(right, r, plot.v_r)

    for plot in plots:
        yield scene.picture(plot.label, draw, plot)


class _Scene:
    """A figure whose curves, points and deviations change before a background kept as pixels."""

    @styled
    def __init__(self, figure: Figure) -> None:
        """Take what changes off a finished figure, and draw the rest."""
        self.figure = figure
        area = float(np.prod(figure.get_size_inches()))
        figure.dpi = min(_DPI, float(np.sqrt(_MOST_PIXELS / area)))
        self._canvas = FigureCanvasAgg(figure)
        self._canvas.draw()  # with all that changes: the layout leaves room for it
        figure.set_layout_engine("none")
        self._name = figure.text(0.01, 0.99, "", va="top", fontweight="bold", animated=True)
        self._titles = [
            axes.set_title(axes.get_title("right"), loc="right", animated=True)
            for axes in figure.axes
        ]
        self._clear()
        self._canvas.draw()
        self._background = self._canvas.copy_from_bbox(figure.bbox)

    @styled
    def picture(self, name: str, draw: Callable[[T], None], frame: T) -> Picture:
        """The picture of a frame, which `draw` draws into the panels."""
        self._clear()
        draw(frame)
        self._name.set_text(name)
        self._canvas.restore_region(self._background)
        changing = [*self._lines(), *self._titles, self._name]
        for artist in sorted(changing, key=lambda artist: artist.get_zorder()):
            self.figure.draw_artist(artist)
        pixels = np.asarray(self._canvas.buffer_rgba())[:, :, :3]
        height, width = (size // 2 * 2 for size in pixels.shape[:2])
        return pixels[:height, :width].copy()

    def _lines(self) -> list[Line2D]:
        lines = (line for axes in self.figure.axes for line in axes.get_lines())
        return [line for line in lines if line.get_zorder() > _BACKGROUND]

    def _clear(self) -> None:
        for line in self._lines():
            line.remove()
