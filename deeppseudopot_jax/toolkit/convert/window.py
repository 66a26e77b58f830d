"""Which levels of a source go into a bundle."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

from deeppseudopot_jax.errors import InputError
from deeppseudopot_jax.toolkit.convert.options import ConversionOptions
from deeppseudopot_jax.toolkit.convert.source import SourceBands

_ONE_MULTIPLET = 0.001
"""eV: levels that are closer belong together."""


@dataclass(frozen=True)
class Window:
    """The levels of the source that are taken, and how many are missing below them.

    Attributes:
        taken: their columns in the source, ascending.
        n_missing: levels of the bundle below them that the source lacks.
        first_of_source: number of the source's first column in the calculation, from 0.
    """

    taken: Int[np.ndarray, " level"]
    n_missing: int
    first_of_source: int

    def __str__(self) -> str:
        """Numbers of the taken levels in the calculation, from 0: "4, 10 to 17"."""
        numbers = self.first_of_source + self.taken
        runs = np.split(numbers, np.flatnonzero(np.diff(numbers) > 1) + 1)
        return ", ".join(f"{r[0]}" + (f" to {r[-1]}" if len(r) > 1 else "") for r in runs)

    def to_check(self, source: SourceBands, rows: np.ndarray) -> list[str]:
        """Where an end of the window parts levels that belong together."""
        energies = source.energies[rows]
        is_taken = np.isin(np.arange(energies.shape[1]), self.taken)
        told, first = [], self.first_of_source
        for column in np.flatnonzero(np.diff(is_taken)) + 1:
            distances = energies[:, column] - energies[:, column - 1]
            cut = np.flatnonzero(distances < _ONE_MULTIPLET)
            if len(cut):
                told.append(
                    f"the window cuts a multiplet between the levels {first + column - 1} and "
                    f"{first + column} at {len(cut)} k-points "
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
    numbers = lowest + np.arange(n_levels)
    n_missing = max(lowest - options.drop_lowest, 0)
    left = np.flatnonzero((numbers >= options.drop_lowest) & ~options.is_dropped_between(numbers))
    levels = f"the source has the levels {lowest} to {numbers[-1]} (from 0)"
    if options.drop is not None and not lowest <= options.drop[0] < options.drop[1] <= numbers[-1]:
        raise InputError(f"--drop {options.drop[0]}:{options.drop[1]}: {levels}")
    if not len(left):
        raise InputError(f"--drop-lowest {options.drop_lowest}: {levels}, of which none is left")
    most = n_missing + len(left)
    n_bands = most if options.bands is None else options.bands
    if not n_missing < n_bands <= most:
        raise InputError(
            f"--bands {n_bands}: legal are {n_missing + 1} to {most}, as the source has "
            f"{n_levels} levels, of which {n_levels - len(left)} are dropped and below which "
            f"{n_missing} are missing"
        )
    return Window(left[: n_bands - n_missing], n_missing, lowest)
