"""Plane waves of a crystal, and the distinct differences between them."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float, Int
from scipy.fft import next_fast_len

from deeppseudopot_jax.crystal import reciprocal_lattice
from deeppseudopot_jax.numerics import pad_rows
from deeppseudopot_jax.types import Crystal

_SAME_LENGTH = 1e-9
"""Bohr^-1. Lengths that rounding alone separates (1e-14) are one shell, and so is a chain of
lengths each closer than this to the next; a lattice with fewer than nine decimals splits shells
that symmetry would make one."""

Sphere = Literal["G", "G_full", "kG"]


@dataclass(frozen=True, eq=False)
class PlaneWaves:
    """Plane-wave integers of one system: one set for all k-points, or one set per k-point.

    `own_sets` tells which. Sets shorter than the longest one are padded with zeros, where `mask`
    is False; a k-point's own set may be empty where maxKE is small.
    `cut_off_by_reference` counts the waves inside the sphere that the reference code's index
    bound leaves out.
    """

    integers: Int[np.ndarray, "set wave 3"]
    mask: np.ndarray
    own_sets: bool = False
    cut_off_by_reference: int = 0

    @property
    def n_waves(self) -> int:
        """Size of the (longest) set."""
        return self.integers.shape[1]


def integers_in_sphere(
    reciprocal: Float[np.ndarray, "3 3"], max_kinetic_energy: float, center: np.ndarray
) -> Int[np.ndarray, "wave 3"]:
    """All integer triples g with |center + g B|^2 / 2 < max_kinetic_energy, in lexicographic order.

    The search box is safe for any cell: g_i = G . a_i / (2 pi), so |g_i| <= |G| |a_i| / (2 pi).
    """
    reach = np.sqrt(2.0 * max_kinetic_energy) + np.linalg.norm(center)
    lattice_lengths = np.linalg.norm(np.linalg.inv(reciprocal), axis=0)
    bounds = np.floor(reach * lattice_lengths).astype(int) + 1
    axes = [np.arange(-bound, bound + 1) for bound in bounds]
    triples = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    wave_vectors = center + triples @ reciprocal
    return triples[np.sum(wave_vectors**2, axis=1) / 2.0 < max_kinetic_energy]


def plane_waves(
    crystal: Crystal,
    max_kinetic_energy: float,
    sphere: Sphere,
    k_points: Float[np.ndarray, "kpt 3"],
) -> PlaneWaves:
    """The basis of a crystal: |G|^2/2 < maxKE for every k (`G`, `G_full`), or |k+G|^2/2 (`kG`).

    `G` reproduces the reference code, which looks only at |g_i| <= int(sqrt(2 maxKE) / min|b|).
    For face-centred and other skewed cells that box cuts off part of the sphere; `G_full` keeps
    the whole sphere.

    Args:
        crystal: whose reciprocal lattice it is.
        max_kinetic_energy: in Ha.
        sphere: which kinetic energy must be below it.
        k_points: fractional; only `kG` looks at them.
    """
    reciprocal = reciprocal_lattice(crystal.lattice)
    energy = max_kinetic_energy
    centers = k_points @ reciprocal if sphere == "kG" else np.zeros((1, 3))
    sets = [integers_in_sphere(reciprocal, energy, center) for center in centers]
    cut_off = 0
    if sphere == "G":
        bound = int(np.sqrt(2.0 * energy) / np.linalg.norm(reciprocal, axis=1).min())
        inside = np.abs(sets[0]).max(axis=1) <= bound
        cut_off = int(np.sum(~inside))
        sets = [sets[0][inside]]
    size = max(len(integers) for integers in sets)
    integers = np.stack([pad_rows(integers, size) for integers in sets])
    mask = np.stack([np.arange(size) < len(integers) for integers in sets])
    return PlaneWaves(integers, mask, sphere == "kG", cut_off)


@dataclass(frozen=True, eq=False)
class Differences:
    """The distinct differences dG = G_i - G_j of a basis, each with the shell that it lies on.

    G_i and G_j are of one set; those of all sets are joined. `integers` are in the order of the FFT
    grid, `shell_radii` (Bohr^-1) ascend, and a radius is the shortest length on its shell.

    On a grid of `fft_shape` points the product of a wave function with the local potential is
    free of aliasing: sums of a wave and a difference never wrap onto another wave.
    """

    integers: Int[np.ndarray, "difference 3"]
    shell: Int[np.ndarray, " difference"]
    shell_radii: Float[np.ndarray, " shell"]
    fft_shape: tuple[int, int, int]


def differences(waves: PlaneWaves, reciprocal: Float[np.ndarray, "3 3"]) -> Differences:
    """The differences of `waves`; `reciprocal` has rows b_i in Bohr^-1."""
    spans = np.max(
        [np.ptp(g[m], axis=0) for g, m in zip(waves.integers, waves.mask, strict=True)], axis=0
    )
    # Waves differ by at most `span`; with 2 span + 1 points, wave + difference - n misses every
    # wave again, because those sums leave the range of the waves by at most `span` on each side.
    n1, n2, n3 = (int(next_fast_len(2 * int(span) + 1)) for span in spans)
    fft_shape = (n1, n2, n3)
    present = np.zeros(fft_shape, dtype=bool)
    for integers, mask in zip(waves.integers, waves.mask, strict=True):
        occupied = np.zeros(fft_shape)
        occupied[tuple(integers[mask].T)] = 1.0
        spectrum = np.fft.rfftn(occupied)
        present |= np.fft.irfftn(np.abs(spectrum) ** 2, s=fft_shape, axes=(0, 1, 2)) > 0.5
    triples = np.argwhere(present)
    sizes = np.array(fft_shape)
    triples = np.where(triples > sizes // 2, triples - sizes, triples)
    lengths = np.linalg.norm(triples @ reciprocal, axis=1)
    order = np.argsort(lengths, kind="stable")
    is_new = np.diff(lengths[order], prepend=-1.0) > _SAME_LENGTH
    shell = np.empty(len(triples), dtype=int)
    shell[order] = np.cumsum(is_new) - 1
    return Differences(triples, shell, lengths[order][is_new], fft_shape)
