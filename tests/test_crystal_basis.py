"""Lattice geometry, plane-wave sets and the grid of differences between them."""

import dataclasses

import jax
import jax.numpy as jnp
import literal
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from samples import random_system, waves_of, zinc_blende

from deeppseudopot_jax.basis import differences, integers_in_sphere
from deeppseudopot_jax.crystal import cell_volume, deform, reciprocal_lattice
from deeppseudopot_jax.types import SystemInput

SEEDS = range(4)


def skewed_system(seed: int) -> SystemInput:
    """A random system whose cell is sheared strongly, so that its rows are far from orthogonal."""
    system = random_system(np.random.default_rng(seed), max_kinetic_energy=1.2, n_k=3)
    shear = np.array([[1.0, 0.0, 0.0], [1.0, 1.0, 0.0], [1.0, 2.0, 1.0]])
    crystal = dataclasses.replace(system.crystal, lattice=shear @ system.crystal.lattice)
    return dataclasses.replace(system, crystal=crystal)


@pytest.mark.parametrize("seed", SEEDS)
def test_reciprocal_lattice_and_volume(seed):
    lattice = skewed_system(seed).crystal.lattice
    assert_allclose(reciprocal_lattice(lattice), literal.reciprocal_lattice(lattice), atol=1e-13)
    assert_allclose(reciprocal_lattice(lattice) @ lattice.T, 2 * np.pi * np.eye(3), atol=1e-12)
    assert cell_volume(lattice) == pytest.approx(literal.cell_volume(lattice), rel=1e-13)
    assert cell_volume(lattice[::-1]) == pytest.approx(literal.cell_volume(lattice), rel=1e-13)


@pytest.mark.parametrize("seed", SEEDS)
def test_deform_is_the_reciprocal_lattice_of_the_deformed_cell(seed):
    lattice = skewed_system(seed).crystal.lattice
    strain = np.random.default_rng(seed).normal(scale=0.1, size=(3, 3))
    deformed = lattice @ (np.eye(3) + strain).T  # every row r becomes (1 + strain) r
    arrays = (reciprocal_lattice(lattice), cell_volume(lattice), strain)
    reciprocal, volume = deform(*map(jnp.asarray, arrays))
    assert_allclose(reciprocal, reciprocal_lattice(deformed), rtol=1e-12, atol=1e-13)
    assert_allclose(volume, cell_volume(deformed), rtol=1e-12)


def test_deform_by_an_isotropic_strain_divides_by_the_ratio():
    lattice = skewed_system(0).crystal.lattice
    arrays = jnp.asarray(reciprocal_lattice(lattice)), jnp.asarray(cell_volume(lattice))
    reciprocal, volume = deform(*arrays, 0.02 * jnp.eye(3))
    assert_allclose(reciprocal, arrays[0] / 1.02, rtol=1e-14)
    assert_allclose(volume, arrays[1] * 1.02**3, rtol=1e-14)
    jacobian = jax.jacobian(lambda e: deform(*arrays, e)[1])(jnp.zeros((3, 3)))
    assert_allclose(jacobian, arrays[1] * np.eye(3), atol=1e-10)


@pytest.mark.parametrize("seed", SEEDS)
def test_whole_sphere(seed):
    system = skewed_system(seed)
    waves = waves_of(system, "G_full")
    expected = literal.plane_waves(system.crystal.lattice, system.max_kinetic_energy)
    assert_array_equal(waves.integers[0], expected)
    assert waves.mask.all()
    assert waves.cut_off_by_reference == 0


@pytest.mark.parametrize("seed", SEEDS)
def test_reference_sphere_leaves_out_what_its_bound_cuts_off(seed):
    system = skewed_system(seed)
    lattice, energy = system.crystal.lattice, system.max_kinetic_energy
    whole = literal.plane_waves(lattice, energy)
    inside = np.abs(whole).max(axis=1) <= literal.reference_bound(lattice, energy)
    waves = waves_of(system, "G")
    assert_array_equal(waves.integers[0], whole[inside])
    assert waves.cut_off_by_reference == np.sum(~inside) > 0


def test_face_centred_cell_loses_waves_with_the_reference_bound():
    system = zinc_blende(("Ga", "As"), [[0.0, 0.0, 0.0]])
    whole, reference = waves_of(system, "G_full"), waves_of(system, "G")
    assert whole.n_waves == reference.n_waves + reference.cut_off_by_reference
    assert reference.cut_off_by_reference > 0


@pytest.mark.parametrize("seed", SEEDS)
def test_sets_around_each_k_point(seed):
    system = skewed_system(seed)
    waves = waves_of(system, "kG")
    reciprocal = reciprocal_lattice(system.crystal.lattice)
    sizes = waves.mask.sum(axis=1)
    assert waves.n_waves == sizes.max()
    big = literal.plane_waves(system.crystal.lattice, 4.0 * system.max_kinetic_energy)
    for k_point, integers, mask in zip(system.k_points, waves.integers, waves.mask, strict=True):
        energies = np.sum(((k_point + big) @ reciprocal) ** 2, axis=1) / 2.0
        assert_array_equal(integers[mask], big[energies < system.max_kinetic_energy])
        assert not integers[~mask].any()


def test_the_sphere_is_open():
    reciprocal = np.eye(3)
    assert len(integers_in_sphere(reciprocal, 0.5, np.zeros(3))) == 1
    assert len(integers_in_sphere(reciprocal, 0.5 + 1e-9, np.zeros(3))) == 7


@pytest.mark.parametrize("sphere", ["G", "G_full", "kG"])
@pytest.mark.parametrize("seed", SEEDS)
def test_differences(seed, sphere):
    system = skewed_system(seed)
    waves = waves_of(system, sphere)
    reciprocal = reciprocal_lattice(system.crystal.lattice)
    found = differences(waves, reciprocal)
    expected, aliased = set(), []
    for integers, mask in zip(waves.integers, waves.mask, strict=True):
        g = integers[mask]
        pairs = (g[:, None] - g[None]).reshape(-1, 3)
        expected |= set(map(tuple, pairs.tolist()))
        # A wave plus a difference may fall on a grid point of a wave only if it is that wave.
        sums = np.unique((g[:, None] + np.unique(pairs, axis=0)[None]).reshape(-1, 3), axis=0)
        for wrapped in (sums[:, None] - g[None]).reshape(-1, 3):
            if np.all(wrapped % np.array(found.fft_shape) == 0) and wrapped.any():
                aliased.append(wrapped)
    listed = list(map(tuple, found.integers.tolist()))
    assert len(listed) == len(set(listed))
    assert set(listed) == expected
    assert aliased == []
    lengths = np.linalg.norm(found.integers @ reciprocal, axis=1)
    assert_allclose(found.shell_radii[found.shell], lengths, atol=1e-9)
    assert np.all(np.diff(found.shell_radii) > 1e-9)
    assert found.shell_radii[0] == 0.0
    assert set(found.shell.tolist()) == set(range(len(found.shell_radii)))
