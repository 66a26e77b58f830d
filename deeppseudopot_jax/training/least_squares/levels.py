"""How residuals of bands follow the levels of every k-point, and these the inputs of H."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from deeppseudopot_jax.batching import SystemGroup
from deeppseudopot_jax.eigensolvers.interface import States
from deeppseudopot_jax.hamiltonian.assemble import AtK
from deeppseudopot_jax.hamiltonian.inputs import level_derivatives
from deeppseudopot_jax.observables.bands import in_order, system_bands
from deeppseudopot_jax.observables.hamiltonians import (
    Hamiltonians,
    on_every_device,
    over_group,
    summed_over_k,
)
from deeppseudopot_jax.observables.states import Levels
from deeppseudopot_jax.problem import Problem, Target

Measure = Callable[[Array, Target], Array]


class OfLevels(NamedTuple):
    """Residuals of one group that depend on the levels of their own k-point alone.

    `maps` are their derivatives with respect to those levels (per Ha); both are zero at padded
    k-points.
    """

    residuals: Float[Array, "system kpt row"]
    maps: Float[Array, "system kpt row level"]


class Sums(NamedTuple):
    """Products of one group's rows, added up over k-points.

    `normal` and `gradient` are L^T J_u and L^T r: J_u has the derivatives of residuals with respect
    to the inputs of H, and L is either that or its product with the derivatives of the inputs.
    `others` are the derivatives of residuals that depend on levels anywhere.
    """

    normal: Float[Array, "system left input"]
    gradient: Float[Array, "system left"]
    others: Float[Array, "system other input"]


def residuals_of_levels(
    problem: Problem, measures: Sequence[Measure], levels: Levels
) -> tuple[OfLevels, ...]:
    """The residuals of all bands by some measures, group after group."""

    def of_system(levels: Array, target: Target, n_spin: int) -> Array:
        bands = in_order(system_bands(levels, target, n_spin), target)
        nothing = jnp.zeros((target.n_k, 0), bands.dtype)
        return jnp.concatenate([nothing, *(measure(bands, target) for measure in measures)], axis=1)

    found = []
    for group, of_group in zip(problem.groups, levels, strict=True):
        residuals, maps = [], []
        for member, of_member in zip(group.members, of_group, strict=True):
            target, n_spin = problem.targets[member], group.tables.n_spin
            measured = partial(of_system, target=target, n_spin=n_spin)
            residuals.append(measured(of_member))
            maps.append(_by_own_levels(measured, of_member))
        size = of_group.shape[1], max(residual.shape[1] for residual in residuals)
        found.append(OfLevels(_stacked(residuals, size), _stacked(maps, size)))
    return tuple(found)


def _by_own_levels(function: Callable[[Array], Array], levels: Array) -> Array:
    """Derivatives (kpt, row, level) of rows of every k-point that know of its own levels only."""

    def by_level(of_one: Array) -> Array:
        everywhere = jnp.broadcast_to(of_one, levels.shape)
        return jax.jvp(function, (levels,), (everywhere,))[1]

    unit = jnp.eye(levels.shape[1], dtype=levels.dtype)
    return jax.vmap(by_level, out_axes=-1)(unit)


def _stacked(parts: Sequence[Array], size: tuple[int, int]) -> Array:
    """Arrays (kpt, row, ...) of several systems, padded with zeros to common sizes."""

    def padded(part: Array) -> Array:
        missing = [(0, want - have) for want, have in zip(size, part.shape[:2], strict=True)]
        return jnp.pad(part, missing + [(0, 0)] * (part.ndim - 2))

    return jnp.stack([padded(part) for part in parts])


def derivatives_of_levels(
    everywhere: Hamiltonians, index: int, states: States
) -> Float[Array, "system kpt level input"]:
    """The derivatives of a group's levels with respect to the inputs of H, at all k-points."""
    group, field = everywhere.groups[index], everywhere.fields[index]
    found = over_group(partial(derivatives, group), group, everywhere.separable, field, states)
    return on_every_device((group,), (found,))[0]


def summed_rows(
    everywhere: Hamiltonians,
    index: int,
    states: States,
    of_levels: OfLevels,
    others: Float[Array, "system kpt other level"],
    inputs: Float[Array, "system input column"] | None,
) -> Sums:
    """The products of a group's rows, added up chunk after chunk of k-points.

    Args:
        everywhere: of the parameters that the states belong to.
        index: of the group.
        states: of the group.
        of_levels: from `residuals_of_levels`.
        others: derivatives of further residuals with respect to the levels (per Ha).
        inputs: derivatives of the inputs of H, where the products are with their own; None where
            the products are those of `J_u` itself.
    """
    group = everywhere.groups[index]

    def at_k(
        point: AtK, inputs: Array | None, states: States, of_levels: OfLevels, others: Array
    ) -> Sums:
        found = derivatives(group, point, states)
        rows = of_levels.maps @ found
        left = rows if inputs is None else rows @ inputs
        return Sums(left.T @ rows, left.T @ of_levels.residuals, others @ found)

    field = everywhere.fields[index]
    sums = summed_over_k(
        at_k, group, everywhere.separable, field, inputs, states, of_levels, others
    )
    return on_every_device((group,), (sums,))[0]


def derivatives(group: SystemGroup, point: AtK, states: States) -> Float[Array, "level input"]:
    """Those of the levels at one k-point with respect to the inputs of H."""
    return level_derivatives(point, states.vectors[:, : group.n_levels]).flat()
