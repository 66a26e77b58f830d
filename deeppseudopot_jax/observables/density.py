"""Densities |psi(r)|^2 of plane-wave states on a grid of the cell, and their symmetry.

rho(r) = sum_k w_k sum_n f_n sum_s |Omega^(-1/2) sum_G d_G exp(i G . r)|^2, electrons per Bohr^3,
with f_n electrons in a band. Grid point (i, j, l) is the fraction (i/n1, j/n2, l/n3) of the lattice
vectors. Bands are transformed one after the other, which bounds the memory.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float, Int
from scipy.fft import next_fast_len

from deeppseudopot_jax.numerics import exp_i

Grid = tuple[int, int, int]


def smallest_grid(integers: Int[np.ndarray, "wave 3"]) -> Grid:
    """The smallest grid that holds every G - G' of these waves, so that no density is aliased."""
    n1, n2, n3 = (2 * int(span) + 1 for span in np.ptp(integers, axis=0))
    return n1, n2, n3


def fast_grid(smallest: Grid) -> Grid:
    """The smallest grid with at least as many points that has a fast Fourier transform."""
    n1, n2, n3 = (int(next_fast_len(n)) for n in smallest)
    return n1, n2, n3


@partial(jax.jit, static_argnames="grid")
def band_densities(
    coefficients: Complex[Array, "band spin wave"],
    integers: Int[Array, "wave 3"],
    volume: Float[Array, ""],
    grid: Grid,
) -> Float[Array, "band n1 n2 n3"]:
    """|psi_n(r)|^2 of every band (Bohr^-3), summed over spin.

    Args:
        coefficients: of waves exp(i G . r), normalised.
        integers: g of every wave.
        volume: of the cell, Bohr^3.
        grid: points along the lattice vectors.
    """
    return jax.lax.map(lambda band: _density(band, integers, volume, grid), coefficients)


@partial(jax.jit, static_argnames="grid")
def electron_density(
    coefficients: Complex[Array, "band spin wave"],
    electrons: Float[Array, " band"],
    integers: Int[Array, "wave 3"],
    volume: Float[Array, ""],
    grid: Grid,
) -> Float[Array, "n1 n2 n3"]:
    """The sum of `band_densities` times the `electrons` of every band, without storing them."""

    def add(total: Array, band: tuple[Array, Array]) -> tuple[Array, None]:
        states, occupation = band
        return total + occupation * _density(states, integers, volume, grid), None

    return jax.lax.scan(add, jnp.zeros(grid, electrons.dtype), (coefficients, electrons))[0]


def _density(
    states: Complex[Array, "spin wave"],
    integers: Int[Array, "wave 3"],
    volume: Float[Array, ""],
    grid: Grid,
) -> Float[Array, "n1 n2 n3"]:
    waves = jnp.zeros((states.shape[0], *grid), states.dtype).at[(..., *integers.T)].add(states)
    psi = jnp.fft.ifftn(waves, axes=(-3, -2, -1), norm="forward")
    return jnp.sum(psi.real**2 + psi.imag**2, axis=0) / volume


@jax.jit
def symmetrized(
    density: Float[Array, "n1 n2 n3"],
    rotations: Int[Array, "operation 3 3"],
    translations: Float[Array, "operation 3"],
) -> Float[Array, "n1 n2 n3"]:
    """The mean of a density over operations r -> W r + w, exact on every grid.

    Args:
        density: without components that the grid cannot hold.
        rotations: W, acting on fractional positions from the left.
        translations: w, fractions.
    """
    components = jnp.fft.fftn(density, norm="forward")
    sizes = jnp.array(density.shape)
    places = jnp.indices(density.shape).reshape(3, -1)
    g = jnp.where(places > sizes[:, None] // 2, places - sizes[:, None], places)

    def add(total: Array, operation: tuple[Array, Array]) -> tuple[Array, None]:
        # rho(W^-1 (r - w)) has at g the component of rho at W^T g, times exp(-2 pi i g . w).
        W, w = operation
        rotated = W.T @ g
        inside = jnp.all(jnp.abs(rotated) <= (sizes[:, None] - 1) // 2, axis=0)
        values = jnp.where(inside, components[tuple(rotated % sizes[:, None])], 0.0)
        angles = -2.0 * jnp.pi * (w @ g.astype(w.dtype))
        return total + values * exp_i(angles), None

    zeros = jnp.zeros(g.shape[1], components.dtype)
    total = jax.lax.scan(add, zeros, (rotations, translations))[0] / len(rotations)
    return jnp.fft.ifftn(total.reshape(density.shape), norm="forward").real


def on_plane(
    density: Float[np.ndarray, "n1 n2 n3"],
    origin: Float[np.ndarray, "3"],
    along: tuple[Float[np.ndarray, "3"], Float[np.ndarray, "3"]],
    steps: tuple[Float[np.ndarray, " row"], Float[np.ndarray, " column"]],
) -> Float[np.ndarray, "row column"]:
    """The density at origin + s u + t v (fractions) for all s and t: its Fourier sum, exactly.

    Args:
        density: without components that the grid cannot hold.
        origin: fractions of the lattice vectors.
        along: u and v, fractions.
        steps: the values of s and of t.
    """
    components = np.fft.fftn(density, norm="forward")
    axes = [np.fft.fftfreq(n, 1.0 / n) for n in density.shape]
    found = np.zeros((len(steps[0]), len(steps[1])))
    for g1, layer in zip(axes[0], components, strict=True):  # one layer bounds the memory
        g = np.stack(np.meshgrid(g1, axes[1], axes[2], indexing="ij"), axis=-1).reshape(-1, 3)
        rows, columns = (
            np.exp(2j * np.pi * np.outer(values, g @ direction))
            for values, direction in zip(steps, along, strict=True)
        )
        rows = rows * (layer.ravel() * np.exp(2j * np.pi * (g @ origin)))
        found += (rows @ columns.T).real
    return found


def on_line(
    density: Float[np.ndarray, "n1 n2 n3"],
    start: Float[np.ndarray, "3"],
    end: Float[np.ndarray, "3"],
    steps: Float[np.ndarray, " step"],
) -> Float[np.ndarray, " step"]:
    """The density at start + s (end - start), all fractions, as `on_plane` has it."""
    along = end - start, np.zeros(3)
    return on_plane(density, start, along, (steps, np.zeros(1)))[:, 0]
