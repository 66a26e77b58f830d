"""Band structures: reference as points, computed bands as lines."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from deeppseudopot_jax.files.results.figures.style import (
    DATA_COLOR,
    HELD_OUT_COLOR,
    PALE_COLOR,
    PANEL,
    WIDTH,
    LineStyle,
    legend_above,
    line_styles,
    shaded,
    spacious,
    styled,
    zero_line,
)
from deeppseudopot_jax.files.results.plots import BandPlot
from deeppseudopot_jax.k_path import KPath, k_path

_BELOW_EACH_OTHER = 3
"""Up to so many systems stand below each other; more stand two abreast."""
_MARKER_SIZE = 3.2
_ROOMY = 40
"""k-points per panel beyond which the markers shrink."""
_FEW = 10
"""Up to so many k-points, those at the ends are kept off the frame."""


_SIGNS = {
    "reference": (DATA_COLOR, "o"),
    "reference, held out": (HELD_OUT_COLOR, "D"),
    "reference, not fitted": (PALE_COLOR, "o"),
}
"""Colour and marker of every kind of reference levels, as the legend calls it."""


@styled
def band_figure(systems: Sequence[BandPlot]) -> Figure:
    """Two panels per system: all bands, and the surroundings of the gap.

    Corners of the path are marked, and named where they are symmetry points; curves are not drawn
    across its jumps. Above a panel stands how far each curve is from the reference levels shown,
    those that were fitted and those that were held out of the fit.
    """
    abreast = 1 if len(systems) <= _BELOW_EACH_OTHER else 2
    rows = -(-len(systems) // abreast)
    figure = Figure(figsize=(WIDTH * abreast, 0.3 + 2.9 * rows), layout=spacious())
    panels = figure.subplots(rows, 2 * abreast, squeeze=False).reshape(-1, 2)
    styles = line_styles(name for system in systems for name in system.curves)
    for system, (overview, detail) in zip(systems, panels, strict=False):
        for axes, zoom in ((overview, False), (detail, True)):
            _draw_panel(axes, system, zoom, styles)
        overview.set_title(system.title, loc="left", fontweight="bold")
        overview.set_ylabel(system.axis_label)
    for empty in panels[len(systems) :].flat:
        empty.set_axis_off()
    legend_above(figure, _handles(systems, styles))
    return figure


@styled
def band_panel(system: BandPlot, zoom: bool) -> Figure:
    """One of the two panels of a system alone, for pages that put them abreast or not."""
    figure = Figure(figsize=PANEL, layout=spacious())
    axes = figure.subplots()
    styles = line_styles(system.curves)
    _draw_panel(axes, system, zoom, styles)
    axes.set_ylabel(system.axis_label)
    legend_above(figure, _handles([system], styles))
    return figure


def _draw_panel(axes: Axes, system: BandPlot, zoom: bool, styles: Mapping[str, LineStyle]) -> None:
    path = k_path(system.k_points, system.lattice, system.labels)
    draw_path(axes, path)
    draw_reference(axes, system, path)
    draw_curves(axes, system, path, styles)
    axes.set_ylim(*system.window(zoom))
    axes.yaxis.set_major_locator(MaxNLocator(nbins=8, steps=[1, 2, 5, 10]))
    axes.set_title(deviations(system, zoom), loc="right", fontsize=7)


def draw_path(axes: Axes, path: KPath) -> None:
    """Corners of the path with their names, and the line at energy 0."""
    for position, _ in path.ticks:
        axes.axvline(position, color="0.75", linewidth=0.6, zorder=0.5)
    if any(name for _, name in path.ticks):
        positions, names = zip(*path.ticks, strict=True)
        axes.set_xticks(positions, names)
        axes.tick_params(axis="x", which="both", length=0)
        axes.xaxis.minorticks_off()
    else:
        axes.set_xlabel(r"Path length (Bohr$^{-1}$)")
    end = path.position[-1]
    if end > 0.0:
        margin = 0.0 if len(path.position) > _FEW else 0.04 * end
        axes.set_xlim(-margin, end + margin)
    zero_line(axes)


def draw_reference(axes: Axes, system: BandPlot, path: KPath) -> None:
    """The reference levels, those of each kind with a sign of their own."""
    if system.reference is None:
        return
    size = _MARKER_SIZE * float(np.sqrt(min(1.0, _ROOMY / len(path.position))))
    for kind, chosen in reversed(_kinds(system).items()):
        levels = np.where(chosen, system.reference - system.zero, np.nan)
        axes.plot(path.position, levels, **_open_signs(kind, size))


def draw_curves(axes: Axes, system: BandPlot, path: KPath, styles: Mapping[str, LineStyle]) -> None:
    """All curves of a system over the path of its k-points."""
    position = np.insert(path.position, path.breaks, np.nan)
    for name, bands in system.curves.items():
        order = np.argsort(bands, axis=1) if system.followed_by else np.arange(bands.shape[1])[None]
        levels = np.take_along_axis(bands, order, axis=1) - system.zero
        interrupted = np.insert(levels, path.breaks, np.nan, axis=0)
        # Below the points: these stay visible where the fit is good.
        axes.plot(position, interrupted, zorder=1.9, **styles[name])
        if system.sigma is not None and name == next(iter(system.curves)):
            sigma = np.take_along_axis(system.sigma, order, axis=1)
            width = np.insert(sigma, path.breaks, np.nan, axis=0)
            for band, half_width in zip(interrupted.T, width.T, strict=True):
                shaded(axes, position, band, half_width, styles[name]["color"])
        if path.alone:
            color = styles[name]["color"]
            axes.plot(path.position[path.alone], levels[path.alone], "_", color=color, ms=8)


def deviations(system: BandPlot, zoom: bool) -> str:
    """How far each curve is from the reference levels that a panel shows, a line each."""
    lines = []
    for name in system.curves:
        found = {
            "RMSE": system.deviation(name, zoom),
            "held out": system.deviation(name, zoom, held_out=True),
        }
        told = [f"{k} {1000.0 * value:.3g} meV" for k, value in found.items() if value is not None]
        if told:
            lines.append(f"{name}: {', '.join(told)}")
    if lines and system.followed_by:
        lines.append(f"(bands followed: {system.followed_by})")
    return "\n".join(lines)


def _kinds(system: BandPlot) -> dict[str, np.ndarray]:
    """Which reference levels are of which kind, (kpt, band); none where there is no reference."""
    if system.reference is None:
        return {}
    fitted, held_out = system.is_fitted, system.is_held_out
    chosen = fitted, held_out, ~fitted & ~held_out
    return {kind: levels for kind, levels in zip(_SIGNS, chosen, strict=True) if levels.any()}


def _handles(systems: Sequence[BandPlot], styles: Mapping[str, LineStyle]) -> list[Line2D]:
    shown = {kind for system in systems for kind in _kinds(system)}
    handles = [Line2D([], [], label=kind, **_open_signs(kind)) for kind in _SIGNS if kind in shown]
    return handles + [Line2D([], [], label=name, **style) for name, style in styles.items()]


def _open_signs(kind: str, size: float = _MARKER_SIZE) -> dict:
    color, marker = _SIGNS[kind]
    return {
        "color": color, "marker": marker, "linestyle": "", "markerfacecolor": "none",
        "markeredgewidth": 0.6, "markersize": size,
    }  # fmt: skip
