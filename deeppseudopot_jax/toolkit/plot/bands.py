"""Bands from files: the reference as points, any number of calculated ones as lines."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from deeppseudopot_jax.errors import InputError
from deeppseudopot_jax.files.bundle.path_lengths import misfit
from deeppseudopot_jax.files.bundle.reader import read_bundle
from deeppseudopot_jax.files.bundle.text import read_document, read_table
from deeppseudopot_jax.files.findings import BundleError, Findings
from deeppseudopot_jax.files.results.painter import Drawing, Here
from deeppseudopot_jax.files.results.plots import BandPlot
from deeppseudopot_jax.run.outputs import band_plot, path_length
from deeppseudopot_jax.toolkit.plot.names import legend_names
from deeppseudopot_jax.toolkit.plot.targets import check_figure, check_index
from deeppseudopot_jax.types import PlotRange, SystemInput

REFERENCE = "expBandStruct"
"""The beginning of the name of a file with reference energies."""

_SAME_LENGTH = 2e-4
"""Bohr^-1; files have five decimals."""
_LINE = (0.0, 0.137, 0.0419)
"""A point on a line along the first reciprocal vector that passes no symmetry point."""
_MARGIN = 1.05
_DETAIL = 5.0
"""Half width (eV) of the panel around the gap, at most."""


@dataclass(frozen=True, eq=False)
class BandTable:
    """Path lengths (Bohr^-1) and energies (eV) of a file, a row per k-point."""

    path: Path
    lengths: Float[np.ndarray, " kpt"]
    energies: Float[np.ndarray, "kpt band"]

    @property
    def size(self) -> str:
        """Rows and bands in words."""
        n_k, n_bands = self.energies.shape
        return f"{n_k} k-points x {n_bands} bands"


def plot_bands(
    figure: Path,
    files: Sequence[Path],
    inputs: Path | None = None,
    system: int = 0,
    valence_band: int | None = None,
    labels: Sequence[str] = (),
    overwrite: bool = False,
) -> list[Path]:
    """Draw two panels, all bands and the surroundings of the gap; returns what was written.

    Args:
        figure: an SVG, PDF or PNG file.
        files: tables of calculated bands, the most important first, and without `inputs` one whose
            name begins with expBandStruct: the reference.
        inputs: the bundle that has reference, k-points, band edges and windows; without it the
            path lengths of the files say where a row stands.
        system: of the bundle.
        valence_band: index from 0 of the highest occupied band, where there is no bundle.
        labels: names of the calculated bands in the legend.
        overwrite: whether `figure` may be replaced.

    Raises:
        BundleError: if a file is no such table, or the bundle has problems.
        InputError: if files are not of the same k-points and bands, or an argument is not legal.
        ResultsError: if `figure` cannot be written.
    """
    check_figure(figure, overwrite)
    tables = [read_band_table(path) for path in files]
    references = [table for table in tables if table.path.name.startswith(REFERENCE)]
    found = [table for table in tables if table not in references]
    names = legend_names([table.path for table in found], labels)
    if len(references) > 1:
        raise InputError(f"{references[1].path}: {references[0].path} is the reference already")
    if inputs is not None:
        if references or valence_band is not None:
            what = "--valence-band" if not references else str(references[0].path)
            raise InputError(f"{what}: found beside --inputs; legal: one of them ({inputs} has it)")
        plot = _of_system(_system(inputs, system), dict(zip(names, found, strict=True)))
    else:
        curves = dict(zip(names, found, strict=True))
        plot = _along_lengths(references[0] if references else None, curves, valence_band)
    Here().paint(Drawing("band_figure", ([plot],), (figure,)))
    return [figure]


def read_band_table(path: Path) -> BandTable:
    """A *_BS_sys<X>.dat or expBandStruct_X.par file.

    Raises:
        BundleError: naming the lines that are not such a table.
    """
    findings = Findings()
    document = read_document(path, findings)
    table = document and read_table(document, None, "path length and one energy per band")
    if document and table and table.values.shape[1] < 2:
        legal = "path length and one energy per band"
        document.problem(table.lines[0], "holds no bands", found="1 column", legal=legal)
    findings.raise_if_any(str(path.parent))
    assert table
    return BandTable(path, table.values[:, 0], table.values[:, 1:])


def _system(inputs: Path, index: int) -> SystemInput:
    """A system of a bundle, with its held-out levels if it can be run, else as it is evaluated."""
    try:
        systems = read_bundle(inputs).systems
    except BundleError:
        systems = read_bundle(inputs, purpose="eval").systems
    check_index("--system", index, len(systems), str(inputs))
    return systems[index]


def _of_system(system: SystemInput, curves: Mapping[str, BandTable]) -> BandPlot:
    """Bands of a bundle's system, which all tables must be of."""
    if not curves and system.reference_energies is None:
        raise InputError(f"{system.name}: there are no bands to draw")
    legal = f"{len(system.k_points)} k-points x {system.n_bands} bands"
    for table in curves.values():
        if table.energies.shape != (len(system.k_points), system.n_bands):
            raise InputError(
                f"{table.path}: found {table.size}; legal: those of {system.name}, {legal}"
            )
        far = np.abs(table.lengths - path_length(system)) > _SAME_LENGTH
        other = misfit(table.lengths, system.k_points, system.crystal.lattice)
        if far.any() and other is not None:
            raise InputError(
                f"{table.path}: found the path length {table.lengths[other]:g} in row {other + 1}; "
                f"legal: those of the k-points of {system.name}"
            )
    return band_plot(system, {name: table.energies for name, table in curves.items()})


def _along_lengths(
    reference: BandTable | None, curves: Mapping[str, BandTable], valence_band: int | None
) -> BandPlot:
    """Bands over the path lengths of their files, which must be the same."""
    tables = [*curves.values(), *([] if reference is None else [reference])]
    if not tables:
        raise InputError("there are no bands to draw: name files of bands, or --inputs")
    first = tables[-1]
    for table in tables:
        if table.energies.shape != first.energies.shape:
            raise InputError(f"{table.path}: found {table.size}; {first.path} has {first.size}")
        far = np.flatnonzero(np.abs(table.lengths - first.lengths) > _SAME_LENGTH)
        if len(far):
            raise InputError(
                f"{table.path}: found the path length {table.lengths[far[0]]:g} in row "
                f"{far[0] + 1}, {first.path} has {first.lengths[far[0]]:g}: these are other "
                "k-points"
            )
    if valence_band is not None:
        check_index("--valence-band", valence_band, first.energies.shape[1], str(first.path))
    if len(first.lengths) > 1 and not np.ptp(first.lengths):
        raise InputError(f"{first.path}: all path lengths are the same: name the bundle (--inputs)")
    origin = np.tile(_LINE, (len(first.lengths), 1))
    k_points = origin + np.outer(first.lengths, [1.0, 0.0, 0.0])
    return BandPlot(
        title="",
        k_points=k_points,
        lattice=2.0 * np.pi * np.eye(3),  # so that fractions are in Bohr^-1
        curves={name: table.energies for name, table in curves.items()},
        reference=None if reference is None else reference.energies,
        valence_band=valence_band,
        plot_range=_windows([table.energies for table in tables], valence_band),
    )


def _windows(energies: Sequence[np.ndarray], valence_band: int | None) -> PlotRange:
    """Windows around all levels, or around the edge of the valence band."""
    levels = np.stack(energies)
    if valence_band is None:
        low, high = float(levels.min()), float(levels.max())
        center = round(0.5 * (low + high), 1)
        half = max(1.0, _MARGIN * max(high - center, center - low))
        return PlotRange(center, half, min(half, _DETAIL))
    edge = float(levels[..., valence_band].max())
    half = max(1.0, _MARGIN * float(np.abs(levels - edge).max()))
    return PlotRange(edge, half, min(half, _DETAIL))
