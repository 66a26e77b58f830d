"""Bands of every system, what is left between them and the reference, and errors by group."""

from collections.abc import Iterator, Mapping

import numpy as np

from deeppseudopot_jax.files.results.plots import BandPlot
from deeppseudopot_jax.files.results.report.page import (
    Block,
    Chart,
    Charts,
    Section,
    Table,
    Text,
    decimals,
)
from deeppseudopot_jax.observables.band_errors import rms_error
from deeppseudopot_jax.run.stages.report.subject import Subject
from deeppseudopot_jax.types import SystemInput

Groups = Mapping[str, np.ndarray]
"""Which bands belong to each, by its name."""


def bands(subject: Subject) -> Section | None:
    """One set of panels per system; None where no bands are there."""
    if not subject.plots:
        return None
    blocks: list[Block] = []
    errors = [row for pair in subject.plots for row in error_rows(*pair)]
    if errors:
        columns = _columns(subject.outcome)
        table = Table("Root mean square errors (meV) by groups of bands", columns, errors)
        blocks.append(table.without(("", "0"), always=2))
    if subject.covariance is not None:
        blocks.append(Text("Shaded: one standard deviation of the fit."))
    blocks += [_charts(plot) for _, plot in subject.plots]
    return Section("bands", "Bands", blocks)


def _columns(outcome: str) -> tuple[str, ...]:
    seen, unseen = ("initial", outcome), ("initial, held out", f"{outcome}, held out")
    return "System", "Bands", "Levels", *seen, "Levels held out", *unseen


def error_rows(system: SystemInput, plot: BandPlot) -> Iterator[tuple[str, ...]]:
    """Levels and errors of every group of bands, fitted and held out."""
    if plot.reference is None:
        return
    curves = plot.curves.get("initial"), next(iter(plot.curves.values()))
    for name, chosen in _groups(system).items():
        cells = [system.name, name]
        for counted in (plot.is_fitted & chosen, plot.is_held_out & chosen):
            cells.append(str(int(counted.sum())))
            for curve in curves:
                error = None if curve is None else rms_error(curve, plot.reference, counted)
                cells.append(decimals(None if error is None else 1000.0 * error, 1))
        if cells[2] != "0" or cells[5] != "0":
            yield tuple(cells)


def _groups(system: SystemInput) -> Groups:
    """Bands up to the highest valence band, those above it where it is named, and all."""
    number = np.arange(system.n_bands)
    everything = {"all": number >= 0}
    if system.valence_band is None:
        return everything
    valence = number <= system.valence_band
    return {"valence": valence, "conduction": ~valence} | everything


def _charts(plot: BandPlot) -> Charts:
    name = caption = plot.title
    charts = [
        Chart("band_panel", (plot, False), f"Band structure of {name}"),
        Chart("band_panel", (plot, True), f"Band structure of {name} around the gap"),
    ]
    if plot.reference is not None and (plot.is_fitted | plot.is_held_out).any():
        title = f"Deviation of every band of {name} from its reference, along the path"
        charts.append(Chart("residual_figure", (plot,), title))
        title = f"Root mean square error of every band of {name}"
        charts.append(Chart("band_error_figure", (plot,), title))
        caption += "; the error written in a panel is that of the fitted levels that it shows"
    return Charts(charts, caption)
