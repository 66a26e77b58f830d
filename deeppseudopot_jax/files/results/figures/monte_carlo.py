"""A Monte Carlo run: costs, and the walk of the replicas through the temperatures."""

from typing import Any

import numpy as np
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from deeppseudopot_jax.files.results.figures.style import (
    COLORS,
    HALF_WIDTH,
    PALE_COLOR,
    WIDTH,
    legend_above,
    spacious,
    styled,
)

_MOST_POINTS = 2000
"""Per curve; of longer runs only every so many points are drawn."""
_FEW = 30
"""Points up to which each is marked; a single one would be invisible without."""
_MOST_SWAPS = 150
"""Windows with swaps up to which single swaps can be seen."""
_MOST_COLUMNS = 400
"""Of an image: as many as can be told apart."""
_MOST_TICKS = 16


@styled
def monte_carlo_figure(
    iterations: Int[np.ndarray, " row"],
    current: Float[np.ndarray, " row"],
    best: Float[np.ndarray, " row"],
    replicas: Float[np.ndarray, "row replica"] | None = None,
    y_label: str = r"Cost (eV$^2$)",
) -> Figure:
    """Costs over iterations, logarithmic unless none is positive.

    Args:
        iterations: ascending.
        current: cost of the coldest replica.
        best: lowest cost so far.
        replicas: costs of all replicas, drawn faintly.
        y_label: the cost with its unit.
    """
    figure = Figure(figsize=(HALF_WIDTH, 2.6), layout=spacious())
    axes = figure.subplots()
    shown = _thinned(len(iterations), _MOST_POINTS)
    x = iterations[shown]
    handles = []
    if replicas is not None:
        axes.plot(x, replicas[shown], color=PALE_COLOR, linewidth=0.4, zorder=1.5)
        handles.append(Line2D([], [], color=PALE_COLOR, label="all replicas"))
    label = "current" if replicas is None else "coldest"
    marked: dict[str, Any] = {"marker": "o" if len(x) <= _FEW else "", "ms": 2.5}
    handles += axes.plot(x, current[shown], color=COLORS[0], linewidth=0.7, label=label, **marked)
    handles += axes.step(
        x, best[shown], where="post", color=COLORS[1], label="lowest so far", **marked
    )
    heights = np.concatenate([np.asarray(line.get_ydata(), float) for line in axes.get_lines()])
    if np.any(np.isfinite(heights) & (heights > 0.0)):
        axes.set_yscale("log")
    _frame_iterations(axes, x)
    axes.set_ylabel(y_label)
    legend_above(figure, handles)
    return figure


@styled
def temperature_walk_figure(
    iterations: Int[np.ndarray, " window"],
    rungs: Int[np.ndarray, "window replica"],
    betas: Float[np.ndarray, " rung"],
    y_label: str = r"Rung: $\beta$ (eV$^{-1}$)",
) -> Figure:
    """The rung of every replica, coldest below: lines where they can be followed, else an image.

    The image shows which replica is on which rung: colours that stay apart mean replicas that do
    not mix.

    Args:
        iterations: the first one of every window between swaps, at equal distances.
        rungs: of every replica in that window, as many as replicas; 0 is the coldest.
        betas: inverse temperature of every rung.
        y_label: the inverse temperature with its unit.

    Raises:
        ValueError: if there is no window, or replicas do not share the rungs, one on each.
    """
    one_each = np.tile(np.arange(len(betas)), (len(rungs), 1))
    if not len(iterations) or not np.array_equal(np.sort(rungs, axis=1), one_each):
        raise ValueError(f"{len(iterations)} windows: replicas must share {len(betas)} rungs")
    figure = Figure(figsize=(WIDTH, 2.8), layout=spacious())
    axes = figure.subplots()
    window = iterations[1] - iterations[0] if len(iterations) > 1 else 1
    end = iterations[-1] + window
    swapped = np.flatnonzero(np.diff(rungs, axis=0, prepend=-1).any(axis=1))
    few = len(betas) <= len(COLORS)
    if few and len(swapped) <= _MOST_SWAPS:
        x = np.append(iterations[swapped], end)
        _draw_lines(axes, x, np.concatenate([rungs[swapped], rungs[-1:]]))
    else:
        shown = _thinned(len(iterations), _MOST_COLUMNS)
        on_rung = np.argsort(rungs[shown], axis=1)
        _draw_image(axes, (iterations[0], end), on_rung)
    if few:
        legend_above(figure, _replica_handles(len(betas)))
    else:
        bar = figure.colorbar(axes.images[0], ax=axes, label="Replica", pad=0.02)
        bar.ax.yaxis.set_major_locator(MaxNLocator(nbins=8, integer=True))
        bar.ax.minorticks_off()
    _label_rungs(axes, betas)
    axes.set_ylabel(y_label)
    _frame_iterations(axes, np.append(iterations, end))
    return figure


def _draw_lines(axes: Axes, x: np.ndarray, rungs: np.ndarray) -> None:
    for replica, color in zip(rungs.T, COLORS, strict=False):
        axes.step(x, replica, where="post", color=color, linewidth=1.6)


def _draw_image(
    axes: Axes, span: tuple[float, float], replicas: Int[np.ndarray, "window rung"]
) -> None:
    n = replicas.shape[1]
    axes.imshow(
        replicas.T,
        extent=(*span, -0.5, n - 0.5),
        origin="lower",
        aspect="auto",
        interpolation="nearest",  # a mixture of two replicas would look like a third
        cmap=ListedColormap(COLORS[:n]) if n <= len(COLORS) else "viridis",
        vmin=0,
        vmax=n - 1,
    )


def _replica_handles(n: int) -> list[Line2D]:
    return [
        Line2D([], [], color=color, linewidth=3, label=f"replica {replica}")
        for replica, color in enumerate(COLORS[:n])
    ]


def _label_rungs(axes: Axes, betas: np.ndarray) -> None:
    ticks = np.unique(np.linspace(0, len(betas) - 1, _MOST_TICKS).round().astype(int))
    axes.set_yticks(ticks, [f"{betas[rung]:.3g}" for rung in ticks])
    axes.yaxis.minorticks_off()
    axes.set_ylim(-0.5, len(betas) - 0.5)


def _frame_iterations(axes: Axes, iterations: np.ndarray) -> None:
    first, last = (iterations[0], iterations[-1]) if len(iterations) else (0, 1)
    axes.set_xlim(first, max(last, first + 1))
    axes.xaxis.set_major_locator(
        MaxNLocator(nbins=6, steps=[1, 2, 5, 10], integer=True, min_n_ticks=1)
    )
    axes.xaxis.minorticks_off()
    axes.set_xlabel("Iteration")


def _thinned(n: int, most: int) -> np.ndarray:
    """Indices of at most so many of n points, evenly spread, the first and the last among them."""
    return np.unique(np.linspace(0, n - 1, min(n, most)).round().astype(int))
