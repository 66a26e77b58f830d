"""How far every band is from its reference: along the path, and on the whole."""

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from deeppseudopot_jax.files.results.figures.bands import draw_path
from deeppseudopot_jax.files.results.figures.style import (
    COLORS,
    HELD_OUT_COLOR,
    PALE_COLOR,
    PANEL,
    legend_above,
    line_styles,
    spacious,
    styled,
)
from deeppseudopot_jax.files.results.plots import BandPlot
from deeppseudopot_jax.k_path import k_path
from deeppseudopot_jax.observables.band_errors import rms_error

_SIDES = {"valence": COLORS[0], "conduction": COLORS[1]}
"""Bands up to the highest occupied one, and those above it."""


@styled
def residual_figure(system: BandPlot) -> Figure:
    """E_fit - E_ref of the first curve in meV; one line per band, held-out levels marked.

    Levels that are neither fitted nor held out are not shown. The system has a reference.
    """
    assert system.reference is not None
    figure = Figure(figsize=PANEL, layout=spacious())
    axes = figure.subplots()
    path = k_path(system.k_points, system.lattice, system.labels)
    draw_path(axes, path)
    bands = next(iter(system.curves.values()))
    residuals = 1000.0 * (bands - system.reference)
    fitted, held_out = system.is_fitted, system.is_held_out
    position = np.insert(path.position, path.breaks, np.nan)
    for band in range(residuals.shape[1]):
        shown = np.where(fitted | held_out, residuals, np.nan)[:, band]
        line = np.insert(shown, path.breaks, np.nan)
        color = _SIDES[_side(system, band)] if system.valence_band is not None else COLORS[0]
        axes.plot(position, line, color=color, linewidth=0.8, alpha=0.8, marker="o", ms=1.4)
    for unseen in np.flatnonzero(held_out.any(axis=0)):
        chosen = held_out[:, unseen]
        axes.plot(
            path.position[chosen], residuals[chosen, unseen], linestyle="", **_mark(HELD_OUT_COLOR)
        )
    axes.axhline(0.0, color=PALE_COLOR, linewidth=0.8, zorder=1)
    axes.set_ylabel(r"$E - E_{\mathrm{ref}}$ (meV)")
    legend_above(figure, _handles(system))
    return figure


@styled
def band_error_figure(system: BandPlot) -> Figure:
    """Root mean square error in meV of every band, of every curve; held-out levels apart.

    The system has a reference.
    """
    assert system.reference is not None
    figure = Figure(figsize=PANEL, layout=spacious())
    axes = figure.subplots()
    handles = []
    chosen = {"": system.is_fitted, ", held out": system.is_held_out}
    for name, style in line_styles(system.curves).items():
        for suffix, counted in chosen.items():
            errors = _rms_of_bands(system.curves[name], system.reference, counted)
            if np.isfinite(errors).any():
                mark = {"marker": "o", "ms": 2.8} if not suffix else _mark(style["color"])
                numbers = np.arange(len(errors))
                line = style["linestyle"] if not suffix else ""
                label, color = name + suffix, style["color"]
                drawn = {**mark, "color": color, "linestyle": line, "label": label}
                handles += axes.plot(numbers, errors, **drawn)
    axes.set_ylim(bottom=0.0)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=10, integer=True, min_n_ticks=1))
    axes.xaxis.minorticks_off()
    axes.set(xlabel="Band", ylabel="RMSE (meV)")
    legend_above(figure, handles)
    return figure


def _rms_of_bands(bands: np.ndarray, reference: np.ndarray, counted: np.ndarray) -> np.ndarray:
    """In meV; NaN for bands of which no level is counted."""
    columns = zip(bands.T, reference.T, counted.T, strict=True)
    found = [rms_error(band, expected, levels) for band, expected, levels in columns]
    return np.array([np.nan if error is None else 1000.0 * error for error in found])


def _side(system: BandPlot, band: int | np.integer) -> str:
    assert system.valence_band is not None
    return "valence" if band <= system.valence_band else "conduction"


def _handles(system: BandPlot) -> list[Line2D]:
    shown = np.flatnonzero((system.is_fitted | system.is_held_out).any(axis=0))
    handles = []
    if system.valence_band is not None:
        sides = dict.fromkeys(_side(system, band) for band in shown)
        handles = [Line2D([], [], color=_SIDES[side], label=side) for side in sides]
    if system.is_held_out.any():
        handles.append(Line2D([], [], linestyle="", label="held out", **_mark(HELD_OUT_COLOR)))
    return handles


def _mark(color: str) -> dict:
    return {"color": color, "marker": "D", "markerfacecolor": "none", "ms": 3.2, "mew": 0.7}
