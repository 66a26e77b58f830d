"""The history of a cost."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from deeppseudopot_jax.files.results.figures.style import (
    HALF_WIDTH,
    legend_above,
    line_styles,
    spacious,
    styled,
)

_WORTH_A_LOGARITHM = 3.0
_FEW = 30
"""Points up to which each is marked; a single one would be invisible without."""


@styled
def cost_figure(
    curves: Mapping[str, Float[np.ndarray, "row 2"]],
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
        marker = "o" if len(rows) <= _FEW else ""
        axes.plot(rows[:, 0], rows[:, 1], marker=marker, ms=2.5, label=name, **styles[name])
    costs = np.concatenate([rows[:, 1] for rows in present.values()] or [np.ones(1)])
    costs = costs[np.isfinite(costs)]
    if len(costs) and costs.min() > 0.0 and costs.max() > _WORTH_A_LOGARITHM * costs.min():
        axes.set_yscale("log")
    first, last = axes.get_xlim()
    axes.set_xlim(min(first, last - 1.0), max(last, first + 1.0))
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True, min_n_ticks=1))
    axes.xaxis.minorticks_off()
    axes.set(xlabel=x_label, ylabel=y_label)
    legend_above(figure, axes.get_lines())
    return figure
