"""One number that a physicist asks for, as tables and programs get it: with place and reference."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from deeppseudopot_jax.types import SystemInput

Group = Literal[
    "gaps", "edges", "splittings", "masses", "deformation potentials", "couplings"
]  # fmt: skip


@dataclass(frozen=True, eq=False, kw_only=True)
class Observable:
    """A number of one system; None stands for what is not known, and NaN for nothing.

    `where` names states in words, `sigma` is one standard deviation, and `note` says why there is
    no value.
    """

    group: Group
    name: str
    unit: str
    value: float | None
    where: str = ""
    reference: float | None = None
    sigma: float | None = None
    note: str = ""

    @property
    def difference(self) -> float | None:
        """How far it is from its reference."""
        if self.value is None or self.reference is None:
            return None
        return self.value - self.reference


def unknown(group: Group, name: str, unit: str, note: str) -> Observable:
    """A number that could not be computed, and why."""
    return Observable(group=group, name=name, unit=unit, value=None, note=note)


def known(value: float) -> float | None:
    """The number if it is one, else None."""
    return float(value) if np.isfinite(value) else None


def vector(components: np.ndarray) -> str:
    """Fractional coordinates in words."""
    return f"({' '.join(f'{x:.6g}' for x in np.asarray(components) + 0.0)})"


def place(system: SystemInput, k_point: int, band: int | None = None) -> str:
    """A k-point, or a state of it, in words; both are counted from 0."""
    text = f"k-point {k_point} {vector(system.k_points[k_point])}"
    return text if band is None else f"{text} band {band}"
