"""Every function of the README's table under jit, grad and vmap, its indices static or traced."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import REPOSITORY
from numpy.testing import assert_allclose
from samples import bundle_of, random_system

import deeppseudopot_jax as dp

ON_THE_HOST = {"read_bundle", "build_problem", "initial_params", "training_cost"}
ROWS = (
    dp.DeformationTarget((0, 2), (1, 4), 1.02, -2.0, 1.0),
    dp.DeformationTarget((1, 2), None, 0.98, -3.0, 1.0),
)
EDGES = {"gap_k_point": 0, "valence_band": 3, "conduction_band": 4}
DIRECTION = jnp.array([1.0, 2.0, -0.5])
K_POINTS = jnp.array([[0.1, 0.2, 0.3], [-0.3, 0.0, 0.4]])
STRAIN = 0.01 * jnp.array([[1.0, 0.5, 0.0], [0.2, -1.0, 0.0], [0.0, 0.3, 0.5]])
STEP = 1e-4


def evaluated_cost(problem, params, cost):
    """What training minimises, as the README says how to have it."""
    return cost(problem, params, dp.Evaluated(dp.energies(problem, params)))


@pytest.fixture(scope="module")
def case():
    rng = np.random.default_rng(21)
    system = random_system(rng, ("Ga", "As"), **EDGES, fit_masses=True)
    bundle = bundle_of(rng, system)
    problem = dp.build_problem(bundle, solver=dp.dense)
    tables = dp.coupling_tables(problem, bundle.settings, system, jnp.array([[0.3, 0.1, 0.0]]))
    calls = {
        "energies": (dp.energies, ()),
        "energies_at": (dp.energies_at, (0, K_POINTS, STRAIN)),
        "form_factors": (dp.form_factors, (jnp.linspace(0.0, 3.0, 7),)),
        "cost": (dp.cost, ()),
        "training_cost": (evaluated_cost, (dp.training_cost(bundle, problem),)),
        "gap": (dp.gap, (0, 1)),
        "deformation_potentials": (dp.deformation_potentials, (0, ROWS)),
        "effective_masses": (dp.effective_masses, (0, 1, (0, 3), DIRECTION)),
        "couplings": (dp.couplings, (tables,)),
    }
    return problem, dp.initial_params(bundle, problem), calls


NAMES = (
    "energies", "energies_at", "form_factors", "cost", "training_cost", "gap",
    "deformation_potentials", "effective_masses", "couplings",
)  # fmt: skip


def test_these_are_the_functions_of_the_readme():
    rows = re.findall(r"^\| `(\w+)\(", (REPOSITORY / "README.md").read_text(), re.MULTILINE)
    assert {*rows} == {*NAMES} | ON_THE_HOST


@pytest.mark.parametrize("name", NAMES)
def test_all_transformations(case, name):
    """Jitted with all arguments traced, and the values and gradients of a batch in one program."""
    problem, params, calls = case
    function, arguments = calls[name]
    jitted = jax.jit(function)

    def moved(distance):
        return jax.tree.map(lambda leaf: leaf * (1.0 + distance), params)

    def total(params):
        found = jax.tree.leaves(function(problem, params, *arguments))
        return sum(jnp.sum(jnp.arctan(leaf)) for leaf in found), found

    def total_along(distance):
        found = jax.tree.leaves(jitted(problem, moved(distance), *arguments))
        return sum(np.sum(np.arctan(leaf)) for leaf in found)

    pair = params, moved(0.01)
    batch = jax.tree.map(lambda *leaves: jnp.stack(leaves), *pair)
    gradients, values = jax.jit(jax.vmap(jax.grad(total, has_aux=True)))(batch)
    for member, of_member in enumerate(pair):
        found = jax.tree.leaves(jitted(problem, of_member, *arguments))
        for leaf, of_batch in zip(found, values, strict=True):
            assert np.isfinite(leaf).all()
            assert_allclose(leaf, of_batch[member], rtol=1e-12, atol=1e-12)
    pairs = zip(jax.tree.leaves(params), jax.tree.leaves(gradients), strict=True)
    slope = sum(jnp.vdot(leaf, change[0]) for leaf, change in pairs)
    expected = (total_along(STEP) - total_along(-STEP)) / (2.0 * STEP)
    assert_allclose(slope, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["form_factors", "gap"])
def test_plain_calls_give_what_jitted_ones_give(case, name):
    problem, params, calls = case
    function, arguments = calls[name]
    expected = function(problem, params, *arguments)
    found = jax.jit(function)(problem, params, *arguments)
    assert_allclose(found, expected, rtol=1e-12, atol=1e-12)


def test_k_points_are_a_batch(case):
    problem, params, _ = case
    at = lambda k: dp.energies_at(problem, params, 0, k[None], STRAIN)[0]  # noqa: E731
    together = jax.jit(dp.energies_at)(problem, params, 0, K_POINTS, STRAIN)
    assert_allclose(jax.jit(jax.vmap(at))(K_POINTS), together, atol=1e-12)


def test_a_traced_system_is_one_of_all_or_nothing():
    rng = np.random.default_rng(3)
    small, large = (random_system(rng, n_k=1, max_kinetic_energy=e, **EDGES) for e in (0.7, 1.0))
    bundle = bundle_of(rng, small, large)
    problem = dp.build_problem(bundle, solver=dp.dense)
    params = dp.initial_params(bundle, problem)
    assert len(problem.groups) == 2
    gaps = jax.jit(jax.vmap(dp.gap, (None, None, 0)))(problem, params, jnp.arange(-1, 3))
    bands = jax.jit(dp.energies)(problem, params)
    expected = [np.nan, *(float(found[0, 4] - found[0, 3]) for found in bands), np.nan]
    assert_allclose(gaps, expected, rtol=1e-12)


def test_traced_indices_out_of_range_give_no_numbers(case):
    problem, params, _ = case
    masses = jax.jit(dp.effective_masses)
    for k_point, bands, found in (
        (1, (0, 6), [True, False]),
        (1, (-1, 5), [False, True]),
        (2, (0, 3), [False, False]),
    ):
        values = masses(problem, params, 0, k_point, bands, DIRECTION)
        assert np.isfinite(values).tolist() == found
    assert np.isnan(masses(problem, params, 0, 1, (0, 3), 0.0 * DIRECTION)).all()
    unknown = jax.tree.map(lambda leaf: jnp.nan * leaf, params)
    assert np.isnan(masses(problem, unknown, 0, 1, (0, 3), DIRECTION)).all()


def test_systems_of_several_shapes_need_a_static_index():
    rng = np.random.default_rng(3)
    systems = random_system(rng, n_bands=6, **EDGES), random_system(rng, n_bands=8)
    bundle = bundle_of(rng, *systems)
    problem = dp.build_problem(bundle, solver=dp.dense)
    params = dp.initial_params(bundle, problem)
    with pytest.raises(dp.InputError, match=r"2 x 6, 2 x 8 \(k-points x bands\).*static_argnames"):
        jax.jit(dp.energies_at)(problem, params, 0, K_POINTS)
    with pytest.raises(dp.InputError, match=r"input_1\.par.*idxVB"):
        jax.jit(dp.gap)(problem, params, 0)
