"""The terms of H at a k-point: their matrices, and what they add to the energy of every band."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from deeppseudopot_jax.files.results.figures.style import (
    COLORS,
    DATA_COLOR,
    WIDTH,
    legend_above,
    spacious,
    styled,
    zero_line,
)
from deeppseudopot_jax.observables.term_energies import SUM

_DECADES = 6
"""Of the colour scale: what is smaller is white."""
_PANEL = 1.55
"""Inches."""
_LOWEST, _HIGHEST = 0.85, 2.0
"""Heights of a panel over its width; matrices of other shapes are stretched."""
_MARKERS = "osD^v"


@styled
def term_matrix_figure(
    k_points: Mapping[str, Mapping[str, Float[np.ndarray, "row column"]]],
    rows: tuple[int, int],
    columns: tuple[int, int],
    unit: str = "eV",
) -> Figure:
    """Sizes of the matrix elements of every term, one row of panels per k-point.

    All panels share a logarithmic scale of colours.

    Args:
        k_points: matrices by the name of their term, by the title of their k-point.
        rows: the first plane wave of the rows, and the one behind their last.
        columns: those of the columns.
        unit: of the matrix elements.
    """
    names = list(next(iter(k_points.values())))
    largest = max(np.abs(m).max() for terms in k_points.values() for m in terms.values())
    top = largest or 1.0
    scale = LogNorm(top * 10.0**-_DECADES, top)
    colors = colormaps["viridis"].with_extremes(under="white", bad="white")
    shape = (rows[1] - rows[0]) / (columns[1] - columns[0])
    height = _PANEL * min(max(shape, _LOWEST), _HIGHEST)
    size = 1.4 + _PANEL * len(names), 0.6 + height * len(k_points)
    figure = Figure(figsize=size, layout=spacious())
    panels = figure.subplots(len(k_points), len(names), squeeze=False, sharex=True, sharey=True)
    extent = (columns[0] - 0.5, columns[1] - 0.5, rows[1] - 0.5, rows[0] - 0.5)
    for line, (title, terms) in zip(panels, k_points.items(), strict=True):
        for axes, name in zip(line, names, strict=True):
            sizes = np.ma.masked_equal(np.abs(terms[name]), 0.0)
            image = axes.imshow(
                sizes, norm=scale, cmap=colors, extent=extent, interpolation="nearest",
                aspect="equal" if _LOWEST <= shape <= _HIGHEST else "auto",
            )  # fmt: skip
            if not sizes.count():
                axes.text(0.5, 0.5, "all 0", transform=axes.transAxes, ha="center", va="center")
            axes.tick_params(which="both", top=False, right=False, direction="out")
            axes.minorticks_off()
            for axis in (axes.xaxis, axes.yaxis):
                axis.set_major_locator(MaxNLocator(nbins=4, integer=True))
        line[0].set_ylabel(title.replace(", (", "\n(") + "\nPlane wave (row)")
    for axes, name in zip(panels[0], names, strict=True):
        axes.set_title(_size_of(name))
    for axes in panels[-1]:
        axes.set_xlabel("Plane wave (column)")
    bar = figure.colorbar(image, ax=panels, extend="min", shrink=0.9, pad=0.01)
    bar.set_label(f"Matrix element ({unit})")
    return figure


@styled
def term_energy_figure(
    k_points: Mapping[str, Mapping[str, Float[np.ndarray, " band"]]],
) -> Figure:
    """What every term adds to every band, and their sum (eV); one panel per k-point.

    Args:
        k_points: expectation values by the name of their term, by the title of their k-point.
    """
    names = list(next(iter(k_points.values())))
    figure = Figure(figsize=(WIDTH, 0.4 + 2.4 * len(k_points)), layout=spacious())
    panels = figure.subplots(len(k_points), squeeze=False)[:, 0]
    styles = _styles(names)
    for axes, (title, terms) in zip(panels, k_points.items(), strict=True):
        _draw_energies(axes, terms, styles)
        axes.set_title(title, loc="left")
    panels[-1].set_xlabel("Band")
    labels = {name: _text(name) for name in styles} | {SUM: "$H$, the sum"}
    handles = [Line2D([], [], label=labels[name], **style) for name, style in styles.items()]
    legend_above(figure, handles)
    return figure


def _draw_energies(axes: Axes, terms: Mapping[str, np.ndarray], styles: Mapping[str, dict]) -> None:
    for name, values in terms.items():
        axes.plot(np.arange(len(values)), values, **styles[name])
    zero_line(axes)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=10, integer=True, min_n_ticks=1))
    axes.xaxis.minorticks_off()
    axes.set_ylabel("Expectation value (eV)")


def _styles(names: list[str]) -> dict[str, dict]:
    """The sum in the colour of data, every term in a colour and with a marker of its own."""
    drawn = {"linewidth": 0.7, "ms": 3.0, "markerfacecolor": "none", "mew": 0.8}
    styles = {
        name: {"color": color, "marker": marker, **drawn}
        for name, color, marker in zip(names, COLORS, _MARKERS, strict=False)
    }
    return styles | {SUM: {"color": DATA_COLOR, "marker": "_", **drawn, "ms": 7.0, "linewidth": 0}}


def _size_of(name: str) -> str:
    """The modulus of a term, as its panel is called."""
    return f"|{_text(name)}|"


def _text(name: str) -> str:
    """V_loc in mathematical type; the sum is H."""
    if name == SUM:
        return "$H$"
    letter, _, index = name.partition("_")
    return rf"${letter}_\mathrm{{{index}}}$" if index else f"${letter}$"
