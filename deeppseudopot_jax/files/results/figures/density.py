"""Charge densities on a plane and along a line."""

from matplotlib.figure import Figure

from deeppseudopot_jax.files.results.density_plots import LineCut, PlaneCut
from deeppseudopot_jax.files.results.figures.style import (
    COLORS,
    DATA_COLOR,
    HALF_WIDTH,
    spacious,
    styled,
)

_LEVELS = 10
_UNIT = r"(e/$a_0^3$)"
_MAP = "cividis"
"""The same to all eyes, and in grey."""


@styled
def density_plane_figure(cut: PlaneCut, title: str = "") -> Figure:
    """A density on a plane as colours with contour lines; atoms in the plane are named."""
    figure = Figure(figsize=(HALF_WIDTH, 3.0), layout=spacious())
    axes = figure.subplots()
    x, y = cut.places[..., 0], cut.places[..., 1]
    colours = axes.pcolormesh(x, y, cut.values, shading="gouraud", cmap=_MAP, rasterized=True)
    if cut.values.max() > cut.values.min():
        axes.contour(x, y, cut.values, levels=_LEVELS, colors="white", linewidths=0.4)
    for symbol, x_atom, y_atom in cut.atoms:
        axes.plot(x_atom, y_atom, "o", ms=3.0, color=COLORS[1], clip_on=False)
        axes.annotate(symbol, (x_atom, y_atom), xytext=(3, 3), textcoords="offset points",
                      color="white", fontweight="bold")  # fmt: skip
    axes.set(xlabel=r"$x$ (Bohr)", ylabel=r"$y$ (Bohr)", title=title, aspect="equal")
    axes.margins(0.0)
    figure.colorbar(colours, ax=axes, label=rf"$\rho$ {_UNIT}", shrink=0.9)
    return figure


@styled
def density_line_figure(cut: LineCut, title: str = "") -> Figure:
    """A density along a line; atoms on it are named above."""
    figure = Figure(figsize=(HALF_WIDTH, 2.6), layout=spacious())
    axes = figure.subplots()
    axes.plot(cut.distance, cut.values, color=COLORS[0])
    for symbol, where in cut.atoms:
        axes.axvline(where, color=DATA_COLOR, linewidth=0.6, linestyle=":", zorder=0.5)
        axes.annotate(symbol, (where, 1.0), xycoords=("data", "axes fraction"),
                      xytext=(0, 2), textcoords="offset points", ha="center")  # fmt: skip
    axes.set_xlim(cut.distance[0], cut.distance[-1])
    axes.set_ylim(bottom=min(0.0, float(cut.values.min())))
    axes.set(xlabel="Distance (Bohr)", ylabel=rf"$\rho$ {_UNIT}")
    axes.set_title(title, pad=14 if cut.atoms else None)
    return figure
