"""Clusters of potentials: what their fits cover, and what the potentials of each look like."""

from collections.abc import Sequence
from itertools import cycle
from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from scipy.spatial import ConvexHull, QhullError

from deeppseudopot_jax.files.results.clusters import ClusterPlot
from deeppseudopot_jax.files.results.figures.potentials import frame_around
from deeppseudopot_jax.files.results.figures.style import (
    COLORS,
    DATA_COLOR,
    HALF_WIDTH,
    legend_above,
    spacious,
    styled,
    zero_line,
)

_MARKERS = "osD^vP"
_WORTH_A_LOGARITHM = 3.0
_COLUMN = 2.2
"""Inches, of the panels of a species."""
_COLOR_MAP = "viridis"


@styled
def cluster_map_figure(plot: ClusterPlot) -> Figure:
    """Potentials in the plane of their principal components.

    Outlines and the shapes of marks tell clusters, the filling tells costs. Medoids have a ring,
    and the potential of lowest cost of every cluster has a cross.
    """
    figure = Figure(figsize=(4.6, 3.9), layout=spacious())
    axes = figure.subplots()
    scale = _scale(plot.costs)
    for cluster, (color, marker) in _signs(plot).items():
        members = plot.members(cluster)
        points = plot.points[members]
        _outline(axes, points, color)
        axes.scatter(
            points[:, 0], points[:, 1], s=28, c=_fillings(plot.costs[members], scale),
            marker=marker, edgecolors=color, linewidths=1.1, zorder=3,
        )  # fmt: skip
    axes.plot(*plot.points[plot.medoids].T, **_MEDOID)
    lowest = plot.lowest[plot.lowest >= 0]
    axes.plot(*plot.points[lowest].T, **_LOWEST)
    for name, part, label in zip("xy", plot.explained, ("PC 1", "PC 2"), strict=True):
        axes.set(**{f"{name}label": f"{label} ({100.0 * part:.0f} % of the variance)"})
    axes.set_aspect("equal", adjustable="datalim")
    if scale is not None:
        figure.colorbar(ScalarMappable(scale, _COLOR_MAP), ax=axes, label=r"Cost (eV$^2$)")
    handles = [
        Line2D(
            [], [], color=color, marker=marker, mfc="none", linestyle="", label=plot.title(cluster)
        )
        for cluster, (color, marker) in _signs(plot).items()
    ]
    handles.append(Line2D([], [], label="medoid", **_MEDOID))
    if len(lowest):
        handles.append(Line2D([], [], label="lowest cost", **_LOWEST))
    legend_above(figure, handles, per_inch=0.8)
    return figure


@styled
def cluster_potential_figure(
    q: Float[np.ndarray, " q"],
    v_q: Float[np.ndarray, "potential q species"],
    species: Sequence[str],
    plot: ClusterPlot,
) -> Figure:
    """v(q) of all potentials in the colours of their clusters, one column per species.

    Below, where they differ: q times the deviation from the mean of all, whose square is what
    distances between potentials are made of. The medoid of every cluster is drawn thick.
    """
    size = (max(HALF_WIDTH, _COLUMN * len(species) + 0.5), 4.6)
    figure = Figure(figsize=size, layout=spacious())
    panels = figure.subplots(2, len(species), squeeze=False, sharex="col")
    signs = _signs(plot)
    for column, symbol, curves in zip(panels.T, species, np.moveaxis(v_q, 2, 0), strict=True):
        upper, lower = column
        _draw_curves(lower, q, q * (curves - curves.mean(axis=0)), plot)
        _draw_curves(upper, q, curves, plot)
        frame_around(upper, q, [curves.T])
        upper.set_title(symbol, loc="left", fontweight="bold")
        lower.set_xlabel(r"$q$ (Bohr$^{-1}$)")
    panels[0, 0].set_ylabel(r"$v(q)$ (Ha Bohr$^3$)")
    panels[1, 0].set_ylabel(r"$q\,(v - \bar{v})$ (Ha Bohr$^2$)")
    handles = [
        Line2D([], [], color=color, label=plot.title(cluster))
        for cluster, (color, _) in signs.items()
    ]
    legend_above(figure, handles, per_inch=0.8)
    return figure


def _draw_curves(axes: Axes, q: np.ndarray, curves: np.ndarray, plot: ClusterPlot) -> None:
    signs = _signs(plot)
    for cluster, (color, _) in signs.items():
        axes.plot(q, curves[plot.members(cluster)].T, color=color, linewidth=0.6, alpha=0.6)
    for cluster, (color, _) in signs.items():  # above the lines of all others
        axes.plot(q, curves[plot.medoids[cluster]], color="white", linewidth=2.8)
        axes.plot(q, curves[plot.medoids[cluster]], color=color, linewidth=1.6)
    zero_line(axes)


_MEDOID: dict[str, Any] = {
    "color": DATA_COLOR, "marker": "o", "markerfacecolor": "none", "linestyle": "", "ms": 10.0,
    "mew": 1.0, "zorder": 4,
}  # fmt: skip
_LOWEST: dict[str, Any] = {
    "color": DATA_COLOR, "marker": "+", "linestyle": "", "ms": 13.0, "mew": 1.0, "zorder": 4,
}  # fmt: skip


def _signs(plot: ClusterPlot) -> dict[int, tuple[str, str]]:
    """Colour and marker of every cluster; together they tell many apart."""
    signs = zip(cycle(COLORS), cycle(_MARKERS), strict=False)
    return dict(zip(range(len(plot.medoids)), signs, strict=False))


def _scale(costs: np.ndarray) -> Normalize | None:
    """Of the colours of costs, logarithmic where they differ much; None where none is known."""
    known = costs[np.isfinite(costs)]
    if not len(known):
        return None
    low, high = known.min(), known.max()
    if low > 0.0 and high > _WORTH_A_LOGARITHM * low:
        return LogNorm(low, high)
    return Normalize(low, high if high > low else low + 1.0)


def _fillings(costs: np.ndarray, scale: Normalize | None) -> np.ndarray:
    """The colours of costs, white where one is not known."""
    if scale is None:
        return np.ones((len(costs), 3))
    known = np.isfinite(costs)
    colors = np.ones((len(costs), 4))
    colors[known] = colormaps[_COLOR_MAP](scale(costs[known]))
    return colors


def _outline(axes: Axes, points: np.ndarray, color: str) -> None:
    """What a cluster covers: its convex hull, where it has an area."""
    try:
        corners = points[ConvexHull(points).vertices] if len(points) > 2 else points
    except QhullError:  # all on one line
        corners = points[np.argsort(points[:, 0])]
    axes.fill(*corners.T, facecolor=color, alpha=0.12, zorder=1)
    axes.plot(*np.vstack([corners, corners[:1]]).T, color=color, linewidth=0.7, zorder=2)
