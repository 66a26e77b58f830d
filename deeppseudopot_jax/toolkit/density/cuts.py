"""Planes and lines through a crystal, as the command line names them."""

import re
from itertools import product
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from deeppseudopot_jax.errors import InputError
from deeppseudopot_jax.files.results.density_plots import LineCut, PlaneCut
from deeppseudopot_jax.observables.density import on_line, on_plane
from deeppseudopot_jax.types import Crystal

_ATOM = re.compile(r"([A-Z][a-z]?)(\d+)")
_ROWS = 161
_STEPS = 401
_REACH = 4
_IN_PLANE = 0.02
"""Bohr: atoms that are as close to a plane are marked in its figure."""
_PLANE_LEGAL = (
    "nine fractions of the lattice vectors (origin, then two vectors), or the three Miller indices "
    "of a plane through the origin"
)
_LINE_LEGAL = "two points, each three fractions of the lattice vectors or an atom, as Ga0"


class Plane(NamedTuple):
    """origin + s u + t v for s and t from 0 to 1, in fractions."""

    origin: Float[np.ndarray, "3"]
    u: Float[np.ndarray, "3"]
    v: Float[np.ndarray, "3"]


class Line(NamedTuple):
    """From one point to another one, in fractions."""

    start: Float[np.ndarray, "3"]
    end: Float[np.ndarray, "3"]


def plane_of(text: str, crystal: Crystal) -> Plane:
    """A plane by origin and two vectors, or by Miller indices of the given cell.

    Raises:
        InputError: if the text names none.
    """
    words = text.replace(",", " ").split()
    numbers = _numbers("--plane", words, _PLANE_LEGAL)
    if len(numbers) == 3:
        return Plane(np.zeros(3), *_vectors_in_plane(text, numbers, crystal.lattice))
    if len(numbers) != 9:
        raise InputError(f"--plane: found {len(numbers)} numbers; legal: {_PLANE_LEGAL}")
    plane = Plane(*numbers.reshape(3, 3))
    if _area(plane.u @ crystal.lattice, plane.v @ crystal.lattice) < 1e-6:
        raise InputError(f"--plane: found two parallel vectors in {text!r}; legal: {_PLANE_LEGAL}")
    return plane


def line_of(text: str, crystal: Crystal) -> Line:
    """A line between two points or atoms; atoms are counted as in system_X.par, from 0.

    Raises:
        InputError: if the text names none.
    """
    points, words = [], text.replace(",", " ").split()
    while words:
        if _ATOM.fullmatch(words[0]):
            points.append(_atom(words.pop(0), crystal))
        else:
            three, words = words[:3], words[3:]
            points.append(_numbers("--line", three, _LINE_LEGAL))
    if len(points) != 2 or any(len(point) != 3 for point in points):
        raise InputError(f"--line: found {text!r}; legal: {_LINE_LEGAL}")
    line = Line(*points)
    if np.linalg.norm((line.end - line.start) @ crystal.lattice) < 1e-6:
        raise InputError(f"--line: found one point twice in {text!r}; legal: {_LINE_LEGAL}")
    return line


def plane_cut(density: np.ndarray, plane: Plane, crystal: Crystal) -> PlaneCut:
    """The density on a plane, with the atoms that lie in it."""
    u, v = plane.u @ crystal.lattice, plane.v @ crystal.lattice
    longest = max(np.linalg.norm(u), np.linalg.norm(v))
    steps = tuple(
        np.linspace(0.0, 1.0, 1 + round((_ROWS - 1) * float(np.linalg.norm(side)) / longest))
        for side in (u, v)
    )
    x = u / np.linalg.norm(u)
    y = v - (v @ x) * x
    axes = np.stack([x, y / np.linalg.norm(y)])
    values = on_plane(density, plane.origin, (plane.u, plane.v), (steps[0], steps[1]))
    places = steps[0][:, None, None] * (axes @ u) + steps[1][None, :, None] * (axes @ v)
    return PlaneCut(values, places, _atoms_in(plane, crystal, axes))


def line_cut(density: np.ndarray, line: Line, crystal: Crystal) -> LineCut:
    """The density along a line, with the atoms on it."""
    steps = np.linspace(0.0, 1.0, _STEPS)
    way = (line.end - line.start) @ crystal.lattice
    length = float(np.linalg.norm(way))
    atoms = []
    for symbol, offset in _images(crystal, line.start):
        along = float(offset @ way) / length
        aside = np.linalg.norm(offset - along * way / length)
        if aside < _IN_PLANE and -_IN_PLANE < along < length + _IN_PLANE:
            atoms.append((symbol, along))
    return LineCut(length * steps, on_line(density, line.start, line.end, steps), tuple(atoms))


def _atoms_in(
    plane: Plane, crystal: Crystal, axes: np.ndarray
) -> tuple[tuple[str, float, float], ...]:
    normal = np.cross(*axes)
    sides = np.stack([plane.u @ crystal.lattice, plane.v @ crystal.lattice]) @ axes.T
    found = []
    for symbol, offset in _images(crystal, plane.origin):
        place = axes @ offset
        inside = np.linalg.solve(sides.T, place)
        if abs(offset @ normal) < _IN_PLANE and (np.abs(inside - 0.5) < 0.501).all():
            found.append((symbol, float(place[0]), float(place[1])))
    return tuple(found)


def _images(crystal: Crystal, origin: np.ndarray) -> list[tuple[str, np.ndarray]]:
    """Atoms of the cells around, as vectors (Bohr) from a point."""
    cells = np.array(list(product(range(-_REACH, _REACH + 1), repeat=3)))
    return [
        (symbol, offset)
        for symbol, position in zip(crystal.symbols, crystal.fractional_positions, strict=True)
        for offset in (position + cells - origin) @ crystal.lattice
    ]


def _vectors_in_plane(
    text: str, indices: np.ndarray, lattice: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The two shortest independent lattice vectors in a lattice plane."""
    if (indices != np.rint(indices)).any() or not indices.any():
        raise InputError(f"--plane: found {text!r}; legal: {_PLANE_LEGAL}")
    vectors = np.array(list(product(range(-_REACH, _REACH + 1), repeat=3)), float)
    inside = vectors[(vectors @ indices == 0.0) & vectors.any(axis=1)]
    lengths = np.linalg.norm(inside @ lattice, axis=1)
    ordered = inside[np.argsort(np.round(lengths, 9), kind="stable")]
    for other in ordered[1:]:
        if _area(ordered[0] @ lattice, other @ lattice) > 1e-6:
            return ordered[0], other
    raise InputError(f"--plane: found {text!r}; legal: Miller indices up to {_REACH}")


def _atom(word: str, crystal: Crystal) -> np.ndarray:
    match = _ATOM.fullmatch(word)
    assert match
    symbol, number = match[1], int(match[2])
    places = [i for i, name in enumerate(crystal.symbols) if name == symbol]
    if number >= len(places):
        counted = ", ".join(
            f"{name}0 to {name}{crystal.symbols.count(name) - 1}"
            for name in dict.fromkeys(crystal.symbols)
        )
        raise InputError(f"--line: found {word}; legal: {counted}")
    position: np.ndarray = crystal.fractional_positions[places[number]]
    return position


def _numbers(option: str, words: list[str], legal: str) -> np.ndarray:
    try:
        numbers = np.array([float(word) for word in words])
    except ValueError:
        raise InputError(f"{option}: found {' '.join(words)!r}; legal: {legal}") from None
    if not np.isfinite(numbers).all():
        raise InputError(f"{option}: found {' '.join(words)!r}; legal: {legal}")
    return numbers


def _area(u: np.ndarray, v: np.ndarray) -> float:
    """Of the parallelogram of two vectors, over the product of their lengths."""
    lengths = np.linalg.norm(u) * np.linalg.norm(v)
    return float(np.linalg.norm(np.cross(u, v)) / lengths) if lengths > 0.0 else 0.0
