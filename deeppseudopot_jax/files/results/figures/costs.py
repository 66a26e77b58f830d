"""The history of a cost, of one run or of several."""

from collections.abc import Mapping, Sequence
from itertools import cycle

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from deeppseudopot_jax.files.results.figures.style import (
    COLORS,
    DASHES,
    HALF_WIDTH,
    PANEL,
    legend_above,
    line_styles,
    spacious,
    styled,
)

_WORTH_A_LOGARITHM = 3.0
_FEW = 30
"""Points up to which each is marked; a single one would be invisible without."""
_LETTERS_PER_INCH = 13.0
_SAMPLE = 6
"""Letters that the line before a name in a legend takes."""

History = Float[np.ndarray, "row 2"]
"""Columns (epoch or iteration, cost)."""


@styled
def cost_figure(
    curves: Mapping[str, History],
    x_label: str = "Epoch",
    y_label: str = r"Cost (eV$^2$)",
) -> Figure:
    """Costs over epochs or iterations; logarithmic where they are positive and differ much.

    Args:
        curves: columns (epoch, cost) by the name in the legend; empty ones are left out.
        x_label: what is counted.
        y_label: the cost with its unit.
    """
    present = {name: rows for name, rows in curves.items() if len(rows)}
    figure = Figure(figsize=(HALF_WIDTH, 2.6), layout=spacious())
    axes = figure.subplots()
    styles = line_styles(present)
    for name, rows in present.items():
        axes.plot(*rows.T, label=name, **_marked(rows), **styles[name])
    _frame(axes, list(present.values()), x_label, y_label)
    legend_above(figure, axes.get_lines())
    return figure


@styled
def cost_comparison_figure(
    runs: Mapping[str, Mapping[str, History]], x_label: str, y_label: str = r"Cost (eV$^2$)"
) -> Figure:
    """The costs of several runs: a colour per run, dashes per kind of cost.

    Args:
        runs: histories by what they are of ("training"), by the name of their run.
        x_label: what is counted.
        y_label: the cost with its unit.
    """
    figure = Figure(figsize=PANEL, layout=spacious())
    axes = figure.subplots()
    kinds = dict.fromkeys(kind for histories in runs.values() for kind in histories)
    dashes = dict(zip(kinds, cycle(DASHES), strict=False))
    colors = dict(zip(runs, cycle(COLORS), strict=False))
    for run, histories in runs.items():
        for kind, rows in histories.items():
            axes.plot(*rows.T, color=colors[run], linestyle=dashes[kind], **_marked(rows))
    _frame(axes, [rows for found in runs.values() for rows in found.values()], x_label, y_label)
    handles = [Line2D([], [], color=color, label=run) for run, color in colors.items()]
    for kind, dash in dashes.items():
        is_point = all(len(found[kind]) == 1 for found in runs.values() if kind in found)
        style = _marked(np.zeros((1, 2))) | {"linestyle": ""} if is_point else {"linestyle": dash}
        handles.append(Line2D([], [], color="0.4", label=kind, **style))
    names = max((len(name) for name in (*runs, *kinds)), default=1)
    legend_above(figure, handles, per_inch=_LETTERS_PER_INCH / (names + _SAMPLE))
    return figure


def _marked(rows: History) -> dict:
    """Markers for a history; a single point is a ring, which hides no point of another one."""
    if len(rows) == 1:
        return {"marker": "o", "ms": 6.0, "markerfacecolor": "none"}
    return {"marker": "o" if len(rows) <= _FEW else "", "ms": 2.5}


def _frame(axes: Axes, histories: Sequence[History], x_label: str, y_label: str) -> None:
    """Scales, limits and labels for what has been drawn."""
    costs = np.concatenate([rows[:, 1] for rows in histories] or [np.ones(1)])
    costs = costs[np.isfinite(costs)]
    if len(costs) and costs.min() > 0.0 and costs.max() > _WORTH_A_LOGARITHM * costs.min():
        axes.set_yscale("log")
    first, last = axes.get_xlim()
    axes.set_xlim(min(first, last - 1.0), max(last, first + 1.0))
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True, min_n_ticks=1))
    axes.xaxis.minorticks_off()
    axes.set(xlabel=x_label, ylabel=y_label)
