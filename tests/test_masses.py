"""Effective masses against exact limits and finite differences of energies."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose
from samples import bundle_of, random_system, slope, zinc_blende

from deeppseudopot_jax import build_problem, initial_params
from deeppseudopot_jax.eigensolvers.dense import dense
from deeppseudopot_jax.eigensolvers.iterative import Iterative
from deeppseudopot_jax.hamiltonian.assemble import build_field, hamiltonian_at
from deeppseudopot_jax.observables.masses import curvatures, effective_masses, neighbour_masses
from deeppseudopot_jax.observables.points import listed_points, point_at
from deeppseudopot_jax.units import HARTREE_IN_EV

DIRECTION = np.array([1.0, 2.0, -0.5])
UNIT = DIRECTION / np.linalg.norm(DIRECTION)
always_iterative = Iterative(dense_up_to=0, dense_start_up_to=0)
curvatures_of = jax.jit(curvatures, static_argnums=(2, 3, 4))


def made(system, solver=dense, **settings):
    rng = np.random.default_rng(4)
    bundle = bundle_of(rng, system(rng), **settings)
    problem = build_problem(bundle, solver=solver)
    return problem, initial_params(bundle, problem)


def energies_along(problem, params, distances) -> np.ndarray:
    """Energies (Ha) along DIRECTION from the first k-point, in its own plane waves."""
    points = listed_points(problem, 0, (0,))
    field = build_field(points.tables, problem.channels, params)
    step = jnp.asarray(UNIT) @ jnp.linalg.inv(points.tables.reciprocal_lattice)

    @jax.jit
    def levels(field, points, distance):
        moved = points.replace(k_points=points.k_points + distance * step[None, :])
        contents = point_at(moved, problem.channels, field, 0)
        return jnp.linalg.eigvalsh(hamiltonian_at(contents).matrix())

    found = np.array([levels(field, points, distance) for distance in distances])
    return np.repeat(found, 2 // points.tables.n_spin, axis=1)


def test_free_electrons_have_mass_one():
    problem, params = made(lambda rng: random_system(rng, n_bands=4), spin_orbit=True)
    free = jax.tree.map(jnp.zeros_like, params)
    free = free.updated({"local": params.local.at[:, 0].set(0.0)})
    found = effective_masses(problem, free, 0, 0, (0, 3), jnp.asarray(DIRECTION))
    assert_allclose(found, 1.0, rtol=1e-12)


@pytest.mark.parametrize(
    "solver, settings",
    [
        pytest.param(dense, {}, id="dense"),
        pytest.param(
            dense,
            {"spin_orbit": True, "basis_sphere": "kG"},
            id="own plane waves",
            marks=pytest.mark.exhaustive,
        ),
        pytest.param(
            always_iterative, {"spin_orbit": True}, id="iterative", marks=pytest.mark.exhaustive
        ),
    ],
)
def test_curvatures_are_finite_differences(solver, settings):
    bands = (0, 3, 7)
    problem, params = made(
        lambda rng: random_system(rng, max_kinetic_energy=2.5, n_k=1, n_bands=8),
        solver,
        **settings,
    )
    found = curvatures_of(problem, params, 0, 0, bands, jnp.asarray(DIRECTION))
    size = 1e-3
    below2, below, here, above, above2 = energies_along(problem, params, size * np.arange(-2, 3))
    expected = (-below2 + 16.0 * (below + above) - 30.0 * here - above2) / (12.0 * size**2)
    assert_allclose(found, expected[list(bands)], rtol=1e-4, atol=1e-6)
    assert np.abs(np.asarray(found) - 1.0).min() > 0.01


@pytest.mark.parametrize(
    "spin_orbit, bands", [(False, (0, 2, 8, 10)), (True, (0, 1, 2, 3, 4, 5, 6, 7))]
)
def test_a_multiplet_with_slopes_follows_its_bands(spin_orbit, bands):
    """At X of diamond the bands meet in pairs; some cross with opposite slopes, some touch."""
    problem, params = made(
        lambda rng: zinc_blende(("Si", "Si"), [[0.5, 0.5, 0.0]], 12),
        spin_orbit=spin_orbit,
        basis_sphere="kG",
    )
    levels = energies_along(problem, params, [0.0])[0]
    found = curvatures_of(problem, params, 0, 0, bands, jnp.asarray(DIRECTION))
    distances = 1e-4 * np.arange(1, 8)
    powers = distances[:, None] ** np.arange(1, 6)
    paths = energies_along(problem, params, distances) - levels
    slopes, halves, *_ = np.linalg.lstsq(powers, paths, rcond=None)[0][:, list(bands)]
    assert np.sum(np.diff(levels[:8]) < 1e-10) >= 6  # four at least together
    assert np.abs(slopes).max() > 0.05
    assert_allclose(found, 2.0 * halves, rtol=2e-3, atol=1e-3)


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    "system, bands",
    [
        pytest.param(
            lambda rng: random_system(rng, n_bands=8),
            (0, 3, 7),
            id="generic",
        ),
        pytest.param(
            lambda rng: zinc_blende(("Ga", "As"), [[0.0, 0.0, 0.0]], 10),
            (0, 2, 4, 7),
            id="zinc blende",
        ),
    ],
)
def test_gradient_is_the_finite_difference(system, bands):
    problem, params = made(system, spin_orbit=True)
    rng = np.random.default_rng(5)
    change = jax.tree.map(lambda leaf: jnp.asarray(rng.normal(size=leaf.shape)), params)

    def along(distance, problem):
        moved = jax.tree.map(lambda x, d: x + distance * d, params, change)
        found = curvatures(problem, moved, 0, 0, bands, jnp.asarray(DIRECTION))
        return jnp.sum(jnp.arctan(found))

    value = jax.jit(along)
    expected = slope(lambda distance: value(distance, problem), 5e-5)
    found = jax.jit(jax.jacrev(along))(0.0, problem)
    assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.exhaustive
def test_replicas_are_a_batch_and_second_derivatives_are_refused():
    problem, params = made(lambda rng: random_system(rng, n_bands=4))

    def mass(one):
        return curvatures(problem, one, 0, 1, (2,), jnp.asarray(DIRECTION))[0]

    replicas = jax.tree.map(lambda leaf: jnp.stack([leaf, 1.02 * leaf]), params)
    found = jax.jit(jax.vmap(mass))(replicas)
    assert_allclose(found[1], mass(jax.tree.map(lambda leaf: leaf[1], replicas)), rtol=1e-8)
    with pytest.raises(NotImplementedError):
        jax.jacfwd(jax.grad(mass))(params)


def test_bands_that_are_not_there_are_refused():
    problem, params = made(lambda rng: random_system(rng, n_bands=4))
    with pytest.raises(IndexError, match="bands"):
        curvatures(problem, params, 0, 0, (4,), jnp.asarray(DIRECTION))
    with pytest.raises(IndexError, match="k_point"):
        curvatures(problem, params, 0, 2, (0,), jnp.asarray(DIRECTION))


def test_neighbour_masses_of_parabolas():
    k = 0.02
    hole, electron = 0.3, 0.07
    edge = jnp.array([-5.0, -4.0])
    curves = jnp.array([-1.0 / hole, 1.0 / electron]) * k**2 / 2.0 * HARTREE_IN_EV
    assert_allclose(neighbour_masses(edge, edge + curves, jnp.array(k)), [hole, electron])


def test_neighbour_masses_approach_the_exact_ones():
    problem, params = made(
        lambda rng: zinc_blende(("Ga", "As"), [[0.0, 0.0, 0.0]], 10), spin_orbit=False
    )
    exact = effective_masses(problem, params, 0, 0, (0, 2), jnp.asarray(DIRECTION))
    distance = 1e-3
    energies = HARTREE_IN_EV * energies_along(problem, params, [0.0, distance])[:, [0, 2]]
    found = neighbour_masses(*map(jnp.asarray, energies), jnp.array(distance))
    assert_allclose(found * np.array([-1.0, 1.0]), exact, rtol=1e-3)
