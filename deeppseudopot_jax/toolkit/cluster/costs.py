"""The cost of a potential, as the tables beside it tell."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np

from deeppseudopot_jax.errors import ResultsError
from deeppseudopot_jax.files.results.report.finished import Finished, History


def cost_of(folder: Path, prefix: str) -> float:
    """The cost (eV^2) of the potential <prefix>_* in a results folder; NaN where no table has it.

    Raises:
        ResultsError: if a table of costs is damaged.
    """
    finished = Finished(folder, prefix)
    try:
        for pattern, look_up in _TABLES.items():
            match = re.fullmatch(pattern, prefix)
            if match:
                return look_up(finished, match)
    except (ValueError, IndexError, OSError) as error:
        raise ResultsError(f"{folder}: a table of costs is damaged ({error})") from error
    return np.nan


def _of_member(finished: Finished, match: re.Match) -> float:
    return _at(finished.history("ensemble"), "member", int(match[1]), "cost")


def _of_epoch(finished: Finished, match: re.Match) -> float:
    return _at(finished.history("final_training_cost"), "epoch", int(match[1]), "cost")


def _of_frame(finished: Finished, match: re.Match) -> float:
    return _at(finished.history(f"{match[1]}final_mc_cost"), "iter", int(match[2]), "currLoss")


def _of_best(finished: Finished, match: re.Match) -> float:
    history = finished.history(f"{match[1]}final_mc_cost")
    return np.nan if history is None else _lowest(history, "bestLoss")


def _of_outcome(finished: Finished, match: re.Match) -> float:
    """The lowest cost, unless another epoch may have been taken: that of lowest held-out cost."""
    training = finished.history("final_training_cost")
    if training is None:
        *_, chain = ["", *finished.chains()]  # the last one has the outcome
        sampled = finished.history(f"{chain}final_mc_cost")
        return np.nan if sampled is None else _lowest(sampled, "bestLoss")
    lowest = _lowest(training, "cost")
    if "held_out" in training.columns:
        judged = training["held_out"] == _lowest(training, "held_out")
        return lowest if lowest in training["cost"][judged] else np.nan
    return lowest


_TABLES: dict[str, Callable[[Finished, re.Match], float]] = {
    r"member_(\d+)": _of_member,
    r"epoch_(\d+)": _of_epoch,
    r"(.*?)mc_iter_(\d+)": _of_frame,
    r"(.*?)best": _of_best,
    r"final": _of_outcome,
}
"""Where the cost of a potential stands, by the prefix of its files."""


def _at(history: History | None, column: str, number: int, wanted: str) -> float:
    """The entry of `wanted` in the row of a number; NaN without such a row."""
    if history is None:
        return np.nan
    row = np.flatnonzero(history[column] == number)
    return float(history[wanted][row[0]]) if len(row) else np.nan


def _lowest(history: History, column: str) -> float:
    values = history[column]
    known = values[np.isfinite(values)]
    return float(known.min()) if len(known) else np.nan
