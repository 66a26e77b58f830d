"""Distances, jumps and symmetry points of k-paths."""

from itertools import pairwise

import numpy as np
import pytest

from deeppseudopot_jax import read_bundle
from deeppseudopot_jax.k_path import k_path
from deeppseudopot_jax.symmetry_points import point_group, point_namer

SIMPLE = np.eye(3)
FACE_CENTRED = np.array([[0.0, 0.5, 0.5], [0.5, 0.0, 0.5], [0.5, 0.5, 0.0]])
BODY_CENTRED = np.array([[-0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0.5, 0.5, -0.5]])
HEXAGONAL = np.array([[1.0, 0.0, 0.0], [-0.5, np.sqrt(0.75), 0.0], [0.0, 0.0, 1.6]])
HEXAGONAL_60 = np.array([[1.0, 0.0, 0.0], [0.5, np.sqrt(0.75), 0.0], [0.0, 0.0, 1.6]])
TETRAGONAL = np.diag([1.0, 1.0, 1.3])
ORTHORHOMBIC = np.diag([1.0, 1.1, 1.3])


def line(*corners: list[float], n: int = 5) -> np.ndarray:
    """Points from corner to corner, n steps each."""
    parts = [np.linspace(a, b, n + 1)[1:] for a, b in pairwise(corners)]
    return np.concatenate([[corners[0]], *parts])


def rotation(seed: int) -> np.ndarray:
    q, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
    return q


@pytest.mark.parametrize(
    ("lattice", "order"),
    [
        (SIMPLE, 48),
        (FACE_CENTRED, 48),
        (BODY_CENTRED, 48),
        (HEXAGONAL, 24),
        (HEXAGONAL_60, 24),
        (TETRAGONAL, 16),
        (ORTHORHOMBIC, 8),
        (np.array([[1.0, 0.1, 0.2], [0.0, 1.3, 0.3], [0.0, 0.0, 1.7]]), 2),
        (np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [5.0, 7.0, 1.0]]), 48),
    ],
)
def test_number_of_rotations(lattice, order):
    assert len(point_group(10.3 * lattice @ rotation(1))) == order


@pytest.mark.parametrize(
    ("lattice", "k", "name"),
    [
        (FACE_CENTRED, [0, 0, 0], "Γ"),
        (FACE_CENTRED, [1, -1, 2], "Γ"),
        (FACE_CENTRED, [0.5, 0.5, 0.5], "L"),
        (FACE_CENTRED, [0.5, 0, 0], "L"),
        (FACE_CENTRED, [0.5, 0.5, 1.0], "X"),
        (FACE_CENTRED, [0.375, 0.375, 0.75], "K"),
        (FACE_CENTRED, [0.625, 0.25, 0.625], "U"),
        (FACE_CENTRED, [0.25, 0.75, 0.5], "W"),
        (FACE_CENTRED, [0.25, 0.25, 0.25], ""),
        (SIMPLE, [0.5, 0, 0], "X"),
        (SIMPLE, [0, 0.5, -0.5], "M"),
        (SIMPLE, [0.5, 0.5, 0.5], "R"),
        (BODY_CENTRED, [0.5, -0.5, 0.5], "H"),
        (BODY_CENTRED, [0.5, 0, 0], "N"),
        (BODY_CENTRED, [0.25, 0.25, 0.25], "P"),
        (HEXAGONAL, [0, 0.5, 0], "M"),
        (HEXAGONAL, [1 / 3, 1 / 3, 0], "K"),
        (HEXAGONAL, [2 / 3, -1 / 3, 0.5], "H"),
        (HEXAGONAL_60, [1 / 3, 2 / 3, 0], "K"),
        (HEXAGONAL_60, [1 / 3, 1 / 3, 0], ""),
        (TETRAGONAL, [0, 0, 0.5], "Z"),
        (TETRAGONAL, [0.5, 0, 0], "X"),
        (ORTHORHOMBIC, [0, 0.5, 0.5], "T"),
    ],
)
def test_names_do_not_depend_on_size_and_orientation(lattice, k, name):
    for turned in (lattice, 9.7 * lattice @ rotation(2)):
        assert point_namer(turned)(np.array(k, dtype=float)) == name


@pytest.mark.parametrize(("change", "order"), [(1e-4, 24), (3e-3, 8)])
def test_lattices_of_few_decimals_are_what_they_stand_for(change, order):
    assert len(point_group(10.3 * HEXAGONAL * [1.0, 1.0 + change, 1.0])) == order


@pytest.mark.parametrize("lattice", [np.zeros((3, 3)), np.full((3, 3), np.nan)])
def test_what_is_no_lattice_has_identity_and_inversion(lattice):
    assert point_group(lattice).tolist() == [np.eye(3).tolist(), (-np.eye(3)).tolist()]


def test_rotations_keep_lengths_in_reciprocal_space():
    for lattice in (FACE_CENTRED, BODY_CENTRED, HEXAGONAL, HEXAGONAL_60, TETRAGONAL):
        metric = np.linalg.inv(lattice @ lattice.T)
        operations = point_group(lattice)
        rotated = operations @ metric @ operations.transpose(0, 2, 1)
        np.testing.assert_allclose(rotated, np.broadcast_to(metric, rotated.shape), atol=1e-12)


def test_point_groups_carry_special_points_to_equal_lengths():
    reciprocal = np.linalg.inv(FACE_CENTRED).T
    star = np.array([0.5, 0.25, 0.75]) @ point_group(FACE_CENTRED)
    np.testing.assert_allclose(np.linalg.norm(star @ reciprocal, axis=1), np.sqrt(1.25))


def test_silicon_path(configs):
    system = read_bundle(configs / "silicon").systems[0]
    path = k_path(system.k_points, system.crystal.lattice)
    np.testing.assert_allclose(path.position, system.path_length, atol=1e-6)
    assert [name for _, name in path.ticks] == ["L", "Γ", "X", "U|K", "Γ"]
    assert path.breaks.tolist() == [26]
    assert path.alone == []


def test_a_path_that_goes_on_in_another_image_of_the_zone_is_not_interrupted():
    """X is listed once, as (1/2, 0, 1/2); its image (1/2, 1/2, 1) would start the next part."""
    first = line([0.0, 0.0, 0.0], [0.5, 0.0, 0.5], n=10)
    second = line([0.5, 0.5, 1.0], [0.0, 0.0, 0.0], n=20)
    for k_points in (np.concatenate([first, second[1:]]), np.concatenate([first[:-1], second])):
        path = k_path(k_points, FACE_CENTRED)
        assert path.breaks.tolist() == []
        assert [name for _, name in path.ticks] == ["Γ", "X", "K", "Γ"]
        np.testing.assert_allclose(path.position[-1], 2.0 * np.pi * (1.0 + np.sqrt(2.0)))


def test_a_jump_does_not_count_as_length():
    k_points = np.concatenate(
        [line([0.0, 0.0, 0.0], [0.5, 0.0, 0.0]), line([0.5, 0.5, 0.5], [0.5, 0.5, 0.0])]
    )
    path = k_path(k_points, 2.0 * np.pi * SIMPLE)
    assert path.breaks.tolist() == [6]
    assert [name for _, name in path.ticks] == ["Γ", "X|R", "M"]
    np.testing.assert_allclose([where for where, _ in path.ticks], [0.0, 0.5, 1.0], atol=1e-12)


def test_a_jump_back_along_the_line_is_one():
    part = line([0.0, 0.0, 0.0], [0.4, 0.0, 0.0])
    path = k_path(np.concatenate([part, part]), SIMPLE)
    assert path.breaks.tolist() == [6]


def test_corners_without_a_name_are_marked():
    path = k_path(line([0.1, 0.0, 0.0], [0.3, 0.0, 0.0], [0.3, 0.2, 0.0]), 2.0 * np.pi * SIMPLE)
    assert [name for _, name in path.ticks] == [""]
    assert path.ticks[0][0] == pytest.approx(0.2)


def test_points_listed_twice_are_no_jump():
    first = line([0.0, 0.0, 0.0], [0.5, 0.0, 0.0])
    path = k_path(np.concatenate([first, line([0.5, 0.0, 0.0], [0.5, 0.5, 0.0])]), SIMPLE)
    assert path.breaks.tolist() == []
    assert [name for _, name in path.ticks] == ["Γ", "X", "M"]


def test_steps_of_any_length_along_a_line_are_no_jump():
    path = k_path(np.array([[x, x, x] for x in (0.5, 0.49, 0.45)]), SIMPLE)
    assert path.breaks.tolist() == []


@pytest.mark.parametrize("n", [1, 2])
def test_very_short_lists(n):
    path = k_path(np.array([[0.0, 0.0, 0.0], [0.1, 0.0, 0.0]])[:n], SIMPLE)
    assert path.position.shape == (n,)
    assert path.alone == ([0] if n == 1 else [])


def test_a_lone_point_is_known_as_such():
    k_points = np.concatenate([line([0.5, 0.5, 0.5], [0.4, 0.4, 0.4]), [[0.3, 0.0, 0.0]]])
    assert k_path(k_points, SIMPLE).alone == [6]
    assert k_path(k_points[::-1], SIMPLE).alone == [0]
