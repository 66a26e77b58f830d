"""How the costs of several runs went down, in one figure."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from deeppseudopot_jax.errors import InputError, ResultsError
from deeppseudopot_jax.files.results.painter import Drawing, Here
from deeppseudopot_jax.files.results.report.finished import Finished
from deeppseudopot_jax.run.stages.training.tables import LABELS
from deeppseudopot_jax.toolkit.plot.names import legend_names
from deeppseudopot_jax.toolkit.plot.targets import check_figure

_TRAINING = {
    "final_training_cost": {"cost": LABELS["training"], "held_out": "held out"},
    "final_validation_cost": {"cost": LABELS["validation"]},
}
"""Columns of the tables of a training, and what the legend calls them."""
_CHAIN = {"currLoss": "Monte Carlo, coldest", "bestLoss": "Monte Carlo, lowest"}

Histories = dict[str, np.ndarray]
"""Columns (epoch or iteration, cost) by what they are of."""


def plot_costs(
    figure: Path, results: Sequence[Path], labels: Sequence[str] = (), overwrite: bool = False
) -> list[Path]:
    """Draw the costs of trainings and Monte Carlo runs; returns what was written.

    Args:
        figure: an SVG, PDF or PNG file.
        results: folders of runs, also of such that still go on.
        labels: names of the runs in the legend.
        overwrite: whether `figure` may be replaced.

    Raises:
        InputError: if the labels are not one each.
        ResultsError: if a folder has no history of a cost or a damaged one, or `figure` cannot be
            written.
    """
    check_figure(figure, overwrite)
    if not results:
        raise InputError("there are no runs to draw")
    names = legend_names(results, labels)
    runs: dict[str, Histories] = {}
    counted: set[str] = set()
    for name, folder in zip(names, results, strict=True):
        for part in _found(folder):
            title = f"{name}, {part.chain}" if part.chain else name
            runs.setdefault(title, {}).update(part.histories)
            counted.add(part.counted)
    x_label = " or ".join(sorted(counted)).capitalize()
    Here().paint(Drawing("cost_comparison_figure", (runs, x_label), (figure,)))
    return [figure]


class _Part(NamedTuple):
    """The training of a run, or one of its Monte Carlo chains with the name that it may have."""

    chain: str
    counted: str
    histories: Histories


def _found(folder: Path) -> list[_Part]:
    """What a run has left of its training and of every chain."""
    try:
        found = [part for part in _parts(folder) if part.histories]
    except (ValueError, OSError, IndexError) as error:
        cause = str(error).partition(";")[0]  # behind it NumPy advises programmers
        raise ResultsError(f"{folder}: a table of costs is damaged ({cause})") from error
    if not found:
        legal = ", ".join(f"{name}.dat" for name in (*_TRAINING, "final_mc_cost"))
        raise ResultsError(f"{folder} has no costs of a run; legal: a folder with {legal}")
    return found


def _parts(folder: Path) -> Iterator[_Part]:
    finished = Finished(folder, "final")
    training: Histories = {}
    for name, columns in _TRAINING.items():
        training |= _curves(finished, name, "epoch", columns)
    yield _Part("", "epoch", training)
    for chain in finished.chains():
        histories = _curves(finished, f"{chain}final_mc_cost", "iter", _CHAIN)
        yield _Part(chain.removesuffix("_"), "iteration", histories)


def _curves(finished: Finished, name: str, counted: str, columns: dict[str, str]) -> Histories:
    """The columns that a table has; what is 0 has no place on a logarithmic axis."""
    history = finished.history(name)
    if history is None or not len(history.rows):
        return {}
    return {
        title: np.column_stack([history[counted], np.where(values == 0.0, np.nan, values)])
        for column, title in columns.items()
        if column in history.columns
        for values in [history[column]]
    }
