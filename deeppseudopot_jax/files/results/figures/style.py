"""How the figures look, also to colour-blind readers, and how they are saved."""

from collections.abc import Iterable, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

import matplotlib.style
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D

from deeppseudopot_jax.files.atomic import atomic_path

WIDTH = 7.0
"""Inches: two columns of a journal page."""
HALF_WIDTH = 3.4
"""Inches: one column."""
PANEL = (4.2, 3.1)
"""Inches: one panel of a page on a screen, legible at the width of a telephone too."""

_ENTRIES_PER_INCH = 1.5
"""Of a legend, of short names."""

DATA_COLOR = "#333333"
PALE_COLOR = "#c8c8c8"
HELD_OUT_COLOR = "#AA3377"
"""Unlike the colours below, and with a marker of its own for those who do not see it."""

# M. Okabe and K. Ito, Color Universal Design (2008), without black and the faint yellow.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
DASHES: tuple[Any, ...] = ("-", (0, (4, 1.6)), "-.", ":")

LineStyle = dict[str, Any]

_STYLE: dict[str, object] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],  # comes with matplotlib: the same figure everywhere
    "mathtext.fontset": "dejavusans",
    "font.size": 8.0,
    "axes.titlesize": 8.0,
    "axes.labelsize": 8.5,
    "xtick.labelsize": 8.0,
    "ytick.labelsize": 8.0,
    "legend.fontsize": 8.0,
    "legend.frameon": False,
    "axes.linewidth": 0.7,
    "lines.linewidth": 1.1,
    "xtick.direction": "in",
    "ytick.direction": "in",
    "xtick.top": True,
    "ytick.right": True,
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
    "ytick.minor.visible": True,
    "savefig.dpi": 200,
    "pdf.fonttype": 42,  # text stays text
}

styled = matplotlib.style.context(["default", _STYLE])
"""Decorator: the style above, whatever the user's matplotlibrc says."""


def line_styles(names: Iterable[str]) -> dict[str, LineStyle]:
    """Colour and dashes of curves, one pair per distinct name."""
    return {
        name: {"color": color, "linestyle": dashes}
        for name, color, dashes in zip(
            dict.fromkeys(names), cycle(COLORS), cycle(DASHES), strict=False
        )
    }


def spacious() -> ConstrainedLayoutEngine:
    """A layout with room for the tick labels at the corners, which matplotlib does not reckon."""
    return ConstrainedLayoutEngine(w_pad=0.1)


def legend_above(
    figure: Figure, handles: Sequence[Line2D], per_inch: float = _ENTRIES_PER_INCH
) -> None:
    """A legend above the panels, where it covers no data: in one row, if that is wide enough.

    `per_inch` entries stand beside each other; long names need fewer.
    """
    if handles:
        most = max(1, int(per_inch * figure.get_figwidth()))
        columns = min(len(handles), most)
        figure.legend(handles=handles, loc="outside upper center", ncols=columns)


def shaded(axes: Axes, x: np.ndarray, y: np.ndarray, sigma: np.ndarray, color: str) -> None:
    """One standard deviation to both sides of a curve."""
    axes.fill_between(x, y - sigma, y + sigma, color=color, alpha=0.25, linewidth=0.0, zorder=1.8)


def zero_line(axes: Axes) -> None:
    """A faint horizontal line at 0."""
    axes.axhline(0.0, color="0.6", linewidth=0.6, linestyle=":", zorder=0.5)


@styled
def save_draft(figure: Figure, path: Path | str) -> None:
    """The same in half the time: a coarser PNG, a PDF with letters as outlines and no fonts."""
    with matplotlib.rc_context({"pdf.fonttype": 3, "savefig.dpi": 150}):
        _save(figure, path)


@styled
def save(figure: Figure, path: Path | str) -> None:
    """Write a figure in the format its suffix names; the file appears complete or not at all.

    Its layout is made for the first file, and stays.
    """
    _save(figure, path)


def _save(figure: Figure, path: Path | str) -> None:
    # Without dates and random names, equal results give equal files.
    dates = {".pdf": {"CreationDate": None}, ".svg": {"Date": None}}
    with atomic_path(path) as temporary, matplotlib.rc_context({"svg.hashsalt": "figure"}):
        figure.savefig(temporary, metadata=dates.get(temporary.suffix))
        figure.set_layout_engine("none")
