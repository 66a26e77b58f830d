"""How much memory a run will need, estimated from its bundle alone, before any array is built.

With c bytes per complex number (16 in double precision), for a system of volume Omega,
k_max = sqrt(2 maxKE), spin components s and k-points n_k:

    plane waves           N = Omega k_max^3 / (6 pi^2)            what the sphere |G| < k_max holds
    rows of H             d = s N
    differences G - G'    D = 8 N                                 a sphere of twice the radius
    search box            M = prod_i (2 k_max |a_i| / (2 pi) + 3)
    FFT grid              F = prod_i (4 k_max |a_i| / (2 pi) + 1)
    levels, block         L = nBands s / 2,  B = L + 4            vectors of the iterative solver

    tables      100 M + 40 F + D (110 + 40 atoms + 2 c species), 16 N n_k for one set per k-point
    one k-point 1.5 N^2 c (up to 2500 waves: V as a matrix), else 3 s B F c (products by FFT);
                12 d B c + 4 min(10 B, d)^2 c (vectors, first guess);
                c N (atoms + 40 s) (phases, projectors)
    dense       3 d^2 c, where H is diagonalised as a whole: for L > d / 6, and in every fit of 25
                updates or more, whose spot checks do so at one k-point
    states      4 n_k d B c for each of the fits that are made at once (replicas, members)
    levels      48 n_k nBands
    network     8 P numbers per fit (P weights: parameters, gradients, moments, best, copies),
                3 numbers per unit and q of the longer of shells (D^(2/3)) and nQGrid,
                4 min(P, levels)^2 for optimizer = lm
    replicas    50 steps of history per chunk, 1 kB each for the ladder
    file of states  n_k d (nBands s / 2) 16, on the disk
    grids       4 (1 + species) numbers per point, 3 x 256 nQGrid for the transform to v(r)

Measured peaks are within a factor of 2 of the sum, apart from the 0.3 GB of the program itself.
"""

import os
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Float

from deeppseudopot_jax.crystal import cell_volume
from deeppseudopot_jax.errors import InputError
from deeppseudopot_jax.settings import Settings
from deeppseudopot_jax.types import Bundle, SystemInput

_REAL = 8.0
_SPARE, _LARGEST_MATRIX, _ROWS_PER_LEVEL = 4, 2500, 6
_FIRST_SPOT_CHECK = 25
_STEPS_OF_HISTORY = 50


@dataclass(frozen=True)
class Part:
    """Bytes of one kind of data; tables are built on the host, all else where it is computed."""

    what: str
    n_bytes: float
    on_host: bool = False


@dataclass(frozen=True)
class Estimate:
    """What a run needs: about how many plane waves for every system, and memory part by part."""

    plane_waves: dict[str, float]
    parts: tuple[Part, ...]

    @property
    def n_bytes(self) -> float:
        """All parts together."""
        return sum(part.n_bytes for part in self.parts)

    @property
    def memory(self) -> str:
        """The sum and its largest part, for those who know the true number of plane waves."""
        largest = max(self.parts, key=lambda part: part.n_bytes)
        return (
            f"about {spelled(self.n_bytes)} of memory, {spelled(largest.n_bytes)} of it for "
            f"{largest.what}"
        )

    def __str__(self) -> str:
        waves = ", ".join(f"{name} about {n:.3g}" for name, n in self.plane_waves.items())
        return f"{self.memory} (plane waves: {waves})"


def spelled(n_bytes: float) -> str:
    """Bytes in words."""
    unit = "MB" if n_bytes < 2.0**30 else "GB"
    return f"{n_bytes / (2.0**20 if unit == 'MB' else 2.0**30):.3g} {unit}"


def plane_waves_in_sphere(lattice: Float[np.ndarray, "3 3"], max_kinetic_energy: float) -> float:
    """Omega k_max^3 / (6 pi^2), for lattice rows in Bohr and an energy in Ha.

    The number itself differs by the surface of the sphere, 10 % at a hundred waves.
    """
    k_max = (2.0 * max_kinetic_energy) ** 0.5
    return cell_volume(lattice) * k_max**3 / (6.0 * np.pi**2)


def largest_basis(lattice: Float[np.ndarray, "3 3"], max_kinetic_energy: float) -> float:
    """An upper bound of the plane waves of any k-point, the size of the box that is searched."""
    return _box(lattice, max_kinetic_energy, 2.0, 3.0)


def estimate(bundle: Bundle, is_fitted: bool, real_bytes: int = 8) -> Estimate:
    """What a run (or one of its stages) needs at most.

    Args:
        bundle: what it is of.
        is_fitted: whether the settings of a fit are carried out (in an evaluation they are not).
        real_bytes: 8 in double precision, 4 in single.
    """
    c, settings, systems = 2.0 * real_bytes, bundle.settings, bundle.systems
    together, spot_checks = 1, False
    if is_fitted:
        together, spot_checks = _fits_at_once(settings), _updates(bundle) >= _FIRST_SPOT_CHECK
    one_k = [_one_k_point(system, settings.spin_orbit, c) for system in systems]
    dense = [_dense(system, settings.spin_orbit, spot_checks, c) for system in systems]
    needs = [
        (_TABLES, sum(_tables(system, settings, len(bundle.species), c) for system in systems)),
        ("the work at one k-point", max(one_k)),
        ("the dense matrix of one k-point", max(dense)),
        ("energies and weights", sum(6.0 * _REAL * _n_levels(system) for system in systems)),
        ("the output grids (nQGrid, nRGrid)", _grids(settings, len(bundle.species))),
    ]
    if is_fitted:
        states = sum(_states(system, settings.spin_orbit, c) for system in systems)
        history = 1000.0 + _STEPS_OF_HISTORY * (128.0 + 72.0 * len(bundle.species))
        needs.append((_STATES, together * (states + history)))
    if not settings.trains_coefficients:
        needs += _network(bundle, together, is_fitted and settings.least_squares)
    waves = {system.name: _waves(system) for system in systems}
    return Estimate(waves, tuple(Part(what, n, what == _TABLES) for what, n in needs))


def check_tables(bundle: Bundle) -> None:
    """Refuse to build tables that are larger than the memory of this machine.

    Raises:
        InputError: with the number of plane waves.
    """
    physical = physical_memory()
    for system in bundle.systems:
        n_bytes = _tables(system, bundle.settings, len(bundle.species), 2.0 * _REAL)
        if n_bytes > physical:
            raise InputError(
                f"input_{system.index}.par: maxKE = {system.max_kinetic_energy:g} gives about "
                f"{_waves(system):.3g} plane waves, whose tables take {spelled(n_bytes)}; this "
                f"machine has {spelled(physical)}"
            )


def physical_memory() -> float:
    """Bytes of memory that this machine has."""
    return float(os.sysconf("SC_PHYS_PAGES")) * os.sysconf("SC_PAGE_SIZE")


def states_on_disk(system: SystemInput, spin_orbit: bool) -> float:
    """Bytes of the file with all states of a system, in double precision whatever the run has."""
    levels = _block(system, spin_orbit) - _SPARE
    return 2.0 * _REAL * len(system.k_points) * _rows(system, spin_orbit) * levels


_TABLES = "tables of plane waves and their differences"
_STATES = "wave functions of all k-points (of every replica or member)"


def _tables(system: SystemInput, settings: Settings, n_species: int, c: float) -> float:
    lattice, energy, n_waves = system.crystal.lattice, system.max_kinetic_energy, _waves(system)
    n_atoms = len(system.crystal.symbols)
    per_difference = 110.0 + 40.0 * n_atoms + 2.0 * c * n_species
    of_every_k = 16.0 * n_waves * len(system.k_points) * (settings.basis_sphere == "kG")
    boxes = 100.0 * largest_basis(lattice, energy) + 40.0 * _fft_grid(system)
    return boxes + 8.0 * n_waves * per_difference + of_every_k


def _one_k_point(system: SystemInput, spin_orbit: bool, c: float) -> float:
    n_waves, rows, block = _waves(system), _rows(system, spin_orbit), _block(system, spin_orbit)
    n_spin = 2.0 if spin_orbit else 1.0
    potential = 1.5 * n_waves**2 * c
    if n_waves > _LARGEST_MATRIX:
        potential = 3.0 * n_spin * block * _fft_grid(system) * c
    vectors = 12.0 * rows * block * c + 4.0 * min(10.0 * block, rows) ** 2 * c
    n_projectors = len(system.crystal.symbols) + (40.0 * n_spin if spin_orbit else 0.0)
    return potential + vectors + c * n_waves * n_projectors


def _dense(system: SystemInput, spin_orbit: bool, spot_checks: bool, c: float) -> float:
    rows = _rows(system, spin_orbit)
    levels = _block(system, spin_orbit) - _SPARE
    return 3.0 * rows**2 * c if spot_checks or levels > rows / _ROWS_PER_LEVEL else 0.0


def _states(system: SystemInput, spin_orbit: bool, c: float) -> float:
    size = _rows(system, spin_orbit) * _block(system, spin_orbit)
    return 4.0 * len(system.k_points) * size * c


def _network(bundle: Bundle, together: int, least_squares: bool) -> list[tuple[str, float]]:
    settings = bundle.settings
    hidden = () if settings.is_linear else settings.hidden_layers
    n_features = settings.n_knots or settings.n_frequencies or 1
    widths = [float(width) for width in (n_features, *hidden, len(bundle.species))]
    n_weights = sum((a + 1.0) * b for a, b in pairwise(widths))
    n_shells = (8.0 * max(_waves(system) for system in bundle.systems)) ** (2.0 / 3.0)
    units = 3.0 * sum(widths) * max(n_shells, float(settings.n_q))
    needs = [("the network", _REAL * (8.0 * n_weights * together + units))]
    if least_squares:
        side = min(n_weights, sum(_n_levels(system) for system in bundle.systems))
        needs.append(("least squares", 4.0 * _REAL * side**2 * together))
    return needs


def _grids(settings: Settings, n_species: int) -> float:
    points = float(settings.n_q) + settings.n_r
    return _REAL * (4.0 * (1.0 + n_species) * points + 3.0 * 256.0 * settings.n_q)


def _n_levels(system: SystemInput) -> float:
    return float(len(system.k_points)) * system.n_bands


def _rows(system: SystemInput, spin_orbit: bool) -> float:
    return _waves(system) * (2.0 if spin_orbit else 1.0)


def _block(system: SystemInput, spin_orbit: bool) -> float:
    return system.n_bands * (1.0 if spin_orbit else 0.5) + _SPARE


def _fft_grid(system: SystemInput) -> float:
    return _box(system.crystal.lattice, system.max_kinetic_energy, 4.0, 1.0)


def _waves(system: SystemInput) -> float:
    return plane_waves_in_sphere(system.crystal.lattice, system.max_kinetic_energy)


def _box(lattice: np.ndarray, energy: float, per_reach: float, more: float) -> float:
    reach = (2.0 * energy) ** 0.5 * np.linalg.norm(lattice, axis=1) / (2.0 * np.pi)
    return float(np.prod(per_reach * reach + more))


def _fits_at_once(settings: Settings) -> int:
    if settings.monte_carlo:
        return settings.mc_replicas
    return settings.ensemble_size if settings.max_epochs > 0 else 1


def _updates(bundle: Bundle) -> int:
    """The most updates that a fit makes."""
    settings = bundle.settings
    if not settings.monte_carlo:
        return settings.max_epochs
    options = bundle.monte_carlo_options if settings.trains_coefficients else ()
    return max([o.total_iterations for o in options] or [settings.mc_iterations or 0])
