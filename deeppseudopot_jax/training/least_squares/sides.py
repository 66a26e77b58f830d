"""On which side the products of a Jacobian are formed, and which inputs of H there are."""

from typing import Literal

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int

from deeppseudopot_jax.problem import Problem

Side = Literal["residuals", "inputs", "parameters"]
"""Where products of Jacobians are formed."""

Columns = tuple[Int[Array, "_system _column"], ...]
"""The inputs of H that the systems of every group have: no form factors of absent species."""


def columns_of(problem: Problem) -> Columns:
    """The inputs of H that occur, for `linearised`."""
    counts = np.asarray(problem.composition)
    n_coefficients = sum(channel.n_coefficients for channel in problem.channels.separable)
    found = []
    for group in problem.groups:
        n_shells, n_species = group.tables.shell_radii.shape[-1], counts.shape[1]
        members = counts[list(group.members)]
        present = np.argsort(-members, axis=1, kind="stable")[:, : (members > 0).sum(axis=1).max()]
        first = n_species * np.arange(n_shells)
        shells = (first[None, :, None] + present[:, None, :]).reshape(len(members), -1)
        n_strengths = group.tables.atom_mask.shape[-1] * n_coefficients
        strengths = n_shells * n_species + np.arange(n_strengths)
        strengths = np.broadcast_to(strengths, (len(members), n_strengths))
        found.append(jnp.asarray(np.concatenate([shells, strengths], axis=1)))
    return tuple(found)


def side_of(problem: Problem, columns: Columns, n_coordinates: int) -> Side:
    """The smallest of the three sides."""
    sizes: dict[Side, int] = {
        "residuals": sum(group.n_levels * sum(group.n_k) for group in problem.groups),
        "inputs": sum(of_group.size for of_group in columns),
        "parameters": n_coordinates,
    }
    return min(sizes, key=lambda side: sizes[side])
