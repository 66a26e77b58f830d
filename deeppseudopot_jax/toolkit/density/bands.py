"""Which bands a density is of, and how many electrons each level holds."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from deeppseudopot_jax.errors import InputError
from deeppseudopot_jax.observables.spin_texture import DEGENERATE
from deeppseudopot_jax.types import SystemInput


def chosen_bands(
    system: SystemInput, window: str | None = None, single: Sequence[int] = ()
) -> list[int]:
    """The bands, counted from 0 as idxVB counts them: without spin-orbit, two to a level.

    Args:
        system: whose idxVB is the last one where nothing else is said.
        window: "first:end", without its end, as slices of Python are.
        single: bands by their numbers.

    Raises:
        InputError: if there is no such band, or both or neither of them are named.
    """
    legal = f"bands 0 to {system.n_bands - 1} (nBands = {system.n_bands})"
    if window is not None and single:
        raise InputError("--bands and --band: found both; legal: one of them")
    if window is not None:
        parts = window.split(":")
        if len(parts) != 2 or not all(part.strip().isdecimal() for part in parts):
            raise InputError(f"--bands: found {window!r}; legal: first:end, as 0:8, with {legal}")
        first, end = map(int, parts)
        if not 0 <= first < end <= system.n_bands:
            raise InputError(f"--bands: found {window}; legal: first < end, of {legal}")
        return list(range(first, end))
    if single:
        if bad := [n for n in single if not 0 <= n < system.n_bands]:
            raise InputError(f"--band: found {bad[0]}; legal: {legal}")
        if len({*single}) < len(single):
            raise InputError(f"--band: found a band twice in {' '.join(map(str, single))}")
        return sorted(single)
    if system.valence_band is None:
        raise InputError(
            f"input_{system.index}.par: idxVB is missing, so that the occupied bands are not "
            f"known; name them by --bands first:end, of {legal}"
        )
    return list(range(system.valence_band + 1))


def electrons_of(bands: Sequence[int], is_spinor: bool) -> Float[np.ndarray, " level"]:
    """Electrons in every level up to the last chosen one; one for each band."""
    levels = np.asarray(bands) // (1 if is_spinor else 2)
    return np.bincount(levels).astype(float)


def cut_multiplets(
    energies: Float[np.ndarray, " level"], electrons: Float[np.ndarray, " level"]
) -> bool:
    """Whether levels of one energy hold different numbers of electrons.

    Then the density depends on which states of the multiplet the solver has found.
    """
    n = min(len(energies), len(electrons) + 1)
    occupied = np.append(electrons, 0.0)[:n]
    return bool((np.diff(occupied).astype(bool) & (np.diff(energies[:n]) < DEGENERATE)).any())


def spelled(bands: Sequence[int]) -> str:
    """Bands in few words: "bands 0 to 7", "bands 3, 5"."""
    if len(bands) == 1:
        return f"band {bands[0]}"
    if list(bands) == list(range(bands[0], bands[-1] + 1)):
        return f"bands {bands[0]} to {bands[-1]}"
    return f"bands {', '.join(map(str, bands))}"
