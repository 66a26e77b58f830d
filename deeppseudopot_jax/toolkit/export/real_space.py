"""v(r) on an equidistant grid, as codes for nanocrystals read it, and how exact it is."""

from dataclasses import dataclass, fields

import numpy as np
from jaxtyping import Float

from deeppseudopot_jax.errors import InputError
from deeppseudopot_jax.files.results.transform import real_space_potential
from deeppseudopot_jax.settings import Settings
from deeppseudopot_jax.toolkit.export.loading import LoadedPotential

MOST_POINTS = 8192
"""Rows that the readers of pot<Symbol>.par have room for."""
_COMPARED = 256
"""q at which a transform is compared with its inverse."""


@dataclass(frozen=True)
class Grids:
    """Equidistant grids from 0 to q_max (Bohr^-1) and to r_max (Bohr), ends included.

    Raises:
        InputError: if a grid has no two points, or ends at 0, or has more rows than readers take.
    """

    q_max: float
    n_q: int
    r_max: float
    n_r: int

    @classmethod
    def of(cls, settings: Settings, **given: float | None) -> "Grids":
        """Those of a bundle, with other values for what is given and not None.

        Raises:
            InputError: as for the class, or if something else is given.
        """
        names = [field.name for field in fields(cls)]
        if unknown := sorted(set(given) - set(names)):
            raise InputError(f"{', '.join(unknown)}: legal are {', '.join(names)}")
        chosen = {name: getattr(settings, name) for name in names}
        return cls(**chosen | {name: x for name, x in given.items() if x is not None})

    def __post_init__(self) -> None:
        for name in ("q_max", "r_max"):
            end = getattr(self, name)
            if not (np.isfinite(end) and end > 0.0):
                raise InputError(f"{name} = {end}: legal: a number > 0")
        for name in ("n_q", "n_r"):
            if getattr(self, name) < 2:
                raise InputError(f"{name} = {getattr(self, name)}: legal: 2 at least")
        if self.n_r > MOST_POINTS:
            raise InputError(
                f"n_r = {self.n_r}: legal: {MOST_POINTS} at most, for which readers have room"
            )

    @property
    def q(self) -> Float[np.ndarray, " q"]:
        """Bohr^-1."""
        return np.linspace(0.0, self.q_max, self.n_q)

    @property
    def r(self) -> Float[np.ndarray, " r"]:
        """Bohr."""
        return np.linspace(0.0, self.r_max, self.n_r)


@dataclass(frozen=True, eq=False)
class RealSpace:
    """A potential in real space.

    Attributes:
        r: Bohr.
        short_range: Ha, shifted by a constant to be 0 at the last r.
        tail: Ha, exact, not shifted: a Coulomb potential at large r.
        shifts: Ha, what was subtracted from the short-range part of every species.
        errors: of every species, the largest difference between v(q) and v(r) transformed back,
            over the largest |v(q)|; 0 where v(q) is.
    """

    r: Float[np.ndarray, " r"]
    short_range: Float[np.ndarray, "r species"]
    tail: Float[np.ndarray, "r species"]
    shifts: Float[np.ndarray, " species"]
    errors: Float[np.ndarray, " species"]


def in_real_space(potential: LoadedPotential, grids: Grids) -> RealSpace:
    """v(r) of every species: the short-range part transformed, the tail by its closed form."""
    r, v_q = grids.r, potential.short_range(grids.q)
    v_r = real_space_potential(grids.q, v_q, r)
    compared = slice(None, None, max(1, len(grids.q) // _COMPARED))
    back = reciprocal_potential(r, v_r, grids.q[compared])
    largest = np.abs(v_q).max(axis=0)
    errors = np.abs(back - v_q[compared]).max(axis=0) / np.where(largest > 0.0, largest, 1.0)
    shifts = v_r[-1]
    return RealSpace(r, v_r - shifts, potential.tail_in_real_space(r), shifts, errors)


def reciprocal_potential(
    r: Float[np.ndarray, " r"], v_r: Float[np.ndarray, "r species"], q: Float[np.ndarray, " q"]
) -> Float[np.ndarray, "q species"]:
    """v(q) = 4 pi int r^2 v(r) sin(q r)/(q r) dr in Ha Bohr^3, by the trapezoidal rule.

    r (Bohr) is equidistant and starts at 0; v_r in Ha is taken to vanish beyond its end.
    """
    weights = np.full(len(r), r[1] - r[0])
    weights[-1] *= 0.5
    # np.sinc(x) = sin(pi x) / (pi x)
    kernel = np.sinc(np.outer(q, r) / np.pi)
    return np.asarray(kernel @ ((4.0 * np.pi * weights * r**2)[:, None] * v_r))
