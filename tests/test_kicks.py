"""Kicks, moves before the first epoch, clipped gradients, and steps that are taken back."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from samples import TRAINING, bundle_of, cost_of_parameters, random_system

from deeppseudopot_jax import build_problem, initial_params
from deeppseudopot_jax.errors import InputError
from deeppseudopot_jax.parameters import Parameters
from deeppseudopot_jax.settings import Settings
from deeppseudopot_jax.training.kicks import kicked
from deeppseudopot_jax.training.loop import AVAILABLE, Epoch, train
from deeppseudopot_jax.training.rejection import MOST_REJECTIONS

CHANNELS = ("long_range", "spin_orbit", "nonlocal", "strain")
SWITCHES = {f"train_{name}": True for name in CHANNELS} | {"spin_orbit": True, "strain": True}
STEADY = {"optimizer": "sgd", "learning_rate": 1e-3, "scheduler_gamma": 1.0}


@pytest.fixture(scope="module")
def ready():
    """A problem of two species, its start, and settings that train everything."""
    rng = np.random.default_rng(1)
    system = random_system(rng, ("Ga", "As", "As"), n_k=1, n_bands=2)
    bundle = bundle_of(rng, system, **TRAINING, **SWITCHES)
    problem = build_problem(bundle)
    return problem, initial_params(bundle, problem), bundle.settings


def squares(params: Parameters) -> jax.Array:
    """How far every number is from 0.7, at most 1e4 in all."""
    leaves = jax.tree.leaves(params)
    return sum(jnp.sum((leaf - 0.7) ** 2 * (1.0 + i)) for i, leaf in enumerate(leaves))


def epochs(ready: tuple, function=squares, **keys: object) -> list[Epoch]:
    """All epochs of a training on a cost of the parameters alone."""
    problem, params, settings = ready
    chosen = settings.model_copy(update=STEADY | {"max_epochs": 4} | keys)
    return list(train(problem, params, chosen, cost=cost_of_parameters(function)))


def test_kicks_are_as_large_as_they_are_meant_to_be():
    ones = {name: jnp.ones(2000) for name in ("local", *CHANNELS)}
    found = kicked(ones, 3, 5)
    for name, change in (("local", 0.1), ("spin_orbit", 1e-3), ("nonlocal", 1e-3)):
        deviates = np.asarray(found[name] - 1.0) / change
        assert 0.99 < np.abs(deviates).max() <= 1.0 + 1e-9
        assert abs(deviates.mean()) < 0.05 and abs(deviates.std() - 3**-0.5) < 0.02
    assert_array_equal(found["long_range"], ones["long_range"])
    assert_array_equal(found["strain"], ones["strain"])
    jax.tree.map(assert_array_equal, kicked(ones, 3, 5), found)
    assert all(
        np.any(kicked(ones, *other)["local"] != found["local"]) for other in ((3, 6), (4, 5))
    )


def test_training_goes_on_from_kicked_parameters(ready):
    quiet, found = epochs(ready), epochs(ready, perturb_every=2, seed=3)
    for before, after in zip(quiet[:2], found[:2], strict=True):
        jax.tree.map(assert_array_equal, before.params, after.params)
    expected = kicked({"local": quiet[2].params.local}, 3, 2, 0)["local"]
    assert_array_equal(found[2].params.local, expected)
    assert_array_equal(found[2].params.long_range, quiet[2].params.long_range)
    factor = found[2].params.spin_orbit / quiet[2].params.spin_orbit - 1.0
    assert 0.0 < np.abs(factor).max() <= 1e-3
    step = found[3].params.local - found[2].params.local
    assert_allclose(step, -2e-3 * (found[2].params.local - 0.7), rtol=1e-9)
    assert [len(epoch.remarks) for epoch in found] == [0, 0, 1, 0, 1]
    assert "perturbEvery" in found[2].remarks[0]


def test_a_kick_that_raises_the_cost_is_no_bad_step(ready):
    def steep(params: Parameters) -> jax.Array:
        return jnp.sum((params.local - ready[1].local) ** 2)

    found = epochs(ready, steep, perturb_every=2)
    assert found[2].cost > 0.0 == found[1].cost
    assert [epoch.state.course.rejections for epoch in found] == [0] * 5


def test_moves_before_the_first_epoch_lower_the_parameter_of_largest_gradient(ready):
    def of_one(params: Parameters) -> jax.Array:
        return (params.local[1, 2] - ready[1].local[1, 2] - 1.0) ** 2 + params.local[0, 0] * 1e-3

    keys = {"pre_adjust_moves": 9, "pre_adjust_step_size": 0.2, "seed": 5, "max_epochs": 0}
    (found,) = epochs(ready, of_one, **keys)
    change = np.asarray(found.params.local - ready[1].local)
    assert change[1, 2] > 0.3 and np.count_nonzero(change) == 1
    assert found.remarks[0].startswith("pre_adjust_moves: cost")
    (longer,) = epochs(ready, of_one, **(keys | {"pre_adjust_step_size": 0.1}))
    assert_allclose(longer.params.local[1, 2] - ready[1].local[1, 2], change[1, 2] / 2)
    rate = keys | {"pre_adjust_step_size": None, "learning_rate": 0.1}
    (by_rate,) = epochs(ready, of_one, **rate)
    assert_array_equal(by_rate.params.local, longer.params.local)
    with pytest.raises(InputError, match="pre_adjust_stepSize or optimizer_lr"):
        epochs(ready, of_one, **(rate | {"learning_rate": None, "optimizer": "lm"}))


def test_moves_before_the_first_epoch_keep_the_lowest_cost_and_neutrality(ready):
    problem, params, _ = ready

    def of_long_range(params: Parameters) -> jax.Array:
        return jnp.sum((params.long_range - jnp.array([0.02, 0.0])) ** 2)

    keys = {"pre_adjust_moves": 6, "pre_adjust_step_size": 5.0, "max_epochs": 0}
    (found,) = epochs(ready, of_long_range, **keys)
    assert found.cost <= float(of_long_range(params))
    composition = problem.composition
    assert_allclose(composition @ found.params.long_range, composition @ params.long_range)


def test_clipped_gradients_have_the_norm_that_they_may_have(ready):
    def norm(**keys: object) -> float:
        before, after = epochs(ready, max_epochs=1, **keys)
        parts = [before.params, after.params]
        moves = jax.tree.map(lambda a, b: jnp.sum((b - a) ** 2), *parts)
        return float(jnp.sqrt(sum(jax.tree.leaves(moves)))) / STEADY["learning_rate"]

    free = norm()
    gradient = np.hypot.reduce(list(epochs(ready)[0].gradient_norms.values()))
    assert 0.9 * gradient < free <= gradient  # a4 moves along what is neutral alone
    assert_allclose(norm(clip_gradient=0.1 * gradient), 0.1 * free, rtol=1e-9)
    assert norm(clip_gradient=2.0 * gradient) == free


def test_a_step_that_raises_the_cost_too_much_is_made_with_half_the_rate(ready):
    wild = {"learning_rate": 0.9, "max_epochs": 15}
    found = epochs(ready, **wild)
    assert found[-1].number == 15 and found[-1].cost < found[0].cost
    taken_back = [remark for epoch in found for remark in epoch.remarks]
    course = found[-1].state.course
    assert len(taken_back) == course.rejections > 0
    assert course.rate_factor == 0.5**course.rejections
    assert taken_back[0].startswith("step 2 taken back: the cost") and "0.5 times" in taken_back[0]
    patient = epochs(ready, **wild | {"max_cost_increase": 1e300})
    jax.tree.map(assert_array_equal, patient[1].params, found[1].params)
    assert patient[2].cost > 10.0 * patient[0].cost
    assert not any(epoch.remarks for epoch in patient)
    steps = [jax.tree.map(jnp.subtract, run[2].params, run[1].params) for run in (patient, found)]
    shorter = found[2].state.course.rate_factor
    jax.tree.map(lambda a, b: assert_allclose(shorter * a, b, atol=1e-12), *steps)


def test_it_ends_where_no_step_is_short_enough(ready):
    start = ready[1].local

    def jump(params: Parameters) -> jax.Array:
        moved = jnp.any(params.local != start)
        return 1.0 + jnp.sum(params.local) * 1e-3 + jnp.where(moved, 1e4, 0.0)

    found = epochs(ready, jump)
    assert [epoch.failed for epoch in found] == [False, True]
    assert len(found[-1].remarks) == MOST_REJECTIONS
    assert found[-1].stopped.startswith("the cost 1") and "max_cost_increase" in found[-1].stopped


@pytest.mark.parametrize("optimizer", [name for name in AVAILABLE if name != "lm"])
def test_no_optimiser_goes_on_from_a_cost_that_is_no_number(ready, optimizer):
    def cliff(params: Parameters) -> jax.Array:
        x = params.local - ready[1].local
        return jnp.sum(jnp.where(x > -0.1, x + 1.0, jnp.nan) ** 2)

    found = epochs(ready, cliff, optimizer=optimizer, learning_rate=0.3, scheduler_gamma=0.9)
    assert not any(epoch.failed for epoch in found)
    assert found[-1].cost < found[0].cost
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(found[-1].params))


def test_an_ensemble_of_line_searches_is_refused():
    keys = {"optimizer": "lbfgs", "ensemble_size": 2, "model": "ZeroFunction", "n_systems": 1}
    with pytest.raises(ValueError, match="lbfgs together with ensemble_size > 1"):
        Settings(**keys)
