"""The potential: v(q) as the run has left it, and the v(r) that follows."""

from collections.abc import Sequence

import numpy as np

from deeppseudopot_jax.files.results.plots import PotentialPlot
from deeppseudopot_jax.files.results.report.finished import INITIAL
from deeppseudopot_jax.files.results.report.page import Chart, Charts, Section
from deeppseudopot_jax.files.results.transform import real_space_potential
from deeppseudopot_jax.run.stages.report.subject import Subject

_POINTS = 512
"""Of a curve, at least, where its table has more."""


def potentials(subject: Subject) -> Section | None:
    """v(q) and v(r) of the outcome over those of the start; None where no table is there."""
    finished, settings = subject.finished, subject.bundle.settings
    outcome = finished.form_factors(finished.prefix)
    if outcome is None:
        return None
    r = _thinned(np.linspace(0.0, settings.r_max, settings.n_r))
    plots = [_plot(subject.outcome, outcome, r, _sigmas(subject))]
    initial = finished.form_factors(INITIAL) if subject.changes else None
    if initial is not None:
        plots.append(_plot("initial", initial, r))
    q, species = _thinned(outcome[:, 0]), subject.bundle.species
    caption = "In reciprocal and in real space; axes end where curves cannot be told from zero"
    if plots[0].sigmas is not None:
        caption += "; shaded: one standard deviation of the fit"
    charts = Charts(_panels(q, r, species, plots), f"{caption}.")
    return Section("potentials", "Potentials", [charts])


def _panels(
    q: np.ndarray, r: np.ndarray, species: Sequence[str], plots: Sequence[PotentialPlot]
) -> list[Chart]:
    names = " ".join(species)
    return [
        Chart("form_factor_panel", (q, species, plots), f"Form factors v(q) of {names}"),
        Chart("real_space_panel", (r, species, plots), f"Potentials v(r) of {names}"),
    ]


def _plot(
    label: str,
    table: np.ndarray,
    r: np.ndarray,
    sigmas: tuple[np.ndarray, np.ndarray] | None = None,
) -> PotentialPlot:
    """Columns q, v(q) of every species; v(r) comes from all of q, before it is thinned."""
    v_r = real_space_potential(table[:, 0], table[:, 1:], r)
    return PotentialPlot(label, _thinned(table[:, 1:]), v_r, sigmas)


def _thinned(rows: np.ndarray) -> np.ndarray:
    """As many rows as a curve needs."""
    return rows[:: max(1, len(rows) // _POINTS)]


def _sigmas(subject: Subject) -> tuple[np.ndarray, np.ndarray] | None:
    covariance = subject.covariance
    if covariance is None:
        return None
    return _thinned(covariance["v_q_sigma"]), _thinned(covariance["v_r_sigma"])
