"""Band energies of a problem: literal values, band order, other k and strain, batching."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from samples import (
    bands,
    bands_at,
    bundle_of,
    literal_energies,
    random_system,
    waves_of,
    zinc_blende,
)

from deeppseudopot_jax import batching, build_problem, energies, energies_at, gap, initial_params
from deeppseudopot_jax.types import Bundle, Crystal


def ready(bundle: Bundle, **options: object) -> tuple:
    """The problem of a bundle and its start parameters."""
    problem = build_problem(bundle, **options)
    return problem, initial_params(bundle, problem)


@pytest.mark.parametrize("spin_orbit", [False, True])
@pytest.mark.parametrize("sphere", ["G", "G_full"])
def test_energies_are_the_literal_ones(spin_orbit, sphere):
    rng = np.random.default_rng(11)
    system = random_system(rng, ("In", "P"), 0.9, n_bands=7)
    bundle = bundle_of(rng, system, spin_orbit=spin_orbit, basis_sphere=sphere)
    found = bands(*ready(bundle))[0]
    assert found.shape == (2, 7)
    assert_allclose(found, literal_energies(bundle, system), atol=1e-10)
    pairs = np.asarray(found)[:, :6].reshape(2, 3, 2)
    if not spin_orbit:
        assert_array_equal(pairs[..., 0], pairs[..., 1])
    else:
        assert np.abs(pairs[..., 0] - pairs[..., 1]).max() > 1e-3  # no inversion symmetry


def test_order_matrix_reorders_the_columns():
    rng = np.random.default_rng(0)
    system = random_system(rng)
    order = np.stack([rng.permutation(6) for _ in range(2)])
    bundle = bundle_of(rng, system, dataclasses.replace(system, band_order=order))
    problem, params = ready(bundle)
    plain, ordered = bands(problem, params)
    assert_array_equal(ordered, np.take_along_axis(np.asarray(plain), order, axis=1))
    assert_array_equal(
        bands_at(problem, params, system_index=1), bands_at(problem, params, system_index=0)
    )


def test_energies_at_other_k_points():
    rng = np.random.default_rng(1)
    system = random_system(rng, max_kinetic_energy=0.9)
    other = dataclasses.replace(system, k_points=rng.uniform(-0.5, 0.5, size=(2, 3)))
    bundle = bundle_of(rng, system)
    found = bands_at(*ready(bundle), system_index=0, k_points=jnp.asarray(other.k_points))
    assert_allclose(found, literal_energies(bundle, other), atol=1e-10)


@pytest.mark.parametrize("spin_orbit", [False, True])
@pytest.mark.parametrize("channel", [False, True])
def test_energies_of_the_strained_crystal_are_those_of_a_rebuilt_one(spin_orbit, channel):
    rng = np.random.default_rng(2)
    system = random_system(rng, ("Si", "Si"), max_kinetic_energy=0.8, n_k=1)
    bundle = bundle_of(rng, system, spin_orbit=spin_orbit, strain=channel)
    strain = rng.normal(scale=0.02, size=(3, 3))
    crystal = system.crystal
    lattice = crystal.lattice @ (np.eye(3) + strain).T
    deformed = Crystal(lattice, crystal.fractional_positions, crystal.symbols)
    a8 = bundle.coefficients[0, 8] if channel else 0.0
    scale = 1.0 + a8 * (np.linalg.det(np.eye(3) + strain) - 1.0)
    waves = waves_of(system, "G_full").integers[0]
    expected = literal_energies(bundle, system, crystal=deformed, integers=waves, local_scale=scale)
    found = bands_at(*ready(bundle), system_index=0, strain=jnp.asarray(strain))
    assert_allclose(found, expected, atol=1e-10)


def test_a_rotation_changes_nothing():
    rng = np.random.default_rng(3)
    bundle = bundle_of(rng, random_system(rng), spin_orbit=True)
    problem, params = ready(bundle)
    rotation = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    rotation *= np.linalg.det(rotation)
    turned = bands_at(problem, params, system_index=0, strain=jnp.asarray(rotation - np.eye(3)))
    assert_allclose(turned, bands(problem, params)[0], atol=1e-11)


def test_spheres_around_k_keep_the_symmetry_of_the_zone_edge():
    # Three names of one X point (they differ by reciprocal lattice vectors), and another X.
    edge = [[0.5, 0.5, 0.0], [-0.5, 0.5, 0.0], [0.5, 0.5, 1.0], [0.5, 0.0, 0.5]]
    rng = np.random.default_rng(4)
    found = {}
    for sphere in ("kG", "G_full"):
        bundle = bundle_of(rng, zinc_blende(("Si", "Si"), edge), basis_sphere=sphere)
        found[sphere] = np.asarray(bands(*ready(bundle))[0])
    levels = found["kG"]
    assert_allclose(levels, np.broadcast_to(levels[0], levels.shape), atol=1e-11)
    # At X of diamond every level is twofold, beside the spin.
    assert_allclose(levels.reshape(4, 2, 4), levels[:, ::4, None] + np.zeros(4), atol=1e-11)
    assert np.abs(found["G_full"][1] - found["G_full"][0]).max() > 1e-2


def test_energies_at_with_spheres_around_k():
    rng = np.random.default_rng(5)
    systems = [random_system(rng, n_k=3), random_system(rng, n_k=2)]
    systems[1] = dataclasses.replace(systems[1], crystal=systems[0].crystal)
    bundle = bundle_of(rng, *systems, basis_sphere="kG", spin_orbit=True)
    problem, params = ready(bundle)
    assert len(problem.groups) == 1  # so the second system has a padded k-point
    for index, expected in enumerate(bands(problem, params)):
        assert_allclose(bands_at(problem, params, system_index=index), expected, atol=1e-11)
        with pytest.raises(ValueError, match="basis_sphere = kG"):
            energies_at(problem, params, index, k_points=jnp.zeros((1, 3)))


@pytest.mark.parametrize("sphere", ["G_full", "kG"])
def test_chunks_of_k_points_leave_the_energies(sphere, monkeypatch):
    rng = np.random.default_rng(6)
    bundle = bundle_of(rng, random_system(rng, n_k=5), basis_sphere=sphere)
    problem, params = ready(bundle)
    n_waves = problem.groups[0].tables.wave_mask.shape[-1]
    monkeypatch.setattr(batching, "_CHUNK_BYTES", {jax.default_backend(): 2 * 16 * n_waves**2})
    chunked = build_problem(bundle)
    assert (problem.groups[0].n_chunks, chunked.groups[0].n_chunks) == (1, 3)
    expected = bands(problem, params)[0]
    assert_allclose(bands(chunked, params)[0], expected, atol=1e-12)
    assert_allclose(bands_at(chunked, params, system_index=0), expected, atol=1e-12)


def test_vmap_over_parameters():
    rng = np.random.default_rng(7)
    bundle = bundle_of(rng, random_system(rng), spin_orbit=True)
    problem, params = ready(bundle)
    factors = jnp.array([0.9, 1.0, 1.1])
    replicas = jax.tree.map(lambda leaf: jnp.multiply.outer(factors, leaf), params)
    together = jax.jit(jax.vmap(energies, in_axes=(None, 0)))(problem, replicas)[0]
    assert together.shape == (3, 2, 6)
    for i in range(3):
        alone = bands(problem, jax.tree.map(lambda leaf, i=i: leaf[i], replicas))[0]
        assert_allclose(together[i], alone, atol=1e-12)


def test_float32_is_close_to_float64():
    rng = np.random.default_rng(8)
    bundle = bundle_of(rng, random_system(rng), spin_orbit=True, strain=True)
    strain = 0.01 * jnp.eye(3)
    exact = bands_at(*ready(bundle), system_index=0, strain=strain)
    problem, params = ready(bundle, precision="float32")
    assert {leaf.dtype.itemsize for leaf in jax.tree.leaves((problem, params))} <= {1, 4, 8}
    assert not any(leaf.dtype == jnp.float64 for leaf in jax.tree.leaves((problem, params)))
    assert bands(problem, params)[0].dtype == jnp.float32
    found = bands_at(problem, params, system_index=0, strain=strain.astype("float32"))
    assert found.dtype == jnp.float32
    assert_allclose(found, exact, atol=2e-4)


@pytest.mark.parametrize("model", ["ZeroFunction", "Net_celu_HeInit"])
def test_parameters_that_are_not_numbers_give_energies_that_are_not(model):
    rng = np.random.default_rng(9)
    bundle = bundle_of(rng, random_system(rng), model=model, hidden_layers=(3,))
    problem, params = ready(bundle)
    nothing = jax.tree.map(lambda leaf: leaf * jnp.nan, params)
    assert bool(jnp.all(jnp.isnan(bands(problem, nothing)[0])))


def test_gap():
    rng = np.random.default_rng(10)
    system = random_system(rng, n_k=3, valence_band=3, conduction_band=4)
    problem, params = ready(bundle_of(rng, system, dataclasses.replace(system, valence_band=None)))
    levels = np.asarray(bands(problem, params)[0])
    fundamental = levels[:, 4].min() - levels[:, 3].max()
    assert float(gap(problem, params)) == pytest.approx(fundamental, abs=1e-12)
    assert float(gap(problem, params, 0, 2)) == pytest.approx(
        levels[2, 4] - levels[2, 3], abs=1e-12
    )
    for arguments, error in (
        ((2,), IndexError), ((-1,), IndexError), ((0, 3), IndexError), ((1,), ValueError),
    ):  # fmt: skip
        with pytest.raises(error):
            gap(problem, params, *arguments)


def test_what_build_problem_refuses():
    rng = np.random.default_rng(0)
    bundle = bundle_of(rng, random_system(rng, n_bands=200))
    with pytest.raises(ValueError, match="nBands = 200 needs 100 levels"):
        build_problem(bundle)
    bundle = bundle_of(rng, random_system(rng))
    with pytest.raises(IndexError, match="system_index: found 1"):
        energies_at(*ready(bundle), 1)
