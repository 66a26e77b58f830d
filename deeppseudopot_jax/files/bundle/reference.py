"""The band energies a system is fitted to, and the weights of its bands."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from deeppseudopot_jax.files.bundle.k_points import has_row_count
from deeppseudopot_jax.files.bundle.text import Document, read_column, read_table, report_negative


@dataclass(frozen=True, eq=False)
class BandReference:
    """expBandStruct_X.par: path length per k-point and energies in eV."""

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
    return BandReference(table.values[:, 0], table.values[:, 1:])


def read_band_weights(document: Document, n_bands: int | None) -> Float[np.ndarray, " band"] | None:
    """The weights of bandWeights_X.par; None, with problems, where there are not nBands of them."""
    counts = [] if n_bands is None else [n_bands]
    table = read_column(document, counts, "one weight per band")
    if table is None:
        return None
    report_negative(document, table, 0, "band weight")
    return table.values[:, 0]
