"""The band edges of converted bands, from the number of electrons."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from deeppseudopot_jax.toolkit.convert.source import SourceBands

_WHOLE = 1e-3
"""Electrons: files give them with a few decimals."""
_SAME_ENERGY = 1e-4
"""eV: a path may come to one k-point twice."""


@dataclass(frozen=True)
class BandEdges:
    """The highest valence and lowest conduction band, counted with spin and from 0.

    Attributes:
        valence_band: its index.
        valence_top: eV.
        conduction_bottom: eV; None where no empty band was converted.
        direct_at: the row of the k-point of a direct gap.
    """

    valence_band: int
    valence_top: float
    conduction_bottom: float | None = None
    direct_at: int | None = None

    @property
    def conduction_band(self) -> int | None:
        """Index of the lowest conduction band."""
        return None if self.conduction_bottom is None else self.valence_band + 1


def electrons_left(source: SourceBands, n_dropped: int) -> float | None:
    """Electrons without those of the dropped levels; None where nobody knows."""
    if source.n_electrons is None:
        return None
    return source.n_electrons - source.states_per_level * n_dropped


def find_edges(
    bands: Float[np.ndarray, "kpt band"], n_missing: int, electrons: float | None
) -> tuple[BandEdges | None, list[str]]:
    """The edges of bands that are counted with spin, or why there are none.

    Args:
        bands: eV, the known ones.
        n_missing: bands below them that are not known.
        electrons: in known and missing bands.
    """
    if electrons is None:
        return None, ["the number of electrons is not known: set idxVB and idxCB in input_0.par"]
    occupied = round(electrons)
    first_empty = occupied - n_missing
    if abs(electrons - occupied) > _WHOLE or occupied % 2:
        return None, [f"{electrons:g} electrons fill no whole bands: idxVB is left out (a metal)"]
    if first_empty <= 0 or first_empty > bands.shape[1]:
        return None, [
            f"{electrons:g} electrons are left in {n_missing + bands.shape[1]} bands, the lowest "
            f"{n_missing} of which are missing: no valence edge among them, idxVB is left out"
        ]
    valence = bands[:, first_empty - 1]
    top = float(valence.max())
    if first_empty == bands.shape[1]:
        return BandEdges(occupied - 1, top), ["no empty band is converted: idxCB is left out"]
    conduction = bands[:, first_empty]
    bottom = float(conduction.min())
    if bottom <= top:
        return None, [
            f"bands {occupied - 1} and {occupied} overlap by {top - bottom:.3f} eV (a metal, or a "
            "gap that the calculation closes): idxVB and idxCB are left out"
        ]
    smallest = int(np.argmin(conduction - valence))
    is_direct = (conduction - valence)[smallest] - (bottom - top) < _SAME_ENERGY
    return BandEdges(occupied - 1, top, bottom, smallest if is_direct else None), []
