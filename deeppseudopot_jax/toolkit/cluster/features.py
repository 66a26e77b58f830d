"""Potentials as points of a space in which distances are those that bands can see.

Form factors of all species stand side by side, each value times q sqrt(dq). The squared distance
of two potentials of a species is then the integral of q^2 |dv(q)|^2, which is 2 pi^2 times that of
|dv(r)|^2 over all space (Parseval), and proportional to the sum of |dv|^2 over the plane-wave
differences of a crystal, which fill reciprocal space evenly. All species share one scale: bands
follow the same change of v whichever it belongs to, and a species that hardly differs is not
blown up to the size of the others.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.interpolate import PchipInterpolator

from deeppseudopot_jax.errors import InputError
from deeppseudopot_jax.toolkit.cluster.sources import Fitted

_FEWEST_POINTS = 8
"""Of the common grid."""
_NO_SPREAD = 1e-12
"""Of the size of v(q): differences below are rounding."""


@dataclass(frozen=True, eq=False)
class Features:
    """Potentials on a common grid, and as rows of centred features.

    Attributes:
        q: ascending, in Bohr^-1.
        v_q: in Ha Bohr^3.
        species: sorted.
        rows: one per potential; their squares add up to the number of potentials.
    """

    q: Float[np.ndarray, " q"]
    v_q: Float[np.ndarray, "potential q species"]
    species: tuple[str, ...]
    rows: Float[np.ndarray, "potential feature"]


def features_of(potentials: Sequence[Fitted], q_max: float | None = None) -> Features:
    """Potentials of the same species as points.

    Tables on other grids than the finest one are interpolated where all of them have values,
    monotonically between their points.

    Args:
        potentials: two or more.
        q_max: the largest q that counts, in Bohr^-1; the whole common range where None.

    Raises:
        InputError: if there is one potential only, the tables have no common range up to `q_max`,
            or all potentials are the same.
    """
    if len(potentials) < 2:
        raise InputError("found 1 potential; legal: several, to find families among them")
    q = _common_grid(potentials, q_max)
    species = tuple(sorted(potentials[0].table.species))
    v_q = np.stack([_on_grid(potential, q, species) for potential in potentials])
    weights = q * np.sqrt(np.gradient(q))
    weighted = (v_q * weights[:, None]).transpose(0, 2, 1).reshape(len(potentials), -1)
    different = weighted - weighted.mean(axis=0)
    size, spread = (np.sqrt(np.mean(np.sum(x**2, axis=1))) for x in (weighted, different))
    if not spread > _NO_SPREAD * size:
        raise InputError(f"all {len(potentials)} potentials are the same: there is no family")
    return Features(q, v_q, species, different / spread)


def _common_grid(potentials: Sequence[Fitted], q_max: float | None) -> np.ndarray:
    """The points of the finest table within the range of all."""
    last = max(potentials, key=lambda potential: potential.table.q[0])
    shortest = min(potentials, key=lambda potential: potential.table.q[-1])
    low, high = last.table.q[0], shortest.table.q[-1]
    if q_max is not None:
        if not low < q_max <= high:
            raise InputError(
                f"--q-max: found {q_max:g}; legal: a number > {low:g} and <= {high:g} Bohr^-1, "
                f"where the table of {shortest.name} ends"
            )
        high = q_max
    grids = [potential.table.q for potential in potentials]
    inside = [grid[(grid >= low) & (grid <= high)] for grid in grids]
    finest = max(inside, key=len)
    if high <= low or len(finest) < _FEWEST_POINTS:
        raise InputError(
            f"the tables of v(q) have too little in common: that of {last.name} begins at q = "
            f"{low:g}, that of {shortest.name} ends at {shortest.table.q[-1]:g} Bohr^-1, and "
            f"{len(finest)} points are between; legal: {_FEWEST_POINTS} or more"
        )
    return finest


def _on_grid(potential: Fitted, q: np.ndarray, species: Sequence[str]) -> np.ndarray:
    table = potential.table
    columns = [table.species.index(symbol) for symbol in species]
    v = table.v_q[:, columns]
    same = np.isin(q, table.q)
    if same.all():
        return v[np.searchsorted(table.q, q)]
    found: np.ndarray = PchipInterpolator(table.q, v, axis=0)(q)
    return found
