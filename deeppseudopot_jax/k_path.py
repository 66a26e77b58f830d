"""A list of k-points as a path: distances along it, where it jumps, what its corners are called."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from deeppseudopot_jax.crystal import reciprocal_lattice
from deeppseudopot_jax.symmetry_points import equivalent, point_group, point_namer

_LONG_STEP = 2.5
"""A step this many times longer than both its neighbours, in a new direction, is a jump."""
_STRAIGHT = np.cos(np.radians(1.0))


@dataclass(frozen=True, eq=False)
class KPath:
    """A path in reciprocal space.

    `position` is the distance along it in Bohr^-1, jumps not counted; a curve over it is
    interrupted before every index of `breaks`; `ticks` are the corners and symmetry points:
    position and name, which is empty where the point has none.
    """

    position: Float[np.ndarray, " kpt"]
    breaks: Int[np.ndarray, " break"]
    ticks: tuple[tuple[float, str], ...]

    @property
    def alone(self) -> list[int]:
        """Indices of points with a break on both sides."""
        starts = {0, *self.breaks.tolist()}
        ends = {*self.breaks.tolist(), len(self.position)}
        return sorted(i for i in starts if i + 1 in ends)


class Steps(NamedTuple):
    """From every k-point to the next one.

    `straight` tells where a step goes on in the direction of the one before it, `jumps` which
    steps lead from one part of the path to another one.
    """

    lengths: Float[np.ndarray, " step"]
    straight: Bool[np.ndarray, " turn"]
    jumps: list[int]


def k_steps(k_points: Float[np.ndarray, "kpt 3"], lattice: Float[np.ndarray, "3 3"]) -> Steps:
    """The steps (Bohr^-1) between fractional `k_points`, for `lattice` rows in Bohr."""
    steps = np.diff(k_points @ reciprocal_lattice(lattice), axis=0)
    lengths = np.linalg.norm(steps, axis=1)
    directions = steps / np.where(lengths > 0.0, lengths, 1.0)[:, None]
    straight = np.sum(directions[1:] * directions[:-1], axis=1) > _STRAIGHT
    return Steps(lengths, straight, _jumps(lengths, straight))


def k_path(
    k_points: Float[np.ndarray, "kpt 3"],
    lattice: Float[np.ndarray, "3 3"],
    labels: Sequence[str] = (),
) -> KPath:
    """The path through fractional `k_points` of a crystal with `lattice` rows in Bohr.

    Points are called by their `labels`; those of "", and all without labels, by the names of
    symmetry points.
    """
    lengths, straight, jumps = k_steps(k_points, lattice)
    operations = point_group(lattice)
    breaks, advance = [], lengths.copy()
    for i in jumps:
        advance[i] = _hidden_step(k_points, lengths, i, operations)
        if advance[i] == 0.0:
            breaks.append(i + 1)
    position = np.concatenate([[0.0], np.cumsum(advance)])
    corners = {
        i + 1
        for i in range(len(straight))
        if not straight[i] and lengths[i] > 0.0 and lengths[i + 1] > 0.0
        and not {i, i + 1} & set(jumps)
    }  # fmt: skip
    corners |= {index for i in breaks for index in (i - 1, i)}
    return KPath(
        position, np.array(breaks, dtype=int), _ticks(k_points, lattice, labels, position, corners)
    )


def _jumps(lengths: np.ndarray, straight: np.ndarray) -> list[int]:
    """Indices of the steps that lead from one part of the path to another one."""
    jumps = []
    for i, length in enumerate(lengths):
        neighbours = [j for j in (i - 1, i + 1) if 0 <= j < len(lengths)]
        longer = all(length > _LONG_STEP * lengths[j] for j in neighbours)
        if neighbours and longer and not any(straight[min(i, j)] for j in neighbours):
            jumps.append(i)
    return jumps


def _hidden_step(
    k_points: np.ndarray, lengths: np.ndarray, i: int, operations: np.ndarray
) -> float:
    """Length of jump i where it leads to one ordinary step from an image of its start, else 0.

    Then the path goes on: files list the zone-boundary point before or after the jump only.
    """
    start, end = k_points[i], k_points[i + 1]
    if i + 2 < len(k_points) and equivalent(2.0 * end - k_points[i + 2], start, operations):
        return float(lengths[i + 1])
    if i > 0 and equivalent(2.0 * start - k_points[i - 1], end, operations):
        return float(lengths[i - 1])
    return 0.0


def _ticks(
    k_points: np.ndarray,
    lattice: np.ndarray,
    labels: Sequence[str],
    position: np.ndarray,
    corners: set[int],
) -> tuple[tuple[float, str], ...]:
    """Corners and named points, those at one position together: "U|K"."""
    name_of = point_namer(lattice)
    given = labels or [""] * len(k_points)
    ticks: list[tuple[float, list[str]]] = []
    for i, (where, k, label) in enumerate(zip(position.tolist(), k_points, given, strict=True)):
        name = label or name_of(k)
        if name or i in corners:
            if not ticks or where > ticks[-1][0]:
                ticks.append((where, []))
            ticks[-1][1].extend(part for part in name.split("|") if part not in ["", *ticks[-1][1]])
    return tuple((where, "|".join(names)) for where, names in ticks)


def straight_pieces(
    k_points: Float[np.ndarray, "kpt 3"], lattice: Float[np.ndarray, "3 3"]
) -> Int[np.ndarray, " kpt"]:
    """The number of the straight piece of the path that every k-point is on.

    A piece ends at a jump, at a point that is listed twice, and at a corner, which is its last
    point: beyond, bands have another slope. Fewer than three points are no line: each of them is a
    piece of its own.
    """
    lengths, straight, jumps = k_steps(k_points, lattice)
    firsts = [0]
    for i, length in enumerate(lengths):
        at_corner = i > firsts[-1] and not straight[i - 1]
        if i in jumps or length == 0.0 or at_corner:
            firsts.append(i + 1)
    ends = [*firsts[1:], len(k_points)]
    begins = np.zeros(len(k_points), bool)
    for first, end in zip(firsts, ends, strict=True):
        begins[first : end if end - first < 3 else first + 1] = True
    return np.cumsum(begins) - 1
