"""From bundles to plans, moves and samplers; what cannot work is refused before anything runs."""

from dataclasses import replace

import jax
import numpy as np
import pytest
from numpy.testing import assert_allclose
from samples import bundle_of, random_system

from deeppseudopot_jax import build_problem, initial_params, loss
from deeppseudopot_jax.costs.bands import BandErrors, mean_band_residuals, mean_gap_residuals
from deeppseudopot_jax.costs.choice import monte_carlo_cost
from deeppseudopot_jax.eigensolvers.dense import dense
from deeppseudopot_jax.montecarlo.constraints import Constrained
from deeppseudopot_jax.montecarlo.evaluation import BandEvaluation, start_of
from deeppseudopot_jax.montecarlo.options import make_move, make_sampler, plans
from deeppseudopot_jax.montecarlo.tempering import best, run_chunk
from deeppseudopot_jax.settings import Settings
from deeppseudopot_jax.types import MonteCarloOptions

KEYS = {"monte_carlo": True, "mc_iterations": 40, "mc_fraction": 0.05, "mc_beta": 9.0}
NETWORK = {"model": "Net_celu_HeInit", "hidden_layers": (4,)}
OPTIONS = MonteCarloOptions("mcOpts1.par", (100.0, 1.0), (5, 3), (1.0, 0.25), 20)


def bundle(options=(), schedule=None, **settings):
    rng = np.random.default_rng(0)
    made = bundle_of(rng, random_system(rng, n_bands=4), **(KEYS | settings))
    return replace(made, monte_carlo_options=options, beta_schedule=schedule)


def test_each_options_file_is_a_run_of_the_coefficients():
    second = replace(OPTIONS, file="mcOpts2.par", total_iterations=7)
    first, last = plans(bundle((OPTIONS, second)))
    assert (first.n_steps, last.n_steps, first.swap_every) == (20, 7, 1)
    assert first.schedule.period == 8 and first.options is OPTIONS
    assert_allclose(first.schedule.betas, [[100.0], [1.0]])
    assert_allclose(first.schedule.step_factors, [[1.0], [0.25]])


def test_without_a_file_the_keys_say_it():
    (plan,) = plans(bundle())
    assert (plan.n_steps, plan.options) == (40, None)
    assert_allclose(plan.schedule.betas, [[9.0]])
    (plan,) = plans(bundle((OPTIONS,), np.array([[10.0, 3.0], [20.0, 1.0]]), **NETWORK))
    assert_allclose(plan.schedule.betas[:, 0], [9.0, 3.0, 1.0])
    np.testing.assert_array_equal(plan.schedule.starts, [0, 10, 20])


def test_ladders_take_their_ends_from_files_or_keys():
    (plan,) = plans(bundle((OPTIONS,), mc_replicas=3, mc_burn_in=10, mc_delayed_acceptance=True))
    assert (plan.swap_every, plan.burn_in, plan.delayed_acceptance) == (10, 10, True)
    assert_allclose(plan.schedule.betas, [[100.0, 10.0, 1.0]])
    assert_allclose(plan.schedule.step_factors, [[1.0, 0.5, 0.25]])
    hot_first = replace(OPTIONS, betas=(1.0, 100.0), step_size_factors=(0.25, 1.0))
    (same,) = plans(bundle((hot_first,), mc_replicas=3))
    assert_allclose(same.schedule.step_factors, plan.schedule.step_factors)
    (own,) = plans(bundle((OPTIONS,), mc_replicas=3, mc_betas=(50.0, 10.0, 0.5)))
    assert_allclose(own.schedule.betas, [[50.0, 10.0, 0.5]])
    assert_allclose(own.schedule.step_factors[0, 1:], [0.5, 0.25])
    (keys,) = plans(bundle(mc_replicas=4, mc_betas=(8.0, 1.0), **NETWORK))
    assert_allclose(keys.schedule.betas, [[8.0, 4.0, 2.0, 1.0]])
    assert_allclose(keys.schedule.step_factors, 1.0)


@pytest.mark.parametrize(
    ("options", "settings", "message"),
    [
        ((OPTIONS,), {"mc_replicas": 2, "mc_swap_every": 3}, "totalIter = 20 is no multiple of"),
        ((), {"mc_replicas": 2, "mc_betas": (2.0, 1.0), "mc_swap_every": 9}, "mc_iter = 40 is no"),
        ((), {"mc_replicas": 3}, "mc_replicas = 3 needs mc_betas: .*; found 0"),
        ((OPTIONS,), {"mc_replicas": 3, "mc_burn_in": 20}, "mc_burn_in = 20 leaves nothing"),
        (
            (replace(OPTIONS, betas=(5.0, 5.0)),),
            {"mc_replicas": 2},
            "betas 5 5: a ladder descends",
        ),
        ((), {"monte_carlo": False, "mc_beta": None}, "needs the key mc_beta"),
        ((), {"monte_carlo": False, "mc_iterations": None}, "needs the key mc_iter"),
    ],
)
def test_plans_that_cannot_work(options, settings, message):
    with pytest.raises(ValueError, match=message):
        plans(bundle(options, **settings))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"mc_betas": (2.0, 1.0)}, "mc_betas needs mc_replicas > 1"),
        ({"mc_replicas": 3, "mc_betas": (1.0, 2.0)}, "mc_betas must descend"),
        (
            {"mc_replicas": 4, "mc_betas": (3.0, 2.0, 1.0)},
            "mc_replicas = 4 needs the key mc_betas: 4 numbers, or the first and the last",
        ),
        (NETWORK | {"mc_replicas": 2}, "mc_replicas = 2 needs the key mc_betas"),
        ({"mc_replicas": 2, "mc_beta_schedule": "b.par"}, "mc_beta_schedule is for one replica"),
        ({"mc_replicas": 2, "mc_betas": (2.0, 1.0), "mc_burn_in": 5}, "mc_replicas > 2"),
        ({"mc_betas": (0.0,)}, "greater than 0"),
        ({"mc_replicas": 0}, "greater than 0"),
    ],
)
def test_keys_that_contradict_each_other(settings, message):
    with pytest.raises(ValueError, match=message):
        Settings(**({"model": "ZeroFunction", "n_systems": 1} | KEYS | settings))


def test_moves_of_a_bundle():
    made = bundle(spin_orbit=True)
    problem = build_problem(made, solver=dense)
    move = make_move(made, None, problem)
    assert isinstance(move, Constrained)
    steps = move.move.sizes
    assert_allclose(steps.local, np.abs(made.coefficients[:, :4]) / 100.0)
    assert not np.asarray(steps.strain).any()
    strained = bundle(spin_orbit=True, strain=True)
    deforming = replace(OPTIONS, fit_deformation=True)
    assert np.asarray(make_move(strained, deforming, problem).move.sizes.strain).all()
    given = replace(made, step_sizes=np.full((2, 9), 0.5))
    assert_allclose(make_move(given, None, problem).move.sizes.nonlocal_, 0.5)
    negative = replace(made, coefficients=-made.coefficients)
    with pytest.raises(ValueError, match="not negative"):
        make_move(negative, None, problem)
    with pytest.raises(ValueError, match="need its coefficients"):
        make_move(replace(made, coefficients=None), None, problem)


def test_costs_of_a_bundle():
    made = bundle(spin_orbit=True)
    problem = build_problem(made, solver=dense)
    gaps = replace(OPTIONS, optimize_gaps=True)
    for options, measure in (
        (None, mean_band_residuals),
        (OPTIONS, mean_band_residuals),
        (gaps, mean_gap_residuals),
    ):
        cost = monte_carlo_cost(made, options, problem)
        assert cost.terms == (BandErrors(measure),) and cost.names == ("bands", "spin_orbit")
        assert cost.of_bands == cost
    for system in (replace(made.systems[0], reference_energies=None),):
        with pytest.raises(ValueError, match=r"expBandStruct_0\.par is missing"):
            monte_carlo_cost(replace(made, systems=(system,)), None, problem)


def test_a_tempered_run_of_the_coefficients_with_delayed_acceptance():
    hot = replace(OPTIONS, betas=(20.0, 0.5), step_size_factors=(1.0, 3.0))
    made = bundle((hot,), spin_orbit=True, mc_replicas=2, mc_swap_every=5,
                  mc_delayed_acceptance=True)  # fmt: skip
    problem = build_problem(made, solver=dense)
    params = initial_params(made, problem)
    (plan,) = plans(made)
    cost = monte_carlo_cost(made, plan.options, problem)
    vectors, preconditioners = start_of(problem, params)
    move = make_move(made, plan.options, problem)
    sampler = make_sampler(plan, problem, move, cost, preconditioners)
    first = BandEvaluation(problem, cost, preconditioners).begin(vectors)
    state = sampler.init(jax.random.key(0), params, first, plan.schedule)
    state, info = run_chunk(sampler, state, plan.n_steps)
    steps = jax.tree.map(np.asarray, info.history.info)
    assert steps.accepted.any() and (steps.evaluated.sum() < steps.evaluated.size)
    kept = jax.tree.map(np.asarray, info.history.kept)
    exact = jax.jit(sampler.kernel.evaluate.__call__)
    for step in (3, 19):
        for replica in (0, 1):
            there = jax.tree.map(lambda leaf, at=(step, replica): leaf[at], kept)
            found = float(exact(there, first)[0])
            assert steps.cost[step, replica] == pytest.approx(found, rel=1e-9)
    charge = kept["long_range"] @ np.asarray(problem.composition[0])
    assert_allclose(charge, charge[0, 0], atol=1e-12)
    assert kept["spin_orbit"].min() >= 0.0
    found, lowest = best(state)
    assert float(lowest) <= float(steps.cost.min())
    assert float(exact(found, first)[0]) == pytest.approx(float(lowest), rel=1e-9)


def test_a_network_moves_on_its_training_loss():
    made = bundle(**NETWORK)
    problem = build_problem(made, solver=dense)
    params = initial_params(made, problem)
    (plan,) = plans(made)
    vectors, preconditioners = start_of(problem, params)
    parts = make_move(made, None, problem), monte_carlo_cost(made, None, problem), preconditioners
    sampler = make_sampler(plan, problem, *parts)
    first = BandEvaluation(problem, parts[1], preconditioners).begin(vectors)
    state = sampler.init(jax.random.key(0), params, first, plan.schedule)
    assert float(state.replicas.cost[0]) == pytest.approx(float(jax.jit(loss)(problem, params)))
    state, info = run_chunk(sampler, state, 10)
    assert np.asarray(info.history.info.evaluated).all()
    assert np.asarray(info.history.info.accepted).any()
    found, lowest = best(state)
    assert float(lowest) == pytest.approx(float(jax.jit(loss)(problem, found)), rel=1e-10)
