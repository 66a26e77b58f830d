"""The potential: v(q), v(r), and the coefficients beside them."""

import numpy as np

from deeppseudopot_jax.files.results.plots import PotentialPlot
from deeppseudopot_jax.files.results.report.finished import Finished
from deeppseudopot_jax.files.results.report.page import Chart, Charts, Section
from deeppseudopot_jax.run.stages.report.subject import INITIAL, Subject

Sigmas = tuple[np.ndarray, np.ndarray]

_POINTS = 512
"""Of a curve, at least, where its table has more."""


def potentials(subject: Subject) -> Section | None:
    """v(q) and v(r) of the outcome over those of the start; None where no tables are there."""
    finished, species = subject.finished, subject.bundle.species
    outcome = _grids(finished, finished.prefix, species)
    if outcome is None:
        return None
    q, r, v_q, v_r = outcome
    plots = [PotentialPlot(subject.outcome, v_q, v_r, _sigmas(subject))]
    initial = _grids(finished, INITIAL, species) if subject.changes else None
    if initial is not None:
        plots.append(PotentialPlot("initial", *initial[2:]))
    names = " ".join(species)
    charts = [
        Chart("form_factor_panel", (q, species, plots), f"Form factors v(q) of {names}"),
        Chart("real_space_panel", (r, species, plots), f"Potentials v(r) of {names}"),
    ]
    caption = "In reciprocal and in real space"
    if plots[0].sigmas is not None:
        caption += "; shaded: one standard deviation of the fit"
    return Section("potentials", "Potentials", [Charts(charts, f"{caption}.")])


def _grids(
    finished: Finished, prefix: str, species: tuple[str, ...]
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray] | None:
    """q, r, v(q), v(r); None where one of the tables is missing."""
    table = finished.form_factors(prefix)
    columns = [finished.real_space(prefix, symbol) for symbol in species]
    known = [_thinned(column) for column in columns if column is not None]
    if table is None or len(known) < len(columns):
        return None
    q = _thinned(table)
    return q[:, 0], known[0][:, 0], q[:, 1:], np.stack([c[:, 1] for c in known], axis=1)


def _thinned(rows: np.ndarray) -> np.ndarray:
    """As many rows as a curve needs."""
    return rows[:: max(1, len(rows) // _POINTS)]


def _sigmas(subject: Subject) -> Sigmas | None:
    covariance = subject.covariance
    if covariance is None:
        return None
    return _thinned(covariance["v_q_sigma"]), _thinned(covariance["v_r_sigma"])
