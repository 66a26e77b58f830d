"""The k-points of a density: those of the bundle or of a file, or a mesh reduced by symmetry."""

from dataclasses import dataclass, replace

import numpy as np

from deeppseudopot_jax.basis import plane_waves
from deeppseudopot_jax.crystal import reciprocal_lattice
from deeppseudopot_jax.errors import InputError
from deeppseudopot_jax.files.results.states import StateSets
from deeppseudopot_jax.observables.density import Grid
from deeppseudopot_jax.space_group import (
    KMesh,
    Operations,
    keeping_waves,
    not_apart,
    reduced_mesh,
    shortest,
    space_group,
    star_sizes,
)
from deeppseudopot_jax.types import Bundle, SystemInput

_SAME_WEIGHT = 1e-3
"""Of a weight: files carry four decimals or more."""


@dataclass(frozen=True)
class KPoints:
    """Which k-points a density is of; those of kpoints_X.par where nothing is said.

    Attributes:
        mesh: a mesh in place of them, reduced by symmetry and unfolded.
        half_step: whether that mesh lies half a step beside Gamma.
        symmetrize: the given k-points are an irreducible mesh, which is unfolded.
    """

    mesh: Grid | None = None
    half_step: bool = False
    symmetrize: bool = False


def k_points_of(
    bundle: Bundle, system: SystemInput, sets: StateSets | None, choice: KPoints
) -> tuple[KMesh, tuple[str, ...]]:
    """k-points with normalised weights, what unfolds them, and what is to be said of them.

    Args:
        bundle: whose plane waves count.
        system: one of its systems.
        sets: of a file of states, whose k-points are taken if there is one.
        choice: which k-points.

    Raises:
        InputError: if weights add up to nothing, or the k-points are no irreducible mesh.
    """
    crystal = system.crystal
    every = space_group(crystal.lattice, crystal.fractional_positions, crystal.symbols)
    operations = _keeping_basis(every, bundle, system)
    if choice.mesh is not None:
        mesh = reduced_mesh(choice.mesh, operations, choice.half_step)
        k_points = shortest(mesh.k_points, reciprocal_lattice(crystal.lattice))
        shape = " x ".join(map(str, choice.mesh))
        said = f"k-points: mesh {shape}, {len(k_points)} irreducible ones, unfolded by "
        return replace(mesh, k_points=k_points), (f"{said}{_counted(mesh.operations)}.",)
    k_points = system.k_points if sets is None else sets.k_points
    weights = system.k_weights if sets is None else sets.k_weights
    where = f"kpoints_{system.index}.par" if sets is None else "the file of states"
    if not weights.sum() > 0.0 or (weights < 0.0).any():
        raise InputError(f"{where}: the weights add up to {weights.sum():g}; legal: more than 0")
    weights = weights / weights.sum()
    if not choice.symmetrize:
        identity = Operations(np.eye(3, dtype=int)[None], np.zeros((1, 3)))
        return KMesh(k_points, weights, identity), (
            f"k-points: {len(k_points)} of {where} with its weights. This is an average over the "
            "Brillouin zone only if they are a whole mesh; a k-path is none (--mesh makes one).",
        )
    if len(operations) < len(every):
        raise InputError(
            f"--symmetrize: the plane waves keep {len(operations)} of {len(every)} operations of "
            f"the crystal; legal: basis_sphere = G_full or kG (found "
            f"{bundle.settings.basis_sphere})"
        )
    _check_irreducible(k_points, weights, operations, where)
    said = f"k-points: {len(k_points)} of {where}, unfolded by {_counted(operations)}."
    return KMesh(k_points, weights, operations), (said,)


def _counted(operations: Operations) -> str:
    return "the identity alone" if len(operations) == 1 else f"{len(operations)} operations"


def _keeping_basis(every: Operations, bundle: Bundle, system: SystemInput) -> Operations:
    """The operations that keep the plane waves; with sets of their own, k-points turn with them."""
    sphere = bundle.settings.basis_sphere
    if sphere == "kG":
        return every
    energy = system.max_kinetic_energy
    waves = plane_waves(system.crystal, energy, sphere, system.k_points)
    return keeping_waves(every, waves.integers[0])


def _check_irreducible(
    k_points: np.ndarray, weights: np.ndarray, operations: Operations, where: str
) -> None:
    if images := not_apart(k_points, operations):
        raise InputError(
            f"--symmetrize: k-points {images[0]} and {images[1]} of {where} are images of each "
            "other; legal: one k-point of every star"
        )
    sizes = star_sizes(k_points, operations)
    per_point = weights / sizes * sizes.sum()
    worst = int(np.abs(per_point - 1.0).argmax())
    if abs(per_point[worst] - 1.0) > _SAME_WEIGHT:
        raise InputError(
            f"--symmetrize: k-point {worst} of {where}: found {weights[worst]:.4g} of the whole "
            f"weight; legal: {sizes[worst] / sizes.sum():.4g}, as its star has {sizes[worst]} "
            f"points and those of all {sizes.sum()}"
        )
