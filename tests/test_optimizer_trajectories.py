"""Every optimiser makes the steps of PyTorch's, on a small problem that is not quadratic."""

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose
from samples import TRAINING, bundle_of, cost_of_parameters, random_system

from deeppseudopot_jax import build_problem, initial_params
from deeppseudopot_jax.costs.interface import Cost
from deeppseudopot_jax.parameters import Parameters
from deeppseudopot_jax.training.loop import AVAILABLE, Epoch, train
from deeppseudopot_jax.training.optimizers import OPTIMIZERS, make_optimizer

FROZEN = json.loads((Path(__file__).parent / "data" / "optimizer_trajectories.json").read_text())
CASES = FROZEN["cases"]


def function(params: Parameters) -> jax.Array:
    """That of scripts/make_optimizer_trajectories.py."""
    x = params.local.ravel()
    squares = jnp.sum((1.0 + jnp.arange(8.0)) * (x - 0.7) ** 2)
    return squares + 0.1 * (x[0] * x[1] - x[2]) ** 4 + jnp.sum(jnp.cos(3.0 * x))


COST: Cost = cost_of_parameters(function)


@pytest.fixture(scope="module")
def problem_and_start():
    rng = np.random.default_rng(0)
    symbols, k_points = ("Ga", "As"), np.zeros((1, 3))
    system = random_system(rng, symbols, n_k=1, n_bands=1, k_points=k_points)
    bundle = bundle_of(rng, system, **TRAINING)
    problem = build_problem(bundle)
    start = jnp.asarray(CASES["adam"]["x"][0]).reshape(2, 4)
    return problem, initial_params(bundle, problem).updated({"local": start}), bundle.settings


def trajectory(problem_and_start: tuple, name: str, **keys: object) -> list[Epoch]:
    problem, params, settings = problem_and_start
    changes = FROZEN["keys"] | {"optimizer": name} | keys
    return list(train(problem, params, settings.model_copy(update=changes), cost=COST))


def test_all_optimisers_have_a_trajectory():
    names = {case.split(",")[0] for case in CASES}
    assert names | {"sparseadam", "lm"} == set(AVAILABLE)


@pytest.mark.parametrize("case", CASES)
def test_steps_are_those_of_torch(problem_and_start, case):
    name, expected = case.split(",")[0], np.array(CASES[case]["x"])
    epochs = trajectory(problem_and_start, name, **CASES[case]["keys"])
    found = np.array([epoch.params.local.ravel() for epoch in epochs])
    assert len(np.unique(expected, axis=0)) > 8  # L-BFGS has arrived by then
    assert_allclose(found, expected[: len(found)], rtol=1e-10, atol=1e-11)
    if len(found) < len(expected):
        assert name == "lbfgs" and epochs[-1].stopped.startswith("converged")
        rest = expected[len(found) :]
        assert_allclose(rest, np.broadcast_to(found[-1], rest.shape), atol=1e-7)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_transformations_of_gradients_can_be_vectorised(problem_and_start, name):
    problem, params, settings = problem_and_start
    optimizer = make_optimizer(settings.model_copy(update={"optimizer": name}), problem.composition)

    def two_steps(trainable: dict) -> tuple[dict, object]:
        state = optimizer.init(trainable)
        for _ in range(2):
            updates, state = optimizer.update(trainable, state, trainable)
            trainable = jax.tree.map(jnp.add, trainable, updates)
        return trainable, state

    both = {"local": jnp.stack([params.local, 2.0 * params.local])}
    found = jax.vmap(two_steps)(both)
    one = two_steps({"local": 2.0 * params.local})
    jax.tree.map(lambda a, b: assert_allclose(a[1], b, rtol=1e-12), found, one)


def test_sparseadam_is_adam_where_no_gradient_is_sparse(problem_and_start):
    found = trajectory(problem_and_start, "sparseadam", learning_rate=0.05)[-1]
    assert_allclose(found.params.local.ravel(), CASES["adam"]["x"][-1], rtol=1e-10)
