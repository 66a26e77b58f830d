"""What a user may ask of a conversion."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int

from deeppseudopot_jax.errors import InputError

VALENCE_TOP = -5.5
"""eV. About minus the ionisation energy of semiconductors, where the start values expect it."""

_LARGEST = 1e5
"""eV, in size; NaN is not below it."""


@dataclass(frozen=True)
class ConversionOptions:
    """Which levels and k-points of a source go into a bundle, and how their energies are changed.

    Levels are counted as in the source: one of a calculation without spinors fills two columns of
    the bundle.

    Attributes:
        drop_lowest: levels of the calculation that are left out below, such as semicore ones.
        bands: levels of the bundle, missing ones included; None keeps all that follow.
        missing_lowest: levels of the calculation that the source lacks below; None as it says. What
            is not dropped of them becomes columns of zeros without weight.
        every: keep every n-th k-point of each straight piece of the path, and its ends.
        scissor: eV, added to the levels above the gap.
        scissor_above: the levels above this energy of the source (eV) are raised instead.
        valence_top: eV, where to put the highest valence level of the bundle.
        shift: eV, added to the energies of the source instead of that; 0 keeps its zero.
        drop: first level and end (without it) of filled ones that are left out above `drop_lowest`,
            such as d levels between s and p bands; counted from 0 in the calculation.
    """

    drop_lowest: int = 0
    bands: int | None = None
    missing_lowest: int | None = None
    every: int = 1
    scissor: float = 0.0
    scissor_above: float | None = None
    valence_top: float | None = None
    shift: float | None = None
    drop: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        """Refuse numbers that mean nothing.

        Raises:
            InputError: naming the option.
        """
        for name, least in (("drop_lowest", 0), ("bands", 1), ("missing_lowest", 0), ("every", 1)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise InputError(f"{_option(name)} {value}: legal are whole numbers from {least}")
        if self.drop is not None and not self.drop_lowest <= self.drop[0] < self.drop[1]:
            raise InputError(
                f"--drop {self.drop[0]}:{self.drop[1]}: legal are FIRST:END with FIRST from "
                f"{self.drop_lowest} (--drop-lowest) on and END above it"
            )
        for name in ("scissor", "scissor_above", "valence_top", "shift"):
            energy = getattr(self, name)
            if energy is not None and not abs(energy) <= _LARGEST:
                raise InputError(f"{_option(name)} {energy:g}: legal are at most {_LARGEST:g} eV")
        if self.shift is not None and self.valence_top is not None:
            raise InputError("--shift and --valence-top both set the zero of energy: give one")
        if self.scissor_above is not None and self.scissor == 0.0:
            raise InputError("--scissor-above says where --scissor begins: give both")

    @property
    def n_dropped(self) -> int:
        """How many levels are left out below the bundle's and between them."""
        return self.drop_lowest + (0 if self.drop is None else self.drop[1] - self.drop[0])

    def is_dropped_between(self, numbers: Int[np.ndarray, " level"]) -> Bool[np.ndarray, " level"]:
        """Which of these levels, counted from 0 in the calculation, `drop` leaves out."""
        first, end = self.drop or (0, 0)
        return (first <= numbers) & (numbers < end)


def _option(name: str) -> str:
    return "--" + name.replace("_", "-")
