"""The band energies a system is fitted to, and the weights of its bands."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from deeppseudopot_jax.files.bundle.k_points import WeightedPoints, has_row_count
from deeppseudopot_jax.files.bundle.path_lengths import misfit, runs_backwards
from deeppseudopot_jax.files.bundle.text import Document, read_column, read_table, report_negative
from deeppseudopot_jax.types import Crystal

_ROUNDING = 1e-3  # eV; no file has fewer digits


@dataclass(frozen=True, eq=False)
class BandReference:
    """expBandStruct_X.par: path lengths, energies in eV, and the line of every row."""

    document: Document
    lines: tuple[int, ...]
    path_length: Float[np.ndarray, " kpt"]
    energies: Float[np.ndarray, "kpt band"]


def read_band_reference(
    document: Document, n_k: int | None, n_bands: int | None, is_fitted: bool
) -> BandReference | None:
    """The reference bands; None, with problems, where the file is bad.

    A file for other k-points is a problem where the bands are fitted to it. Otherwise (authors
    evaluate the same folder on other k-points) it gets a note and is left out.
    """
    width = None if n_bands is None else 1 + n_bands
    table = read_table(document, width, "path length and one energy per band")
    if table is None:
        return None
    if n_k is not None and n_k != len(table.lines) and not is_fitted:
        document.findings.note(
            f"{document.name} has {len(table.lines)} rows for {n_k} k-points: the bands are not "
            "compared with it."
        )
        return None
    if not has_row_count(document, table, n_k, "one row per k-point"):
        return None
    return BandReference(document, table.lines, table.values[:, 0], table.values[:, 1:])


def of_these_k_points(
    reference: BandReference, k_points: WeightedPoints, crystal: Crystal, is_fitted: bool
) -> BandReference | None:
    """The reference where its path lengths are those of the k-points; problems where they err.

    Where they are not, it belongs to other k-points: it is left out with a note, or, where the
    bands are fitted to it row by row, kept with one, since lengths serve figures alone.
    """
    document, path = reference.document, reference.path_length
    place = path, k_points.points, crystal.lattice
    name, found = document.name, misfit(*place)
    if found is not None:
        told = (
            f"{name}: its path lengths are not those of the k-points (first in line "
            f"{reference.lines[found]})"
        )
        if not is_fitted:
            document.findings.note(f"{told}: the bands are not compared with it.")
            return None
        document.findings.note(f"{told}; bands are fitted to it row by row all the same.")
    back = runs_backwards(*place)
    if back is not None:
        document.problem(
            reference.lines[back],
            "the path length runs backwards between k-points on a straight line",
            found=f"{path[back]:g} after {path[back - 1]:g} and {path[back - 2]:g}",
            legal="lengths that turn only where the path does",
        )
    return reference


def check_energy_order(reference: BandReference, weights: Float[np.ndarray, "kpt band"]) -> None:
    """Energies of a k-point must ascend, up to rounding: column j is compared with level j.

    Levels without weight do not count, nor do columns that are 0 at every k-point, which stand for
    levels that nobody knows.
    """
    energies = reference.energies
    known = np.any(energies != 0.0, axis=0) & (weights > 0.0)
    for row, (values, counts) in enumerate(zip(energies, known, strict=True)):
        bands = np.flatnonzero(counts)
        falls = np.flatnonzero(np.diff(values[bands]) < -_ROUNDING)
        if len(falls):
            lower, upper = bands[falls[0]], bands[falls[0] + 1]
            name = reference.document.name.replace("expBandStruct", "kpoints")
            reference.document.problem(
                reference.lines[row],
                f"the energy of band {upper} (from 0) is below that of band {lower}",
                found=f"{values[lower]:g} {values[upper]:g}",
                legal=f"ascending energies, {name.removesuffix('.par')}_orderMatrix.par, or bands "
                "that are followed (smooth_reorder = 1, eigvec_reorder = 1)",
            )


def read_band_weights(document: Document, n_bands: int | None) -> Float[np.ndarray, " band"] | None:
    """The weights of bandWeights_X.par; None, with problems, where there are not nBands of them."""
    counts = [] if n_bands is None else [n_bands]
    table = read_column(document, counts, "one weight per band")
    if table is None:
        return None
    report_negative(document, table, 0, "band weight")
    return table.values[:, 0]
