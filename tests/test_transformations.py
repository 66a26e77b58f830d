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
from deeppseudopot_jax.types import CouplingTarget

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
    coupling = CouplingTarget(0, "Ga", "x", "vb", np.array([0.3]))
    system = random_system(
        rng, ("Ga", "As"), **EDGES, fit_deformation=True, fit_masses=True, fit_couplings=True,
        deformation_targets=ROWS, coupling_targets=(coupling,),
        q_points=np.array([[0.3, 0.1, 0.0]]), q_weights=np.ones(1),
    )  # fmt: skip
    bundle = bundle_of(rng, system)
    problem = dp.build_problem(bundle, solver=dp.dense)
    tables = dp.coupling_tables(problem, bundle.settings, system, system.q_points)
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
    """Plain, jitted with every argument traced, and value and gradient of a batch in one."""
    problem, params, calls = case
    function, arguments = calls[name]
    jitted = jax.jit(function)
    plain = jax.tree.leaves(function(problem, params, *arguments))
    for found, expected in zip(
        jax.tree.leaves(jitted(problem, params, *arguments)), plain, strict=True
    ):
        assert_allclose(found, expected, rtol=1e-12, atol=1e-12)
        assert np.isfinite(expected).all()

    def total(params):
        found = jax.tree.leaves(function(problem, params, *arguments))
        return sum(jnp.sum(jnp.arctan(leaf)) for leaf in found)

    def along(distance):
        moved = jax.tree.map(lambda leaf: leaf * (1.0 + distance), params)
        found = jax.tree.leaves(jitted(problem, moved, *arguments))
        return sum(float(jnp.sum(jnp.arctan(leaf))) for leaf in found), moved

    (below, _), (above, _), (there, moved) = along(-STEP), along(STEP), along(0.01)
    both = jax.tree.map(lambda *leaves: jnp.stack(leaves), params, moved)
    values, slopes = jax.jit(jax.vmap(jax.value_and_grad(total)))(both)
    here = sum(np.sum(np.arctan(leaf)) for leaf in plain)
    assert_allclose(values, [here, there], rtol=1e-12, atol=1e-12)
    slope = sum(
        jnp.vdot(leaf, change[0])
        for leaf, change in zip(jax.tree.leaves(params), jax.tree.leaves(slopes), strict=True)
    )
    assert_allclose(slope, (above - below) / (2.0 * STEP), rtol=1e-5, atol=1e-6)


def test_k_points_are_a_batch(case):
    problem, params, _ = case
    together = dp.energies_at(problem, params, 0, K_POINTS)
    one_by_one = jax.vmap(lambda k: dp.energies_at(problem, params, 0, k[None])[0])(K_POINTS)
    assert_allclose(one_by_one, together, atol=1e-12)


def test_a_traced_system_is_one_of_all_or_nothing():
    rng = np.random.default_rng(3)
    small, large = (random_system(rng, n_k=1, max_kinetic_energy=e, **EDGES) for e in (0.7, 1.0))
    bundle = bundle_of(rng, small, large)
    problem = dp.build_problem(bundle, solver=dp.dense)
    params = dp.initial_params(bundle, problem)
    assert len(problem.groups) == 2
    gaps = jax.jit(jax.vmap(dp.gap, (None, None, 0)))(problem, params, jnp.arange(-1, 3))
    expected = [np.nan, *(dp.gap(problem, params, system) for system in (0, 1)), np.nan]
    assert_allclose(gaps, expected, rtol=1e-12)


def test_traced_indices_out_of_range_give_no_numbers(case):
    problem, params, _ = case
    masses = jax.jit(dp.effective_masses)
    some = masses(problem, params, 0, 1, (0, 6, -1), DIRECTION)
    assert np.isfinite(some).tolist() == [True, False, False]
    assert np.isnan(masses(problem, params, 0, 2, (0, 1, 3), DIRECTION)).all()
    assert np.isnan(masses(problem, params, 0, 1, (0, 1, 3), 0.0 * DIRECTION)).all()


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
