"""Potentials of several fits in one figure."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from deeppseudopot_jax.errors import InputError, ResultsError
from deeppseudopot_jax.files.results.form_factors import SUFFIX, FormFactors, read_form_factors
from deeppseudopot_jax.files.results.painter import Drawing, Here
from deeppseudopot_jax.files.results.plots import PotentialPlot
from deeppseudopot_jax.files.results.transform import real_space_potential
from deeppseudopot_jax.toolkit.plot.names import legend_names
from deeppseudopot_jax.toolkit.plot.targets import check_figure

_RADII = np.linspace(0.0, 25.0, 1024)
"""Bohr; the figure ends where nothing is left to see."""
_OUTCOMES = ("final", "best")


def plot_potentials(
    figure: Path, sources: Sequence[Path], labels: Sequence[str] = (), overwrite: bool = False
) -> list[Path]:
    """Draw v(q) and v(r), a colour per species and dashes per potential; returns what was written.

    Args:
        figure: an SVG, PDF or PNG file.
        sources: tables of v(q), or results folders, whose final_* potential is taken, else best_*.
        labels: names in the legend.
        overwrite: whether `figure` may be replaced.

    Raises:
        BundleError: if a file is no table of v(q).
        InputError: if its q are not equidistant, or the labels are not one each.
        ResultsError: if a folder has no potential, or `figure` cannot be written.
    """
    check_figure(figure, overwrite)
    if not sources:
        raise InputError("there are no potentials to draw")
    names = legend_names(sources, labels)
    paths = [outcome_of(source) for source in sources]
    tables = [read_form_factors(path) for path in paths]
    species = sorted({symbol for table in tables for symbol in table.species})
    q = max((table.q for table in tables), key=len)
    end = max(table.q[-1] for table in tables)
    q = np.append(q[q < end], end)
    plots = [
        PotentialPlot(name, _interpolated(table, q, species), _real_space(path, table, species))
        for name, path, table in zip(names, paths, tables, strict=True)
    ]
    arguments = q, _RADII, species, plots
    Here().paint(Drawing("potential_figure", arguments, (figure,)))
    return [figure]


def outcome_of(source: Path) -> Path:
    """The table itself, or that of the outcome in a results folder.

    Raises:
        ResultsError: if the folder has none.
    """
    if not source.is_dir():
        return source
    paths = [source / f"{prefix}{SUFFIX}" for prefix in _OUTCOMES]
    found = next((path for path in paths if path.is_file()), None)
    if found is None:
        legal = " or ".join(path.name for path in paths)
        raise ResultsError(f"{source} holds no potential of a run; legal: {legal}")
    return found


def _interpolated(table: FormFactors, q: np.ndarray, species: Sequence[str]) -> np.ndarray:
    """v(q) of all species on another grid; NaN beyond the table, and for species it has not."""
    columns = dict(zip(table.species, table.v_q.T, strict=True))
    unknown = np.full(len(table.q), np.nan)
    curves = (columns.get(symbol, unknown) for symbol in species)
    return np.stack([np.interp(q, table.q, v, np.nan, np.nan) for v in curves], axis=1)


def _real_space(path: Path, table: FormFactors, species: Sequence[str]) -> np.ndarray:
    try:
        v_r = real_space_potential(table.q, table.v_q, _RADII)
    except ValueError as error:
        raise InputError(f"{path}: {error}") from error
    columns = dict(zip(table.species, v_r.T, strict=True))
    unknown = np.full(len(_RADII), np.nan)
    return np.stack([columns.get(symbol, unknown) for symbol in species], axis=1)
