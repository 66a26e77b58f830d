"""Potentials in reciprocal and in real space."""

from collections.abc import Sequence
from itertools import cycle
from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from deeppseudopot_jax.files.results.figures.style import (
    COLORS,
    DASHES,
    PANEL,
    WIDTH,
    legend_above,
    shaded,
    spacious,
    styled,
    zero_line,
)
from deeppseudopot_jax.files.results.plots import PotentialPlot

_NEAR_ZERO = 0.25
"""Bohr^-1. Crystals do not use v(q) between 0 and here, where a long-range tail diverges."""
_POLE = 2.0
"""Values near 0 that are this many times larger than all others are left out of the frame."""
_VISIBLE = 0.005
"""Potentials are shown as far as they exceed this fraction of their maximum."""


@styled
def potential_figure(
    q: Float[np.ndarray, " q"],
    r: Float[np.ndarray, " r"],
    species: Sequence[str],
    plots: Sequence[PotentialPlot],
) -> Figure:
    """v(q) and v(r), one colour per species, one dash pattern per entry of `plots`.

    Args:
        q: wave vectors in Bohr^-1, ascending.
        r: radii in Bohr, ascending.
        species: names of the columns.
        plots: the first one is drawn solid.
    """
    figure = Figure(figsize=(WIDTH, 2.8), layout=spacious())
    left, right = figure.subplots(1, 2)
    _draw_form_factors(left, q, plots)
    _draw_real_space(right, r, plots)
    legend_above(figure, _handles(species, plots))
    return figure


@styled
def form_factor_panel(
    q: Float[np.ndarray, " q"], species: Sequence[str], plots: Sequence[PotentialPlot]
) -> Figure:
    """v(q) alone, as in `potential_figure`."""
    figure = Figure(figsize=PANEL, layout=spacious())
    _draw_form_factors(figure.subplots(), q, plots)
    legend_above(figure, _handles(species, plots))
    return figure


@styled
def real_space_panel(
    r: Float[np.ndarray, " r"], species: Sequence[str], plots: Sequence[PotentialPlot]
) -> Figure:
    """v(r) alone, as in `potential_figure`."""
    figure = Figure(figsize=PANEL, layout=spacious())
    _draw_real_space(figure.subplots(), r, plots)
    legend_above(figure, _handles(species, plots))
    return figure


def _draw_form_factors(axes: Axes, q: np.ndarray, plots: Sequence[PotentialPlot]) -> None:
    _draw(axes, q, [plot.v_q for plot in plots])
    for plot in plots:
        if plot.sigmas is not None:
            _shade(axes, q, plot.v_q, plot.sigmas[0])
    axes.set(xlabel=r"$q$ (Bohr$^{-1}$)", ylabel=r"$v(q)$ (Ha Bohr$^3$)")


def _draw_real_space(axes: Axes, r: np.ndarray, plots: Sequence[PotentialPlot]) -> None:
    _draw(axes, r, [plot.v_r for plot in plots])
    for plot in plots:
        if plot.sigmas is not None:
            _shade(axes, r, plot.v_r, plot.sigmas[1])
    axes.set(xlabel=r"$r$ (Bohr)", ylabel=r"$v(r)$ (Ha)")


def _handles(species: Sequence[str], plots: Sequence[PotentialPlot]) -> list[Line2D]:
    handles = [
        Line2D([], [], color=color, label=symbol)
        for symbol, color in zip(species, cycle(COLORS), strict=False)
    ]
    if len(plots) > 1:
        handles += [
            Line2D([], [], color="0.4", linestyle=dashes, label=plot.label)
            for plot, dashes in zip(plots, cycle(DASHES), strict=False)
        ]
    return handles


def _draw(axes: Axes, x: np.ndarray, values: Sequence[np.ndarray]) -> None:
    for v, dashes in zip(values, cycle(DASHES), strict=False):
        draw_species(axes, x, v, dashes)
    zero_line(axes)
    frame_around(axes, x, values)


def draw_species(axes: Axes, x: np.ndarray, values: np.ndarray, dashes: Any = DASHES[0]) -> None:
    """One curve per species, in its colour."""
    for column, color in zip(values.T, cycle(COLORS), strict=False):
        axes.plot(x, column, color=color, linestyle=dashes)


def _shade(axes: Axes, x: np.ndarray, values: np.ndarray, sigmas: np.ndarray) -> None:
    for column, sigma, color in zip(values.T, sigmas.T, cycle(COLORS), strict=False):
        shaded(axes, x, column, sigma, color)


def frame_around(axes: Axes, x: np.ndarray, curves: Sequence[np.ndarray]) -> None:
    """Limits that show all of `curves` but a pole at 0, and x as far as they are visible."""
    values = np.hstack(curves)
    size = np.abs(np.where(np.isfinite(values), values, 0.0)).max(axis=1)
    regular = x >= min(_NEAR_ZERO, x[-1])
    if size.max() <= _POLE * size[regular].max():
        regular[:] = True
    shown = values[regular][np.isfinite(values[regular])]
    if len(shown) and shown.max() > shown.min():
        margin = 0.06 * (shown.max() - shown.min())
        axes.set_ylim(shown.min() - margin, shown.max() + margin)
        furthest = x[regular & (size > _VISIBLE * size[regular].max())].max()
        axes.set_xlim(0.0, min(1.1 * furthest, x[-1]))
