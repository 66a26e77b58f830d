"""The order of bands that are followed along the path, from solved states: no derivative in it."""

from dataclasses import replace

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Complex, Float, Int

from deeppseudopot_jax.band_curves import Following, followed_levels, matching_weights
from deeppseudopot_jax.batching import SystemGroup
from deeppseudopot_jax.eigensolvers.interface import States
from deeppseudopot_jax.observables.hamiltonians import on_every_device
from deeppseudopot_jax.observables.states import energies_of
from deeppseudopot_jax.problem import Problem, Target
from deeppseudopot_jax.units import HARTREE_IN_EV


def followed(problem: Problem, states: tuple[States, ...]) -> Problem:
    """The same problem with the order of the bands at these states as its `band_order`.

    Nothing changes where no bands are followed. For use inside jitted functions.

    Args:
        problem: from `build_problem`.
        states: of every group; their vectors count where `problem.follows_vectors`.
    """
    if not problem.follows:
        return problem
    states = jax.lax.stop_gradient(states)
    targets = list(problem.targets)
    for index, levels in enumerate(energies_of(problem.groups, states)):
        group = problem.groups[index]
        overlaps = (
            neighbour_overlaps(group, states[index].vectors) if problem.follows_vectors else None
        )
        for position, member in enumerate(group.members):
            target = targets[member]
            if target.following is not None:
                own = None if overlaps is None else overlaps[position]
                order = _order(target, target.following, levels[position], own, group.tables.n_spin)
                targets[member] = replace(target, band_order=order, following=None)
    changed: Problem = replace(problem, targets=tuple(targets))
    return changed


def order_in_words(target: Target) -> str:
    """Which order the bands of a system have in costs, errors and deviations."""
    if target.following is not None:
        rule, n = target.following.rule, target.following.n_pieces
        pieces = f"{n} straight piece{'' if n == 1 else 's'}"
        return f"followed along {pieces} of the path by {rule.words} ({rule.key})"
    return "by energy" if target.band_order is None else "by kpoints_X_orderMatrix.par"


def neighbour_overlaps(
    group: SystemGroup, vectors: Complex[Array, "system kpt row block"]
) -> Complex[Array, "system step level level"]:
    """<u_a(k+1)|u_b(k)> of the periodic parts at neighbouring k-points, whole on every device.

    Coefficients of the same plane wave are multiplied: where k-points have sets of their own, what
    one of them lacks does not count.
    """
    n_system, n_k = vectors.shape[:2]
    n_spin = group.tables.n_spin
    wanted = vectors[..., : group.n_levels].reshape(n_system, n_k, n_spin, -1, group.n_levels)
    before, after = wanted[:, :-1], wanted[:, 1:]
    if group.tables.own_sets:
        rows, shared = _same_waves(group.tables.wave_integers, group.tables.wave_mask)
        after = jnp.take_along_axis(after, rows[:, :, None, :, None], axis=3)
        after = jnp.where(shared[:, :, None, :, None], after, 0.0)
    overlaps = jnp.einsum("skzwa,skzwb->skab", after.conj(), before)
    (whole,) = on_every_device((group,), (overlaps,))
    return whole


def _same_waves(
    integers: Int[Array, "system kpt wave 3"], mask: Bool[Array, "system kpt wave"]
) -> tuple[Int[Array, "system step wave"], Bool[Array, "system step wave"]]:
    """The row that every wave of a k-point has at the next one, and whether it has any there."""
    largest = jnp.max(jnp.abs(integers))
    base = 2 * largest + 1
    shifted = integers + largest
    names = (shifted[..., 0] * base + shifted[..., 1]) * base + shifted[..., 2]
    names = jnp.where(mask, names, -1)

    def row(before: Array, after: Array) -> tuple[Array, Array]:
        order = jnp.argsort(after)
        place = jnp.minimum(jnp.searchsorted(after[order], before), len(after) - 1)
        rows = order[place]
        return rows, (after[rows] == before) & (before >= 0)

    found: tuple[Array, Array] = jax.vmap(jax.vmap(row))(names[:, :-1], names[:, 1:])
    return found


def _order(
    target: Target,
    following: Following,
    levels: Float[Array, "padded_kpt level"],
    overlaps: Complex[Array, "padded_step level level"] | None,
    n_spin: int,
) -> Int[Array, "kpt band"]:
    """The ascending band that belongs to every column; an odd last one is left where it is."""
    doubled = 2 // n_spin
    n_k, n = target.n_k, target.n_bands // doubled
    energies = HARTREE_IN_EV * levels[:n_k, :n]
    assert target.reference is not None
    weights = matching_weights(target.weights, target.held_out_weights)
    reference, weights = (
        leaf[:, : n * doubled].reshape(n_k, n, doubled) for leaf in (target.reference, weights)
    )
    if target.relative_band is not None:
        band = min(target.relative_band // doubled, n - 1)
        reference = _aligned(energies, reference, target.weights, band)
    if overlaps is not None:
        overlaps = overlaps[: n_k - 1, :n, :n]
    found = followed_levels(following, energies, overlaps, reference, weights)
    bands = jnp.stack([doubled * found + i for i in range(doubled)], axis=-1)
    last = jnp.arange(n * doubled, target.n_bands, dtype=found.dtype)
    rest = jnp.tile(last, (n_k, 1))
    return jnp.concatenate([bands.reshape(n_k, n * doubled), rest], axis=1)


def _aligned(
    energies: Float[Array, "kpt curve"],
    reference: Float[Array, "kpt curve double"],
    weights: Float[Array, "kpt band"],
    band: int,
) -> Float[Array, "kpt curve double"]:
    """The reference with one of its bands put on the level of the same rank, at every k-point."""
    known = jnp.any(weights > 0.0, axis=0)[: reference.shape[1] * reference.shape[2]]
    known = known.reshape(reference.shape[1:]).any(axis=-1)
    zero = reference[:, band, :1]
    below = jnp.sum((reference[..., 0] < zero) & known[None, :], axis=1, keepdims=True)
    shift = jnp.take_along_axis(energies, below, axis=1) - zero
    return reference + shift[..., None]
