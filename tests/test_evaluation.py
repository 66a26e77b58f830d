"""One evaluation for everybody: starts, repairs, spot checks, and who solves what how often."""

import jax
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from samples import bands, bundle_of, random_system

from deeppseudopot_jax import build_problem, gap, initial_params
from deeppseudopot_jax.costs.deformation import deformation_errors
from deeppseudopot_jax.costs.interface import Evaluated
from deeppseudopot_jax.eigensolvers.interface import FOR_GRADIENTS, FOR_RESULTS, accurate_to
from deeppseudopot_jax.eigensolvers.iterative import Iterative
from deeppseudopot_jax.observables import deformation
from deeppseudopot_jax.observables.evaluation import (
    begun,
    carried,
    check_due,
    evaluate,
    evaluate_bands,
    shapes_of_states,
)
from deeppseudopot_jax.observables.hamiltonians import prepared
from deeppseudopot_jax.types import DeformationTarget


def made(solver=None, **changes):
    rng = np.random.default_rng(4)
    system = random_system(rng, max_kinetic_energy=4.0, n_k=3, n_bands=8, **changes)
    bundle = bundle_of(rng, system, spin_orbit=True)
    solver = solver or Iterative(dense_up_to=0, dense_start_up_to=0)
    problem = build_problem(bundle, solver=solver)
    return bundle, problem, initial_params(bundle, problem)


def test_bands_are_the_same_with_and_without_vectors_and_from_nearby():
    _, problem, params = made()
    expected = bands(problem, params)[0]
    whole = evaluate_bands(problem, params, keep_vectors=True)
    light = evaluate_bands(problem, params, keep_vectors=False)
    assert light.carried is None and whole.dense_fallbacks == light.dense_fallbacks == 0
    moved = jax.tree.map(lambda leaf: 1.01 * leaf, params)
    near = evaluate_bands(problem, moved, keep_vectors=True).carried
    again = evaluate_bands(problem, params, keep_vectors=True, near=near)
    for found in (whole, light, again):
        assert_allclose(found.bands[0], expected, atol=1e-9)


def test_what_the_solver_gives_up_is_solved_densely():
    _, problem, params = made(Iterative(max_steps=0, dense_up_to=0, dense_start_up_to=0))
    found = evaluate_bands(problem, params, keep_vectors=True)
    assert found.dense_fallbacks == 3
    assert_allclose(found.bands[0], bands(made()[1], params)[0], atol=1e-9)


def test_a_missed_level_is_found_by_the_check_that_is_due():
    _, problem, params = made()
    everywhere = prepared(problem, params)
    states = evaluate(everywhere, begun(everywhere), FOR_RESULTS).states
    assert not evaluate(everywhere, carried(states), FOR_GRADIENTS, check=1).missed_levels


def test_checks_follow_from_the_number_of_steps():
    due = [step for step in range(1, 1300) if check_due(step - 1, step) is not None]
    assert due == [25, 50, 100, 200, 400, 800, 1200]
    assert [check_due(step - 1, step) for step in due] == [1, 2, 3, 4, 5, 6, 7]
    assert check_due(0, 60) == 2 and check_due(60, 90) is None


def test_shapes_are_those_that_are_found():
    _, problem, params = made()
    everywhere = prepared(problem, params)
    found = evaluate(everywhere, begun(everywhere), FOR_GRADIENTS).states
    expected = shapes_of_states(everywhere, FOR_GRADIENTS)
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        assert (one.shape, one.dtype) == (other.shape, other.dtype)


@pytest.mark.parametrize(("residual", "effort"), [(1e-4, 1), (1e-5, 1), (1e-8, 4)])
def test_accuracy_is_a_bound_and_a_tenth_of_it(residual, effort):
    accuracy = accurate_to(residual, 0.03)
    assert accuracy == (residual, residual / 10.0, 0.03, effort)


@pytest.mark.exhaustive
def test_the_cost_of_deformation_potentials_takes_the_undeformed_bands(monkeypatch):
    order = np.array([[1, 0, 2, 3, 4, 5, 6, 7]] * 3)
    rows = (DeformationTarget((0, 1), (1, 3), 1.02, -3.0, 2.0),)
    bundle, problem, params = made(band_order=order, deformation_targets=rows)
    expected = deformation.deformation_potentials(problem, params, 0, rows)
    solved, original = [], deformation.listed_energies

    def counted(problem, params, system_index, indices, strain=None):
        solved.append(strain is not None)
        return original(problem, params, system_index, indices, strain)

    monkeypatch.setattr(deformation, "listed_energies", counted)
    term = deformation_errors(bundle, [0])
    found = term.residuals(problem, params, Evaluated(bands(problem, params)))
    assert solved == [True]
    assert_allclose(found, 2.0**0.5 * (expected + 3.0), rtol=1e-6)


def test_a_gap_looks_at_its_own_system_only():
    rng = np.random.default_rng(0)
    edges = {"valence_band": 1, "conduction_band": 2}
    systems = [random_system(rng, **edges), random_system(rng, max_kinetic_energy=2.0, **edges)]
    problem = build_problem(bundle_of(rng, *systems))
    params = initial_params(bundle_of(rng, *systems), problem)
    ruined = jax.tree.map(lambda leaf: leaf * np.nan if leaf.dtype == float else leaf,
                          problem.groups[0])  # fmt: skip
    other = problem.groups[1].members[0]
    expected = gap(problem, params, other)
    found = gap(problem.replace(groups=(ruined, problem.groups[1])), params, other)
    assert_array_equal(found, expected)
    assert np.isfinite(expected)
