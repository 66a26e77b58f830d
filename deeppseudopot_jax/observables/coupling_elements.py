"""Matrix elements of dV/dtau, the derivative of V for one atom's position, between two k-points."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Complex, Float, Int

from deeppseudopot_jax.eigensolvers.response import Multiplet
from deeppseudopot_jax.hamiltonian.assemble import Field, Term
from deeppseudopot_jax.hamiltonian.tables import SystemTables
from deeppseudopot_jax.numerics import exp_i, safe_norm, scaled
from deeppseudopot_jax.parameters import Parameters
from deeppseudopot_jax.potentials.compose import v_of_q
from deeppseudopot_jax.problem import Problem


class Pair(NamedTuple):
    """Two k-points (fractional) of a system, their waves, and the distinct G_i - G_j between."""

    tables: SystemTables
    k_points: tuple[Float[Array, "3"], Float[Array, "3"]]
    integers: tuple[Int[Array, "wave 3"], Int[Array, "wave 3"]]
    masks: tuple[Bool[Array, " wave"], Bool[Array, " wave"]]
    differences: Int[Array, "difference 3"]
    difference_mask: Bool[Array, " difference"]


class _End(NamedTuple):
    """States at one of the k-points, with the k+G (Bohr^-1) and phases exp(i (k+G) . tau)."""

    psi: Complex[Array, "spin wave state"]
    wave_vectors: Float[Array, "wave 3"]
    phases: Complex[Array, "atom wave"]
    integers: Int[Array, "wave 3"]
    mask: Bool[Array, " wave"]


def derivative_elements(
    problem: Problem,
    params: Parameters,
    field: Field,
    pair: Pair,
    left: Multiplet,
    right: Multiplet,
) -> Complex[Array, "atom 3 left right"]:
    """<m| dV/dtau |n> in Ha/Bohr for every atom and Cartesian axis.

    Args:
        problem: from `build_problem`.
        params: potential parameters.
        field: the k-independent half of H for these parameters.
        pair: the two k-points.
        left: states m at the first k-point.
        right: states n at the second.
    """
    ends = _end(pair, 0, left), _end(pair, 1, right)
    found = _local_elements(problem, params, pair, *ends)
    wave_vectors = jnp.concatenate([end.wave_vectors for end in ends])
    phases = jnp.concatenate([end.phases for end in ends], axis=1)
    for channel, strength in zip(problem.channels.separable, field.strengths, strict=True):

        def of_atom(phases: Array, strength: Array, channel=channel) -> Array:
            return _commutator(channel.term(wave_vectors, phases[None], strength[None]), *ends)

        found = found + jax.vmap(of_atom)(phases, strength)
    return found


def _end(pair: Pair, side: int, states: Multiplet) -> _End:
    tables, integers, mask = pair.tables, pair.integers[side], pair.masks[side]
    fractional = pair.k_points[side][None, :] + integers.astype(pair.k_points[side].dtype)
    angles = 2.0 * jnp.pi * (tables.positions @ fractional.T)
    return _End(
        states.vectors.reshape(tables.n_spin, -1, states.vectors.shape[-1]),
        fractional @ tables.reciprocal_lattice,
        jnp.where(mask, exp_i(angles), 0.0),
        integers,
        mask,
    )


def _local_elements(
    problem: Problem, params: Parameters, pair: Pair, left: _End, right: _End
) -> Complex[Array, "atom 3 left right"]:
    """The local part, i (K - K') v(|K - K'|) exp(i (K - K') . tau) / Omega, by FFT.

    On the grid no sum of a wave and a difference wraps onto another wave.
    """
    tables, shape = pair.tables, pair.tables.fft_shape
    channels = problem.channels
    start, end = (k_point[None, :] for k_point in pair.k_points)
    transferred = pair.differences.astype(start.dtype) + start - end
    wave_vectors = transferred @ tables.reciprocal_lattice
    q = safe_norm(wave_vectors)
    values = v_of_q(channels.local, params, q, channels.long_range_gamma)
    scales = jnp.where(tables.atom_mask, 1.0 / tables.volume, 0.0)
    bras, kets = _on_grid(left, shape), _on_grid(right, shape)

    def of_atom(atom: tuple[Array, Array, Array]) -> Array:
        position, species, scale = atom
        phase = exp_i(2.0 * jnp.pi * (transferred @ position))
        v = jnp.where(pair.difference_mask, scale * values[:, species], 0.0)
        components = scaled(1j * phase[None, :], wave_vectors.T * v[None, :])
        grid = jnp.zeros((3, *shape), components.dtype)
        grid = grid.at[(..., *pair.differences.T)].add(components)
        derivative = jnp.fft.ifftn(grid, axes=(-3, -2, -1), norm="forward")
        products = derivative[:, None, None] * kets[None]  # axis, spin, state, grid
        return jnp.einsum("smxyz,asnxyz->amn", bras.conj(), products) / derivative[0].size

    return jax.lax.map(of_atom, (tables.positions, tables.atom_species, scales))


def _on_grid(end: _End, shape: tuple[int, int, int]) -> Complex[Array, "spin state n1 n2 n3"]:
    """Wave functions in real space, without their factor exp(i k . r)."""
    values = jnp.where(end.mask[:, None], end.psi, 0.0).transpose(0, 2, 1)
    grid = jnp.zeros((*values.shape[:2], *shape), values.dtype)
    grid = grid.at[(..., *end.integers.T)].add(values)
    return jnp.fft.ifftn(grid, axes=(-3, -2, -1), norm="forward")


def _commutator(term: Term, left: _End, right: _End) -> Complex[Array, "3 left right"]:
    """i (K V - V K') for a term V of one atom, on the waves of both points together."""
    n_waves = left.psi.shape[1]
    moved = [scaled(right.psi, K[None, :, None]) for K in right.wave_vectors.T]
    kets = jnp.concatenate([right.psi, *moved], axis=-1)
    product = term.apply(jnp.concatenate([jnp.zeros_like(kets), kets], axis=1))[:, :n_waves]
    product = product.reshape(*product.shape[:2], 4, -1)
    bras = left.psi.conj()
    moved = [scaled(product[:, :, 0], K[None, :, None]) for K in left.wave_vectors.T]
    ahead = jnp.einsum("sim,asin->amn", bras, jnp.stack(moved))
    behind = jnp.einsum("sim,sian->amn", bras, product[:, :, 1:])
    return 1j * (ahead - behind)
