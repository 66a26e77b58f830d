"""Slow, literal NumPy/SciPy transcription of the physics formulas, to compare the fast code with.

Nothing here is shared with the package: sums over plane waves are double loops, radial integrals
are adaptive quadratures. Units are atomic (Bohr, Bohr^-1, Hartree) unless a docstring says eV.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cache
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.integrate import quad
from scipy.special import spherical_jn

HARTREE_IN_EV = 27.2114

Array = NDArray[Any]
Potential = Callable[[Any], Any]

_CUTOFF = math.sqrt(16.0 * math.log(10.0))  # in widths: the Gaussian weight is 1e-16 there
_SIGMA = np.array([[[0, 1], [1, 0]], [[0, -1j], [1j, 0]], [[1, 0], [0, -1]]], dtype=complex)


# ---------------------------------------------------------------- crystal and basis


def reciprocal_lattice(lattice: ArrayLike) -> Array:
    """Rows b_i (Bohr^-1) with a_i . b_j = 2 pi delta_ij, for lattice rows a_i (Bohr)."""
    return 2.0 * math.pi * np.linalg.inv(np.asarray(lattice, dtype=float)).T


def cell_volume(lattice: ArrayLike) -> float:
    """Volume |a1 . (a2 x a3)| (Bohr^3), positive for left-handed rows too."""
    a1, a2, a3 = np.asarray(lattice, dtype=float)
    return abs(float(np.dot(a1, np.cross(a2, a3))))


def plane_waves(lattice: ArrayLike, max_kinetic_energy: float) -> Array:
    """All integer triples g with |g B|^2 / 2 < max_kinetic_energy (Ha), lexicographic, (n, 3)."""
    lattice = np.asarray(lattice, dtype=float)
    reciprocal = reciprocal_lattice(lattice)
    # g_i = G . a_i / (2 pi), hence |g_i| <= |G| |a_i| / (2 pi) whatever the angles of the cell.
    radius = math.sqrt(2.0 * max_kinetic_energy)
    bounds = [int(radius * np.linalg.norm(a) / (2.0 * math.pi)) + 1 for a in lattice]
    triples = []
    for g in product(*(range(-m, m + 1) for m in bounds)):
        wave = np.array(g, dtype=float) @ reciprocal
        if float(wave @ wave) / 2.0 < max_kinetic_energy:
            triples.append(g)
    return np.array(triples, dtype=int).reshape(-1, 3)


def reference_bound(lattice: ArrayLike, max_kinetic_energy: float) -> int:
    """Bound M on every |g_i| used by the reference code: too small for fcc cells, for example."""
    shortest = min(float(np.linalg.norm(b)) for b in reciprocal_lattice(lattice))
    return int(math.sqrt(2.0 * max_kinetic_energy) / shortest)


def random_crystal(rng: np.random.Generator, n_atoms: int) -> tuple[Array, Array]:
    """Random right-handed triclinic cell, edges 6 to 8 Bohr, and fractional positions (n, 3)."""
    while True:
        directions = np.eye(3) + rng.uniform(-0.3, 0.3, size=(3, 3))
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
        if np.linalg.det(directions) > 0.7:
            lattice = rng.uniform(6.0, 8.0, size=(3, 1)) * directions
            return lattice, rng.uniform(0.0, 1.0, size=(n_atoms, 3))


# ---------------------------------------------------------------- form factors


def zunger(q: ArrayLike, coefficients: Sequence[float]) -> Array:
    """Local form factor a0 (q^2 - a1) / (a2 exp(a3 q^2) - 1) in Ha Bohr^3, q in Bohr^-1."""
    a0, a1, a2, a3 = (float(c) for c in coefficients[:4])
    q2 = np.asarray(q, dtype=float) ** 2
    # The exponent is clipped where the form factor has long underflown, to avoid an overflow.
    return a0 * (q2 - a1) / (a2 * np.exp(np.minimum(a3 * q2, 600.0)) - 1.0)


def long_range(q: ArrayLike, a4: float, gamma: float) -> Array:
    """Tail -a4 (4 pi / q^2) exp(-q^2 / (4 gamma^2)) in Ha Bohr^3, zero for q <= 1e-4 Bohr^-1."""
    q = np.asarray(q, dtype=float)
    safe = np.where(q > 1e-4, q, 1.0)
    tail = -a4 * (4.0 * math.pi / safe**2) * np.exp(-(safe**2) / (4.0 * gamma**2))
    return np.where(q > 1e-4, tail, 0.0)


def strain_factor(a8: float, volume_ratio: float) -> float:
    """Factor 1 + a8 (Omega / Omega_0 - 1) that scales a local potential (dimensionless)."""
    return 1.0 + a8 * (volume_ratio - 1.0)


def _activate(x: Array, activation: str) -> Array:
    """One of the activation functions relu, celu (alpha = 1), tanh, sigmoid, elementwise."""
    if activation == "relu":
        return np.maximum(x, 0.0)
    if activation == "celu":
        return np.maximum(x, 0.0) + np.minimum(0.0, np.exp(np.minimum(x, 0.0)) - 1.0)
    if activation == "tanh":
        return np.tanh(x)
    if activation == "sigmoid":
        return 0.5 * (1.0 + np.tanh(0.5 * x))
    raise ValueError(f"unknown activation {activation!r}")


def network(
    q: ArrayLike,
    weights: Sequence[ArrayLike],
    biases: Sequence[ArrayLike],
    activation: str,
    batch_norm: Sequence[tuple[ArrayLike, ArrayLike, ArrayLike, ArrayLike]] | None = None,
) -> Array:
    """Perceptron v(q) in Ha Bohr^3, (n,) -> (n, n_species), each weight of shape (out, in).

    Features of q, (n, n_features), may stand for q.
    """
    x = np.reshape(np.asarray(q, dtype=float), (len(q), -1))
    last = len(weights) - 1
    for layer, (weight, shift) in enumerate(zip(weights, biases, strict=True)):
        x = x @ np.asarray(weight, dtype=float).T + np.asarray(shift, dtype=float)
        if layer == last:
            break
        if batch_norm is not None:
            scale, bias, mean, variance = (np.asarray(p, dtype=float) for p in batch_norm[layer])
            x = (x - mean) / np.sqrt(variance + 1e-5) * scale + bias
        x = _activate(x, activation)
    return x


# ---------------------------------------------------------------- radial integrals


def spherical_bessel_j1(x: ArrayLike) -> Array:
    """Spherical Bessel function j1(x) = sin(x)/x^2 - cos(x)/x (dimensionless)."""
    return spherical_jn(1, x)


def _j1(x: float) -> float:
    """The same j1 for one x >= 0 without SciPy's slow scalar call (its series below x = 1)."""
    if x >= 1.0:
        return math.sin(x) / x**2 - math.cos(x) / x
    total, term = 0.0, x / 3.0
    for n in range(1, 12):  # terms (-x^2/2)^n / (n! 5 7 ... (2n + 3)) times x/3
        total += term
        term *= -(x**2) / (2.0 * n * (2.0 * n + 3.0))
    return total


def _radial_integral(k: float, kp: float, centre: float, width: float, upper: float) -> float:
    """Integral of r^2 j1(k r) exp(-((r - centre)/width)^2) j1(kp r) over [0, upper] (Bohr^3)."""

    def integrand(r: float) -> float:
        return r**2 * _j1(k * r) * math.exp(-(((r - centre) / width) ** 2)) * _j1(kp * r)

    return float(quad(integrand, 0.0, upper, epsabs=1e-13, epsrel=1e-12, limit=400)[0])


def spin_orbit_integral(K: float, Kp: float) -> float:
    """I_SO(K, K') in Bohr^3 (width 0.7 Bohr), K and K' in Bohr^-1."""
    return _radial_integral(K, Kp, 0.0, 0.7, _CUTOFF * 0.7)


def nonlocal_integral_1(K: float, Kp: float) -> float:
    """I_1(K, K') in Bohr^3 (width 1 Bohr, centred at 0), K and K' in Bohr^-1."""
    return _radial_integral(K, Kp, 0.0, 1.0, _CUTOFF)


def nonlocal_integral_2(K: float, Kp: float) -> float:
    """I_2(K, K') in Bohr^3 (width 1 Bohr, centred at 1.5 Bohr), K and K' in Bohr^-1."""
    return _radial_integral(K, Kp, 1.5, 1.0, _CUTOFF + 1.5)


_INTEGRALS = {"so": spin_orbit_integral, "nl1": nonlocal_integral_1, "nl2": nonlocal_integral_2}


@cache
def _cached_integral(name: str, smaller: float, larger: float) -> float:
    """One of the three radial integrals (Bohr^3), remembered per ordered pair of lengths."""
    return _INTEGRALS[name](smaller, larger)


def _integral(name: str, k: float, kp: float) -> float:
    """One of the three (symmetric) radial integrals (Bohr^3) on lengths rounded to 1e-12."""
    smaller, larger = sorted((round(k, 12), round(kp, 12)))
    return _cached_integral(name, smaller, larger)


# ---------------------------------------------------------------- Hamiltonian


def hamiltonian(
    lattice: ArrayLike,
    fractional_positions: ArrayLike,
    atom_potentials: Sequence[Potential],
    k_fractional: ArrayLike,
    integers: ArrayLike,
    spin_orbit: Sequence[float] | None = None,
    nonlocal_: Sequence[tuple[float, float]] | None = None,
) -> Array:
    """H(k) in Ha: (N, N), or (2N, 2N) [all up, all down] with a5 or (a6, a7) given per atom."""
    lattice = np.asarray(lattice, dtype=float)
    reciprocal = reciprocal_lattice(lattice)
    volume = cell_volume(lattice)
    positions = np.asarray(fractional_positions, dtype=float) @ lattice
    k = np.asarray(k_fractional, dtype=float) @ reciprocal
    waves = np.asarray(integers, dtype=float) @ reciprocal
    n = len(waves)
    n_atoms = len(positions)
    with_spin = spin_orbit is not None or nonlocal_ is not None

    block = np.zeros((n, n), dtype=complex)  # the spin-diagonal part
    spin = np.zeros((2 * n, 2 * n), dtype=complex)  # the spin-orbit part

    for i in range(n):
        k_i = k + waves[i]
        block[i, i] += float(k_i @ k_i) / 2.0
        for j in range(n):
            k_j = k + waves[j]
            d_g = waves[i] - waves[j]
            phases = [np.exp(1j * float(d_g @ positions[a])) for a in range(n_atoms)]

            q = math.sqrt(float(d_g @ d_g))
            for a in range(n_atoms):
                block[i, j] += np.asarray(atom_potentials[a](q)).item() * phases[a] / volume

            length_i = math.sqrt(float(k_i @ k_i))
            length_j = math.sqrt(float(k_j @ k_j))
            if not with_spin or min(length_i, length_j) < 1e-10:
                continue  # the l = 1 channels vanish at K = 0
            prefactor = 12.0 * math.pi / volume / (length_i * length_j)

            if nonlocal_ is not None:
                first = _integral("nl1", length_i, length_j)
                second = _integral("nl2", length_i, length_j)
                for a in range(n_atoms):
                    a6, a7 = nonlocal_[a]
                    radial = a6 * first + a7 * second
                    block[i, j] += prefactor * float(k_i @ k_j) * phases[a] * radial

            if spin_orbit is not None:
                radial = _integral("so", length_i, length_j)
                normal = np.cross(k_i, k_j)
                half_sigma = 0.5 * sum(normal[m] * _SIGMA[m] for m in range(3))
                for a in range(n_atoms):
                    value = spin_orbit[a] * prefactor * radial * phases[a] * (-1j)
                    for s in range(2):
                        for t in range(2):
                            spin[s * n + i, t * n + j] += value * half_sigma[s, t]

    if not with_spin:
        return block
    return np.kron(np.eye(2), block) + spin


def band_energies(matrix: Array, n_bands: int, spin_repeated: bool) -> Array:
    """Lowest n_bands eigenvalues in eV of a matrix in Ha, each level twice if spin_repeated."""
    levels = np.linalg.eigvalsh(matrix) * HARTREE_IN_EV
    if spin_repeated:
        levels = np.repeat(levels, 2)
    if len(levels) < n_bands:
        raise ValueError(f"{n_bands} bands wanted, the matrix has {len(levels)} levels")
    return levels[:n_bands]


# ---------------------------------------------------------------- losses and observables


def band_loss(
    energies: ArrayLike,
    reference: ArrayLike,
    k_weights: ArrayLike,
    band_weights: ArrayLike,
    relative_band: int | None = None,
) -> float:
    """Sum over k, n of w_k b_n (E - E_ref)^2 in eV^2, E relative to relative_band if given."""
    energies, reference = np.asarray(energies, dtype=float), np.asarray(reference, dtype=float)
    k_weights, band_weights = np.asarray(k_weights), np.asarray(band_weights)
    total = 0.0
    for ik in range(energies.shape[0]):
        for n in range(energies.shape[1]):
            difference = energies[ik, n] - reference[ik, n]
            if relative_band is not None:
                difference -= energies[ik, relative_band] - reference[ik, relative_band]
            total += float(k_weights[ik] * band_weights[n] * difference**2)
    return total


def tail_penalty(v: Potential, n_k: int, start: float, strength: float) -> float:
    """Penalty on |v(q)| beyond start = q0, mean over 50 points of [q0, 12] Bohr^-1 and species."""
    terms = []
    for q in np.linspace(start, 12.0, 50):
        for value in np.ravel(v(np.array([q]))):
            terms.append(abs(float(value)) / (1.0 + math.exp(-10.0 * (q - start - 0.5))))
    return n_k * strength * sum(terms) / len(terms)


def magnitude_penalty(v: Potential, n_k: int, threshold: float, strength: float) -> float:
    """Penalty on |v| beyond threshold, mean over 240 points of [0, 12] Bohr^-1 and species."""
    if strength <= 0.0:
        return 0.0
    terms = []
    for q in np.linspace(0.0, 12.0, 240):
        for value in np.ravel(v(np.array([q]))):
            excess = abs(float(value)) - threshold
            # relu first: the exponential is then never larger than 1.
            terms.append(excess / (1.0 + math.exp(-10.0 * excess)) if excess > 0.0 else 0.0)
    return n_k * strength * sum(terms) / len(terms)


def real_space_potential(v_q: ArrayLike, q_grid: ArrayLike, r_grid: ArrayLike) -> Array:
    """v(r) in Ha, the plain Riemann sum of v(q) over every point of an equidistant q grid."""
    v_q, q_grid = np.asarray(v_q, dtype=float), np.asarray(q_grid, dtype=float)
    step = q_grid[1] - q_grid[0]
    values = []
    for r in np.asarray(r_grid, dtype=float):
        kernel = q_grid**2 if r == 0.0 else q_grid * np.sin(q_grid * r) / r
        values.append(kernel @ v_q * step / (2.0 * math.pi**2))
    return np.array(values)
