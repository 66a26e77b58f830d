"""Empirical pseudopotential bands of zinc-blende crystals with NumPy, for the bundle scripts.

Atomic units (Bohr, Hartree) unless a name says otherwise. This small solver is kept independent
of the fitting code on purpose, so that the bundles and the numbers in their README files do not
depend on what they are used to test.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares
from scipy.special import spherical_jn

Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]
FormFactors = Callable[[Floats], Floats]  # q (...) -> v (2, ...), Ha Bohr^3, one row per atom

HARTREE_EV = 27.2114  # value fixed by the bundle format
BOHR_ANGSTROM = 0.529177210903  # CODATA 2018
FCC_CELL = 0.5 * np.array([[0.0, 1.0, 1.0], [1.0, 0.0, 1.0], [1.0, 1.0, 0.0]])
FRACTIONAL = np.array([[0.0, 0.0, 0.0], [0.25, 0.25, 0.25]])


@dataclass(frozen=True)
class Zincblende:
    """Zinc-blende (or diamond) primitive cell: two atoms, lattice constant `a` in Bohr."""

    species: tuple[str, str]
    a: float

    @property
    def cell(self) -> Floats:
        """Lattice vectors as rows, Bohr."""
        return self.a * FCC_CELL

    @property
    def volume(self) -> float:
        """Volume of the primitive cell, Bohr^3."""
        return self.a**3 / 4

    @property
    def reciprocal(self) -> Floats:
        """Reciprocal vectors as rows (2 pi included), Bohr^-1."""
        return np.asarray(2 * np.pi * np.linalg.inv(self.cell).T, dtype=np.float64)

    def plane_waves(self, g2_max: float, k: Floats | None = None) -> Floats:
        """Vectors G (n, 3) with |k + G|^2 < g2_max (Bohr^-2), k = 0 if omitted."""
        centre = np.zeros(3) if k is None else k
        # |g_i| = |G . a_i| / 2 pi, so this bound holds for any cell, however skewed.
        reach = (np.sqrt(g2_max) + np.linalg.norm(centre)) / (2 * np.pi)
        m = int(reach * np.linalg.norm(self.cell, axis=1).max()) + 1
        integers = np.stack(np.meshgrid(*[np.arange(-m, m + 1)] * 3, indexing="ij"), -1)
        g = integers.reshape(-1, 3) @ self.reciprocal
        return g[((g + centre) ** 2).sum(1) < g2_max]

    def structure(self, g: Floats) -> Complexes:
        """exp(+i dG . tau_a) for all pairs of plane waves, shape (2, n, n)."""
        phase = np.exp(1j * (FRACTIONAL @ self.cell) @ g.T)
        return phase[:, :, None] * phase[:, None, :].conj()

    def local_potential(self, g: Floats, v: FormFactors) -> Complexes:
        """V_ij = (1/Omega) sum_a v_a(|G_i - G_j|) exp(i (G_i - G_j) . tau_a), Ha."""
        q = np.linalg.norm(g[:, None] - g[None, :], axis=-1)
        return (v(q) * self.structure(g)).sum(0) / self.volume


def local_bands(
    crystal: Zincblende,
    points: Floats,
    v: FormFactors,
    g2_max: float,
    n: int,
    follow_k: bool = False,
) -> Floats:
    """Lowest `n` bands (n_k, n) in eV at fractional k `points`.

    The plane waves are the sphere |G|^2 < g2_max, or |k + G|^2 < g2_max with `follow_k`.
    """
    bands = []
    fixed = crystal.plane_waves(g2_max)
    potential = crystal.local_potential(fixed, v)
    for k in points @ crystal.reciprocal:
        g = crystal.plane_waves(g2_max, k) if follow_k else fixed
        matrix = crystal.local_potential(g, v) if follow_k else potential
        kinetic = 0.5 * ((k + g) ** 2).sum(1)
        bands.append(np.linalg.eigvalsh(matrix + np.diag(kinetic))[:n])
    return HARTREE_EV * np.array(bands)


def zunger(q: Floats, a: Floats) -> Floats:
    """v(q) = a0 (q^2 - a1) / (a2 exp(a3 q^2) - 1), Ha Bohr^3 (Wang, Zunger, PRB 51, 17398)."""
    # Beyond exponent 300 the value is zero to any printed digit.
    return a[0] * (q**2 - a[1]) / (a[2] * np.exp(np.minimum(a[3] * q**2, 300.0)) - 1)


def zunger_pair(parameters: Floats) -> FormFactors:
    """Form factors of the two atoms from coefficients (2, >= 4)."""
    return lambda q: np.stack([zunger(q, a) for a in parameters])


# Cohen and Bergstresser, Phys. Rev. 141, 789 (1966): |G|^2 in (2 pi/a)^2 -> (VS, VA) in Rydberg.
COHEN_BERGSTRESSER = {
    "silicon": {3: (-0.21, 0.0), 8: (0.04, 0.0), 11: (0.08, 0.0)},
    "III-V": {3: (-0.23, 0.07), 4: (0.0, 0.05), 8: (0.01, 0.0), 11: (0.06, 0.01)},
    "germanium": {3: (-0.23, 0.0), 8: (0.01, 0.0), 11: (0.06, 0.0)},
    "ZnSe": {3: (-0.23, 0.18), 4: (0.0, 0.12), 8: (0.01, 0.0), 11: (0.06, 0.03)},
    "CdTe": {3: (-0.20, 0.15), 4: (0.0, 0.09), 8: (0.0, 0.0), 11: (0.04, 0.04)},
}


def cohen_bergstresser(crystal: Zincblende, table: str, shift: float) -> FormFactors:
    """Form factors (2, ...) in Ha Bohr^3 of a published table, zero off its shells.

    V(G) = VS cos(G.tau) + i VA sin(G.tau) with the atoms at +-tau means V_1 = VS + VA (first
    atom, the cation) and V_2 = VS - VA, each normalised to half the cell volume; 1 Ry = 0.5 Ha.
    `shift` (Ha) is V(G = 0).
    """
    unit = (2 * np.pi / crystal.a) ** 2

    def v(q: Floats) -> Floats:
        shell = np.rint(q**2 / unit).astype(int)
        values = np.zeros((2, *q.shape))
        for g2, (vs, va) in COHEN_BERGSTRESSER[table].items():
            for atom, sign in enumerate((1, -1)):
                values[atom][shell == g2] = 0.5 * (vs + sign * va)
        values[:, shell == 0] = shift
        return 0.5 * crystal.volume * values

    return v


def fit_zunger(crystal: Zincblende, table: str, shift: float) -> Floats:
    """Zunger coefficients (2, 4) by least squares on the form factors of a published table.

    Only what the structure factor lets through is fitted: the symmetric part where
    cos(G.tau) != 0, the antisymmetric part where sin(G.tau) != 0. Shells past the table count
    as zeros, which the smooth form can follow only in part.
    """
    unit = (2 * np.pi / crystal.a) ** 2
    shells = np.array([0, 3, 4, 8, 11, 12, 16, 19, 20, 24, 27])
    q = np.sqrt(shells * unit)
    target = cohen_bergstresser(crystal, table, shift)(q)
    even, odd = shells % 8 != 4, shells % 8 != 0
    weight = np.where(shells == 0, 0.3, 1.0)  # v(0) is a rigid shift, large beside the others

    def residuals(x: Floats) -> Floats:
        miss = weight * (zunger_pair(expand(x))(q) - target)
        return np.concatenate([(miss[0] + miss[1])[even], (miss[0] - miss[1])[odd]])

    same = crystal.species[0] == crystal.species[1]

    def expand(x: Floats) -> Floats:
        return np.tile(x, (2, 1)) if same else x.reshape(2, 4)

    # a2 > 1 and a3 > 0 keep the denominator away from zero; for large a2 only a0 / a2 matters,
    # so a2 <= 3 keeps all four coefficients of an order that one learning rate can serve.
    start, low, high = [10.0, 2.2, 2.0, 0.5], [0.0, 0.0, 1.01, 0.05], [1e3, 6.0, 3.0, 5.0]
    copies = 1 if same else 2
    fit = least_squares(
        residuals, start * copies, bounds=(low * copies, high * copies), x_scale=start * copies,
        xtol=1e-13, ftol=1e-13, gtol=1e-13,
    )  # fmt: skip
    return np.round(expand(fit.x), 4)  # so that the files do not depend on the machine


def spin_orbit_nonlocal(crystal: Zincblende, k: Floats, g: Floats) -> Complexes:
    """Matrices (2 atoms, 3, 2n, 2n) that multiply a5, a6, a7; basis order [all up, all down].

    Gaussian radial weights exp(-((r - r0)/w)^2) on l = 1 channels: spin-orbit w = 0.7, r0 = 0;
    nonlocal w = 1 at r0 = 0 and r0 = 1.5 (Bohr), by 64-point Gauss-Legendre quadrature.
    """
    waves = k + g
    norm = np.linalg.norm(waves, axis=1)
    unit = waves / np.where(norm > 1e-12, norm, 1.0)[:, None]  # 0 at K = 0, as is j1
    nodes, weights = np.polynomial.legendre.leggauss(64)
    radial = []
    for width, centre in ((0.7, 0.0), (1.0, 0.0), (1.0, 1.5)):
        end = np.sqrt(16 * np.log(10)) * width + centre
        r = 0.5 * end * (nodes + 1)
        density = 0.5 * end * weights * r**2 * np.exp(-(((r - centre) / width) ** 2))
        j = spherical_jn(1, np.outer(norm, r))
        radial.append((j * density) @ j.T)
    cross = np.cross(unit[:, None], unit[None, :])
    pauli = np.array([[[0, 1], [1, 0]], [[0, -1j], [1j, 0]], [[1, 0], [0, -1]]])
    terms = []
    for phase in crystal.structure(g):
        common = 12 * np.pi / crystal.volume * phase
        spin = sum(
            np.kron(pauli[c] / 2, -1j * cross[..., c] * radial[0] * common) for c in range(3)
        )
        scalar = [np.kron(np.eye(2), unit @ unit.T * i * common) for i in radial[1:]]
        terms.append(np.stack([spin, *scalar]))
    return np.stack(terms)


def spinor_bands(
    crystal: Zincblende,
    points: Floats,
    coefficients: Floats,
    couplings: Sequence[Floats],
    g2_max: float,
    n: int,
) -> list[Floats]:
    """Lowest `n` bands (n_k, n) in eV for each set of (2, 3) couplings a5..a7 of the two atoms."""
    g = crystal.plane_waves(g2_max)
    local = crystal.local_potential(g, zunger_pair(coefficients))
    bands: list[list[Floats]] = [[] for _ in couplings]
    for k in points @ crystal.reciprocal:
        spatial = local + np.diag(0.5 * ((k + g) ** 2).sum(1))
        fixed, terms = np.kron(np.eye(2), spatial), spin_orbit_nonlocal(crystal, k, g)
        for collected, strength in zip(bands, couplings, strict=True):
            matrix = fixed + np.tensordot(strength, terms, axes=2)
            collected.append(HARTREE_EV * np.linalg.eigvalsh(matrix)[:n])
    return [np.array(b) for b in bands]
