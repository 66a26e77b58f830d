"""The space group of a crystal, and meshes of k-points reduced by it."""

from dataclasses import dataclass

import numpy as np
import spglib
from jaxtyping import Float, Int

from deeppseudopot_jax.symmetry_library import found_by

_RELATIVE_TOLERANCE = 1e-5
"""Of the shortest lattice vector: positions that are as close are the same."""
_SAME_K = 1e-6
_REACH = 2
"""Reciprocal vectors up to this many times the basis vectors can shorten a k-point."""


@dataclass(frozen=True, eq=False)
class Operations:
    """Operations r -> W r + w of fractional positions.

    The state at k that one has moved is a state at k W^-1 (fractions, as a row).
    """

    rotations: Int[np.ndarray, "operation 3 3"]
    translations: Float[np.ndarray, "operation 3"]

    def __len__(self) -> int:
        return len(self.rotations)

    def where(self, keep: np.ndarray) -> "Operations":
        """Some of them."""
        return Operations(self.rotations[keep], self.translations[keep])

    @property
    def on_k(self) -> Int[np.ndarray, "operation 3 3"]:
        """W^-1, which act on fractional k and on integers of waves from the right."""
        return np.rint(np.linalg.inv(self.rotations)).astype(int)


@dataclass(frozen=True, eq=False)
class KMesh:
    """One k-point of every star of a mesh; `weights` add up to 1.

    `operations` are those of the crystal that leave the mesh as it is: the mean over them of what
    the k-points give is what the whole mesh gives.
    """

    k_points: Float[np.ndarray, "kpt 3"]
    weights: Float[np.ndarray, " kpt"]
    operations: Operations


def space_group(
    lattice: Float[np.ndarray, "3 3"],
    positions: Float[np.ndarray, "atom 3"],
    symbols: tuple[str, ...],
) -> Operations:
    """All operations of a crystal, identity first; that alone where spglib finds nothing."""
    tolerance = _RELATIVE_TOLERANCE * np.linalg.norm(lattice, axis=1).min()
    found = found_by(spglib.get_symmetry_dataset, lattice, positions, symbols, tolerance)
    if found is None:
        return Operations(np.eye(3, dtype=int)[None], np.zeros((1, 3)))
    return Operations(found.rotations.astype(int), np.asarray(found.translations, float))


def keeping_waves(operations: Operations, integers: Int[np.ndarray, "wave 3"]) -> Operations:
    """The operations that map a set of plane waves onto itself."""
    waves = {tuple(g) for g in integers.tolist()}
    keep = [{tuple(g) for g in (integers @ W).tolist()} == waves for W in operations.on_k]
    return operations.where(np.array(keep))


def reduced_mesh(
    divisions: tuple[int, int, int], operations: Operations, half_step: bool = False
) -> KMesh:
    """A mesh of k-points reduced by the operations of a crystal and by time reversal.

    Args:
        divisions: k-points along every reciprocal vector.
        operations: of the crystal; those that change the mesh are left out.
        half_step: whether the mesh lies half a step beside Gamma instead of on it.
    """
    sizes, shift = np.array(divisions), int(half_step)
    steps = np.stack(np.meshgrid(*map(np.arange, divisions), indexing="ij"), axis=-1)
    doubled = 2 * steps.reshape(-1, 3) + shift
    k_points = doubled / (2.0 * sizes)
    numbers, keep = [], []
    for W in operations.on_k:
        images = (k_points @ W) * (2.0 * sizes) - shift
        rounded = np.rint(images / 2.0).astype(int)
        keep.append(np.abs(images / 2.0 - rounded).max() < _SAME_K)
        if keep[-1]:
            numbers.append(np.ravel_multi_index(tuple((rounded % sizes).T), divisions))
    reversed_ = np.ravel_multi_index(tuple(((-steps.reshape(-1, 3) - shift) % sizes).T), divisions)
    images_of = np.array([*numbers, *(reversed_[number] for number in numbers)])
    first = images_of.min(axis=0)
    kept, counts = np.unique(first, return_counts=True)
    return KMesh(k_points[kept], counts / len(k_points), operations.where(np.array(keep)))


def shortest(
    k_points: Float[np.ndarray, "kpt 3"], reciprocal: Float[np.ndarray, "3 3"]
) -> Float[np.ndarray, "kpt 3"]:
    """The same k-points in the first Brillouin zone: each less some reciprocal vector."""
    near = k_points - np.rint(k_points)
    reach = np.arange(-_REACH, _REACH + 1)
    shifts = np.stack(np.meshgrid(reach, reach, reach, indexing="ij"), axis=-1).reshape(-1, 3)
    candidates = near[:, None, :] + shifts
    lengths = np.linalg.norm(candidates @ reciprocal, axis=-1)
    return candidates[np.arange(len(near)), np.round(lengths, 9).argmin(axis=1)] + 0.0


def star_sizes(
    k_points: Float[np.ndarray, "kpt 3"], operations: Operations
) -> Int[np.ndarray, " kpt"]:
    """How many k-points, up to reciprocal vectors, operations and time reversal make of each."""
    every = np.concatenate([operations.on_k, -operations.on_k])
    images = np.einsum("ki,oij->koj", k_points, every)
    differences = images[:, :, None] - images[:, None, :]
    same = np.abs(differences - np.rint(differences)).max(axis=-1) < _SAME_K
    earlier = np.tril(same, -1).any(axis=2)
    return np.sum(~earlier, axis=1)


def not_apart(
    k_points: Float[np.ndarray, "kpt 3"], operations: Operations
) -> tuple[int, int] | None:
    """Two of the k-points that are images of each other; None where no two are."""
    every = np.concatenate([operations.on_k, -operations.on_k])
    for later in range(1, len(k_points)):
        differences = k_points[later] @ every - k_points[:later, None, :]
        same = np.abs(differences - np.rint(differences)).max(axis=-1) < _SAME_K
        if same.any():
            return int(np.argwhere(same.any(axis=1))[0, 0]), later
    return None
