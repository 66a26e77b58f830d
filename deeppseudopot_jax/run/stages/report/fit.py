"""How the cost went down: every term of it against the epoch, and the members of an ensemble."""

import numpy as np

from deeppseudopot_jax.files.results.report.finished import History
from deeppseudopot_jax.files.results.report.page import (
    Block,
    Chart,
    Charts,
    Section,
    Table,
    Text,
    number,
)
from deeppseudopot_jax.run.stages.report.subject import Subject
from deeppseudopot_jax.run.stages.training.tables import LABELS

_COUNTED = ("epoch",)
_TOTAL, _HELD_OUT = "cost", "held_out"


def costs(subject: Subject) -> Section | None:
    """The costs of a training, each term of its own; None where there was no training."""
    finished = subject.finished
    if not finished.is_run:
        return None
    blocks: list[Block] = []
    training = finished.history("final_training_cost")
    if training is not None and len(training.rows):
        validation = finished.history("final_validation_cost")
        by_held_out = _HELD_OUT in training.columns and subject.bundle.settings.patience is not None
        best_in = _HELD_OUT if by_held_out else _TOTAL
        blocks += [_charts(training, validation), _table(training, best_in)]
    members = finished.history("ensemble")
    if members is not None:
        blocks.append(_members(members))
    covariance = subject.covariance
    if covariance is not None:
        n_data, n_numbers = int(covariance["n_data"]), len(covariance["names"])
        blocks.append(
            Text(
                f"{n_data} data determine {float(covariance['determined']):.1f} of {n_numbers} "
                "trained numbers; a datum of weight 1 scatters by "
                f"{1000.0 * float(covariance['sigma_of_weight_1']):.3g} meV. Error bars in this "
                "report are one standard deviation of that fit."
            )
        )
    return Section("costs", "Cost", blocks) if blocks else None


def _charts(training: History, validation: History | None) -> Charts:
    totals = {LABELS["training"]: _curve(training, _TOTAL)}
    if validation is not None and len(validation.rows):
        totals[LABELS["validation"]] = _curve(validation, _TOTAL)
    if _HELD_OUT in training.columns:
        totals["held out"] = _curve(training, _HELD_OUT)
    charts = [Chart("cost_figure", (totals,), "Cost against epoch")]
    terms = {
        name: _curve(training, name)
        for name in training.columns
        if name not in (*_COUNTED, _TOTAL, _HELD_OUT) and training[name].any()
    }
    if len(terms) > 1:
        charts.append(Chart("cost_figure", (terms,), "Every term of the cost against epoch"))
    return Charts(charts)


def _curve(history: History, column: str) -> np.ndarray:
    """Columns (epoch, cost); what is 0 has no place on a logarithmic axis."""
    values = history[column]
    return np.column_stack([history["epoch"], np.where(values == 0.0, np.nan, values)])


def _table(history: History, best_in: str) -> Table:
    epochs, judged = history["epoch"], history[best_in]
    best = int(np.argmin(np.where(np.isfinite(judged), judged, np.inf)))
    rows = []
    for name in history.columns:
        if name not in _COUNTED:
            values = history[name]
            rows.append((name.replace("_", " "), *(number(values[i], 6) for i in (0, best, -1))))
    columns = (f"first (epoch {epochs[0]:g})", f"best (epoch {epochs[best]:g})")
    last = f"last (epoch {epochs[-1]:g})"
    return Table("Costs in eV²: the sum, and what every term adds", ("Cost", *columns, last), rows)


def _members(members: History) -> Table:
    rows = [
        tuple(f"{v:.0f}" if i < 2 else number(v, 5) for i, v in enumerate(row))
        for row in members.rows
    ]
    columns = [name.replace("_", " ") for name in members.columns]
    return Table("Members of the ensemble; costs in eV²", columns, rows)
