"""A training that goes on from the state of an epoch is the uninterrupted one, bit by bit."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_array_equal
from samples import TRAINING, bundle_of, random_system

from deeppseudopot_jax import build_problem, initial_params
from deeppseudopot_jax.training.interface import TrainingState
from deeppseudopot_jax.training.loop import AVAILABLE, train

KEYS = {"max_epochs": 6, "spin_orbit": True, "train_spin_orbit": True}
RATES = {"sgd": 1e-5, "asgd": 1e-5, "lbfgs": 1.0}


@pytest.fixture(scope="module")
def start():
    """A problem with spin-orbit coupling, its parameters and settings."""
    rng = np.random.default_rng(5)
    bundle = bundle_of(rng, random_system(rng, ("Ga", "As"), n_k=1, n_bands=4), **TRAINING, **KEYS)
    problem = build_problem(bundle)
    return problem, initial_params(bundle, problem), bundle.settings


def from_numbers(state: TrainingState) -> TrainingState:
    """The state as a file would give it back: from the numbers of its leaves alone."""
    leaves, structure = jax.tree.flatten(state)
    numbers = [np.array(leaf) if isinstance(leaf, jax.Array) else leaf for leaf in leaves]
    again = [jnp.asarray(x) if isinstance(x, np.ndarray) else type(x)(x) for x in numbers]
    assert all(isinstance(x, jax.Array | int | float) for x in again)
    return jax.tree.unflatten(structure, again)


@pytest.mark.parametrize("optimizer", AVAILABLE)
def test_three_epochs_and_three_more_are_six(start, optimizer):
    problem, params, settings = start
    rate = RATES.get(optimizer, 1e-3)
    keys = {"optimizer": optimizer, "learning_rate": rate, "perturb_every": 4, "seed": 7}
    settings = settings.model_copy(update=keys)
    whole = list(train(problem, params, settings))
    rest = list(train(problem, params, settings, start=from_numbers(whole[3].state)))
    assert [epoch.number for epoch in rest] == [3, 4, 5, 6]
    for found, expected in zip(rest, whole[3:], strict=True):
        assert (found.cost, found.terms) == (expected.cost, expected.terms)
        assert (found.stopped, found.remarks) == (expected.stopped, expected.remarks)
        jax.tree.map(assert_array_equal, found.state, expected.state)
    assert min(whole[:4], key=lambda epoch: epoch.cost).number > 0
    kicked = [any("perturbEvery" in remark for remark in epoch.remarks) for epoch in whole]
    assert kicked == [epoch.number == 4 for epoch in whole]
