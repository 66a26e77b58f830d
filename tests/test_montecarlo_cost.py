"""The costs of Monte Carlo runs, their evaluation from last vectors, and the screen."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose
from samples import bands, bundle_of, cost_of_parameters, random_system, square, states_of

from deeppseudopot_jax import build_problem, initial_params, loss
from deeppseudopot_jax.costs.bands import (
    BandErrors,
    cost_of_bands,
    mean_band_residuals,
    mean_gap_residuals,
)
from deeppseudopot_jax.costs.interface import Cost, Evaluated
from deeppseudopot_jax.costs.penalties import LargeSpinOrbit
from deeppseudopot_jax.eigensolvers.dense import dense
from deeppseudopot_jax.eigensolvers.iterative import Iterative
from deeppseudopot_jax.montecarlo.evaluation import BandEvaluation, Left, start_of
from deeppseudopot_jax.montecarlo.screening import RitzScreen, ritz_states
from deeppseudopot_jax.observables.states import levels_of

pytestmark = pytest.mark.as_compiled


def ready(*systems, seed: int = 0, solver=dense, **settings) -> tuple:
    bundle = bundle_of(np.random.default_rng(seed), *systems, **settings)
    problem = build_problem(bundle, solver=solver)
    return problem, initial_params(bundle, problem)


@pytest.fixture(scope="module")
def with_spin() -> tuple:
    rng = np.random.default_rng(1)
    systems = [random_system(rng, n_bands=5), random_system(rng, ("In", "As"), n_k=3, n_bands=4)]
    return ready(*systems, spin_orbit=True), systems


def changed(params: dict, size: float) -> dict:
    """Every coefficient moved by a random part of `size` of itself."""
    rng = np.random.default_rng(3)
    return jax.tree.map(lambda x: x * (1.0 + size * rng.uniform(-1.0, 1.0, x.shape)), params)


def test_mean_errors_are_the_literal_sums(with_spin):
    (problem, params), systems = with_spin
    found = bands(problem, params)
    band_sum = gap_sum = 0.0
    for energies, system in zip(map(np.asarray, found), systems, strict=True):
        n_k, n = energies.shape
        total = gaps = 0.0
        for k in range(n_k):
            for b in range(n):
                error = energies[k, b] - system.reference_energies[k, b]
                total += system.k_weights[k] * system.band_weights[b] * error**2
                if b + 1 < n:
                    next_error = energies[k, b + 1] - system.reference_energies[k, b + 1]
                    weight = 0.5 * (system.band_weights[b] + system.band_weights[b + 1])
                    gaps += system.k_weights[k] * weight * (next_error - error) ** 2
        band_sum += total / (n_k * n)
        gap_sum += gaps / (n_k * (n - 1))
    for measure, expected in ((mean_band_residuals, band_sum), (mean_gap_residuals, gap_sum)):
        total = square(BandErrors(measure), problem, params, found)
        assert float(total) == pytest.approx(expected, rel=1e-12)


def test_gaps_forget_a_shift_and_need_two_bands(with_spin):
    (problem, _), systems = with_spin
    reference = jnp.asarray(systems[0].reference_energies)
    gaps = mean_gap_residuals(reference + 2.0, problem.targets[0])
    assert float(jnp.sum(gaps**2)) < 1e-28
    single, _ = ready(random_system(np.random.default_rng(0), n_bands=1))
    with pytest.raises(ValueError, match="two bands at least"):
        mean_gap_residuals(jnp.zeros((2, 1)), single.targets[0])


def doubled(params):
    return 2.0 * jnp.sum(params.strain)


def test_terms_are_added(with_spin):
    (problem, params), _ = with_spin
    params = params.updated(
        {"spin_orbit": jnp.asarray([7.9, 8.5, 10.0]), "strain": jnp.arange(3.0)}
    )
    found = bands(problem, params)
    assert float(LargeSpinOrbit().value(problem, params)) == pytest.approx(5.0 + 20.0)
    plain = BandErrors(mean_band_residuals)
    penalties = (LargeSpinOrbit(), *cost_of_parameters(doubled).penalties)
    every = Cost((plain,), penalties)
    assert every.names == ("bands", "spin_orbit", "plain")
    expected = float(square(plain, problem, params, found)) + 25.0 + 6.0
    assert float(every(problem, params, Evaluated(found))) == pytest.approx(expected)


def test_an_evaluation_is_the_training_loss_and_leaves_the_states(with_spin):
    (problem, params), _ = with_spin
    vectors, preconditioners = start_of(problem, params)
    evaluate = BandEvaluation(problem, cost_of_bands(problem), preconditioners)
    new = changed(params, 0.05)
    states = jax.jit(evaluate.states)(new, vectors)
    cost, left = jax.jit(evaluate.__call__)(new, evaluate.begin(vectors))
    assert_allclose(left.values, [cost])
    assert float(cost) == pytest.approx(float(jax.jit(loss)(problem, new)), rel=1e-11)
    levels = jax.jit(levels_of)(problem, new, states)
    assert_allclose(levels[0], ritz_states(problem, new, left.vectors)[0].energies, atol=1e-6)


def test_states_that_are_not_found_have_no_cost():
    system = random_system(np.random.default_rng(1), max_kinetic_energy=4.0, n_bands=4)
    hasty = Iterative(max_steps=0, dense_up_to=0, dense_start_up_to=0)
    problem, params = ready(system, spin_orbit=True, solver=hasty)
    assert problem.groups[0].tables.dimension > 100
    vectors, preconditioners = start_of(problem, params)
    evaluate = BandEvaluation(problem, cost_of_bands(problem), preconditioners)
    cost, _ = jax.jit(evaluate.__call__)(changed(params, 0.1), evaluate.begin(vectors))
    assert np.isnan(float(cost))


def test_ritz_values_are_bounds_with_an_error_of_second_order(with_spin):
    (problem, params), _ = with_spin
    vectors, _ = start_of(problem, params)
    exact = jax.jit(lambda params: [x.energies for x in states_of(problem, params)])
    errors = []
    for size in (0.02, 0.01):
        new = changed(params, size)
        ritz = [states.energies for states in ritz_states(problem, new, vectors)]
        pairs = list(zip(ritz, exact(new), strict=True))
        assert all(np.min(found - true) > -1e-6 for found, true in pairs)
        errors.append(max(float(np.abs(found - true).max()) for found, true in pairs))
    assert errors[0] / errors[1] == pytest.approx(4.0, rel=0.2)
    assert errors[1] > 1e-7


def test_the_screen_at_its_own_point_is_the_cost(with_spin):
    (problem, params), _ = with_spin
    screen = jax.jit(RitzScreen(problem, cost_of_bands(problem)).__call__)
    start = start_of(problem, params)
    left = Left(start.vectors, jnp.zeros(1))
    exact = jax.jit(loss)
    assert float(screen(params, left)) == pytest.approx(float(exact(problem, params)), rel=1e-5)
    near = changed(params, 0.02)
    assert float(screen(near, left)) == pytest.approx(float(exact(problem, near)), rel=0.05)
