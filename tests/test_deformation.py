"""Deformation potentials against literal matrices of the scaled crystal, and their gradients."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose
from samples import bands, bundle_of, literal_energies, random_system, slope

from deeppseudopot_jax import build_problem, initial_params, read_bundle
from deeppseudopot_jax.eigensolvers.dense import dense
from deeppseudopot_jax.observables.deformation import deformation_potentials, deformation_rows
from deeppseudopot_jax.observables.points import listed_energies
from deeppseudopot_jax.types import DeformationTarget, GapDeformationTargets

ROWS = (
    DeformationTarget((0, 1), (2, 3), 1.02, 0.0, 1.0),
    DeformationTarget((2, 2), None, 0.97, 0.0, 1.0),
    DeformationTarget((0, 1), (0, 2), 1.02, 0.0, 1.0),
)
A8 = 0.4
potentials = jax.jit(deformation_potentials, static_argnums=(2, 3))


def case(basis_sphere: str = "G_full", **settings):
    rng = np.random.default_rng(17)
    bundle = bundle_of(rng, random_system(rng, n_k=3), basis_sphere=basis_sphere, **settings)
    bundle.coefficients[:, 8] = A8
    problem = build_problem(bundle, solver=dense)
    return bundle, problem, initial_params(bundle, problem)


@pytest.mark.parametrize("strain_channel", [False, True])
def test_rows_are_the_literal_differences(strain_channel):
    bundle, problem, params = case(spin_orbit=True, strain=strain_channel)
    system = bundle.systems[0]
    relaxed = literal_energies(bundle, system)

    def scaled(ratio: float) -> np.ndarray:
        crystal = dataclasses.replace(system.crystal, lattice=ratio * system.crystal.lattice)
        scale = 1.0 + A8 * (ratio**3 - 1.0) if strain_channel else 1.0
        return literal_energies(bundle, system, crystal=crystal, local_scale=scale)

    expected = []
    for row in ROWS:
        change = relaxed[row.valence] - scaled(row.ratio)[row.valence]
        if row.conduction is not None:
            change = (relaxed - scaled(row.ratio))[row.conduction] - change
        volumes = row.ratio**3
        expected.append(change / 2.0 * (1.0 + volumes) / (1.0 - volumes))
    assert_allclose(potentials(problem, params, 0, ROWS), expected, rtol=1e-9)
    assert np.abs(expected).min() > 0.1


def test_known_energies_save_the_undeformed_solve():
    _, problem, params = case()
    found = deformation_potentials(problem, params, 0, ROWS, bands(problem, params)[0])
    assert_allclose(found, potentials(problem, params, 0, ROWS), rtol=1e-12)


def test_every_k_point_keeps_its_own_plane_waves():
    _, problem, params = case(basis_sphere="kG")
    assert problem.groups[0].tables.own_sets
    found = jax.jit(listed_energies, static_argnums=(2, 3))(problem, params, 0, (2, 0))
    assert_allclose(found, bands(problem, params)[0][jnp.array([2, 0])], atol=1e-10)
    assert np.isfinite(potentials(problem, params, 0, ROWS)).all()


def test_free_electrons_follow_the_length_of_their_wave_vectors():
    """E = |k+G|^2 / 2 scales with s^-2."""
    _, problem, params = case()
    free = jax.tree.map(jnp.zeros_like, params)
    free = free.updated({"local": params.local.at[:, 0].set(0.0)})
    row = DeformationTarget((0, 4), None, 1.02, 0.0, 1.0)
    change = bands(problem, free)[0][0, 4] * (1.0 - 1.02**-2)
    expected = change / 2.0 * (1.0 + 1.02**3) / (1.0 - 1.02**3)
    assert_allclose(potentials(problem, free, 0, (row,)), [expected], rtol=1e-9)


def test_gradient_is_the_finite_difference():
    _, problem, params = case(spin_orbit=True, strain=True)
    rng = np.random.default_rng(1)
    change = jax.tree.map(lambda leaf: jnp.asarray(rng.normal(size=leaf.shape)), params)

    def along(distance):
        moved = jax.tree.map(lambda x, d: x + distance * d, params, change)
        return jnp.sum(jnp.arange(1.0, 4.0) * potentials(problem, moved, 0, ROWS) ** 2)

    assert_allclose(jax.jit(jax.grad(along))(0.0), slope(along, 2e-4), rtol=1e-7)


def test_replicas_are_a_batch():
    _, problem, params = case()
    replicas = jax.tree.map(lambda leaf: jnp.stack([leaf, 1.01 * leaf]), params)
    found = jax.jit(jax.vmap(lambda one: deformation_potentials(problem, one, 0, ROWS)))(replicas)
    second = jax.tree.map(lambda leaf: leaf[1], replicas)
    assert_allclose(found[1], potentials(problem, second, 0, ROWS), rtol=1e-9)


def test_the_old_form_is_two_states_at_the_gap():
    rng = np.random.default_rng(2)
    system = random_system(
        rng,
        deformation_targets=GapDeformationTargets(-1.5, 2.5),
        gap_k_point=1,
        valence_band=3,
        conduction_band=4,
    )
    assert deformation_rows(system) == (
        DeformationTarget((1, 3), None, 1.01, -1.5, 1.0),
        DeformationTarget((1, 4), None, 1.01, 2.5, 1.0),
    )
    with pytest.raises(ValueError, match="idxGap"):
        deformation_rows(dataclasses.replace(system, gap_k_point=None))


def test_states_that_are_not_there_are_refused():
    _, problem, params = case()
    for state in ((0, 6), (3, 0)):
        with pytest.raises(IndexError):
            deformation_potentials(
                problem, params, 0, (DeformationTarget(state, None, 1.02, 0.0, 1.0),)
            )
    assert deformation_potentials(problem, params, 0, ()).shape == (0,)


@pytest.mark.slow
def test_spin_orbit_crystal(reference_bundle, golden):
    bundle = read_bundle(reference_bundle("cspbi3_soc"))
    reference = np.load(golden / "cspbi3_soc.npz")
    problem = build_problem(bundle, local="zunger", solver=dense)
    params = initial_params(bundle, problem)
    ratio, (k,) = float(reference["ratio"]), np.atleast_1d(reference["k"])[:1]
    rows = tuple(DeformationTarget((0, n), None, ratio, 0.0, 1.0) for n in range(32))
    change = reference["EZ"][0] - reference["EZ_def"][0]
    expected = change / 2.0 * (1.0 + ratio**3) / (1.0 - ratio**3)
    assert k == 0
    assert_allclose(potentials(problem, params, 0, rows), expected, rtol=0, atol=1e-6)
