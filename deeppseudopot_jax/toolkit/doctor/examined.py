"""What the checks look at: a bundle, what is done with it, and bands of its first potential.

Checks are pure functions of it.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from jaxtyping import Bool, Float

from deeppseudopot_jax.run.checks.plan import RunPlan
from deeppseudopot_jax.toolkit.doctor.remarks import Remark
from deeppseudopot_jax.types import Bundle, SystemInput

EXTRA_BANDS = 2
"""Bands that are computed above nBands."""


@dataclass(frozen=True, eq=False)
class StartBands:
    """Bands (eV) of one system for the potential that a run starts from.

    Attributes:
        points: indices of the k-points that were computed, symmetry points first of all.
        labels: of these k-points, "" where one has no name.
        bands: ascending, `EXTRA_BANDS` more than nBands.
        larger_basis: the first nBands of them with a larger maxKE.
        factor: of that maxKE over that of the bundle.
    """

    points: tuple[int, ...]
    labels: tuple[str, ...]
    bands: Float[np.ndarray, "kpt more_bands"]
    larger_basis: Float[np.ndarray, "kpt band"]
    factor: float

    @property
    def is_finite(self) -> bool:
        """Whether every level was found."""
        return bool(np.isfinite(self.bands).all() and np.isfinite(self.larger_basis).all())

    def place(self, row: int) -> str:
        """A k-point in words."""
        label = f" ({self.labels[row]})" if self.labels[row] else ""
        return f"k-point {self.points[row]}{label}"


class Curves(Protocol):
    """v(q) in Ha Bohr^3 of every species, for q in Bohr^-1."""

    def __call__(self, q: Float[np.ndarray, " q"]) -> Float[np.ndarray, "q species"]:
        """The values."""
        ...


@dataclass(frozen=True, eq=False)
class Examined:
    """A bundle that has been read.

    Attributes:
        bundle: as it was read for a run.
        plans: of the stages of that run.
        n_waves: the plane waves of every system, the largest set of any k-point; None if not built.
        start: bands of every system; None where no potential is known to start from.
        curves: v(q) of a checkpoint or table, which species could be interchanged in, by the name
            of its file; nothing where there is none.
        formula: v(q) of the Zunger form with the coefficients of the bundle, if it has any.
    """

    bundle: Bundle
    plans: tuple[RunPlan, ...]
    n_waves: tuple[int, ...] | None = None
    start: tuple[StartBands, ...] | None = None
    curves: tuple[tuple[str, Curves], ...] = ()
    formula: Curves | None = None

    @property
    def fits(self) -> bool:
        """Whether any stage fits the potential."""
        return any(plan.fits for plan in self.plans)

    @property
    def n_per_level(self) -> int:
        """Bands that one level stands for: 2 without spin-orbit."""
        return 1 if self.bundle.settings.spin_orbit else 2

    @property
    def with_start(self) -> Iterator[tuple[SystemInput, StartBands]]:
        """Every system whose bands were computed."""
        if self.start is not None:
            yield from zip(self.bundle.systems, self.start, strict=True)


Check = Callable[[Examined], Iterator[Remark]]


def known_levels(system: SystemInput) -> Bool[np.ndarray, " band"]:
    """Columns of the reference that stand for a level: those that are not 0 at every k-point."""
    assert system.reference_energies is not None
    return np.any(system.reference_energies != 0.0, axis=0)


def counting_levels(system: SystemInput) -> Bool[np.ndarray, " band"]:
    """Known columns that have a weight."""
    return known_levels(system) & (system.band_weights > 0.0)


@dataclass(frozen=True)
class Shift:
    """How the reference lies above the bands of the start, and what is left without it (eV).

    `rest` is the root mean square of the differences less `size`, weighted as in the cost.
    """

    size: float
    rest: float


def shift_of(system: SystemInput, start: StartBands) -> Shift | None:
    """The shift at the computed k-points; None where nothing can be compared."""
    reference = system.reference_energies
    if reference is None or system.band_order is not None:
        return None
    rows, counts = list(start.points), counting_levels(system)
    weights = (system.k_weights[rows][:, None] * system.band_weights)[:, counts]
    if not weights.any():
        return None
    differences = (reference[rows] - start.bands[:, : system.n_bands])[:, counts]
    size = float(np.average(differences, weights=weights))
    rest = float(np.sqrt(np.average((differences - size) ** 2, weights=weights)))
    return Shift(size, rest)
