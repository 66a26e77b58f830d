"""Which levels of a source go into a bundle."""

from dataclasses import dataclass

import numpy as np

from deeppseudopot_jax.errors import InputError
from deeppseudopot_jax.toolkit.convert.options import ConversionOptions
from deeppseudopot_jax.toolkit.convert.source import SourceBands

_ONE_MULTIPLET = 0.001
"""eV: levels that are closer belong together."""


@dataclass(frozen=True)
class Window:
    """The columns of the source that are taken, and how many levels are missing below them.

    `first_of_calculation` is the number of the first taken level in the calculation, from 0.
    """

    taken: slice
    n_missing: int
    first_of_calculation: int

    def to_check(self, source: SourceBands, rows: np.ndarray) -> list[str]:
        """Where an end of the window parts levels that belong together."""
        energies = source.energies[rows]
        told = []
        for where, column in (("lowest", self.taken.start), ("highest", self.taken.stop)):
            if not 0 < column < energies.shape[1]:
                continue
            distances = energies[:, column] - energies[:, column - 1]
            cut = np.flatnonzero(distances < _ONE_MULTIPLET)
            if len(cut):
                told.append(
                    f"the window cuts a multiplet at its {where} level at {len(cut)} k-points "
                    f"(first: {source.k_points[rows[cut[0]]].round(4).tolist()})"
                )
        return told


def window_of(source: SourceBands, options: ConversionOptions) -> Window:
    """The window that `options` ask for.

    Raises:
        InputError: if the source has not these levels.
    """
    lowest = source.first_band if options.missing_lowest is None else options.missing_lowest
    if source.first_band not in (0, lowest):
        raise InputError(
            f"--missing-lowest {lowest}: the file itself says that {source.first_band} levels are "
            "missing below"
        )
    n_levels = source.energies.shape[1]
    start = max(options.drop_lowest - lowest, 0)
    n_missing = max(lowest - options.drop_lowest, 0)
    if start >= n_levels:
        raise InputError(
            f"--drop-lowest {options.drop_lowest}: the source has the levels {lowest} to "
            f"{lowest + n_levels - 1} (from 0), of which none is left"
        )
    most = n_missing + n_levels - start
    n_bands = most if options.bands is None else options.bands
    if not n_missing < n_bands <= most:
        raise InputError(
            f"--bands {n_bands}: legal are {n_missing + 1} to {most}, as the source has "
            f"{n_levels} levels, of which {start} are dropped and below which {n_missing} are "
            "missing"
        )
    return Window(slice(start, start + n_bands - n_missing), n_missing, lowest + start)
