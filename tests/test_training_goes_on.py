"""A training that goes on from the state of an epoch is the uninterrupted one, bit by bit."""

import jax
import numpy as np
import pytest
from numpy.testing import assert_array_equal
from samples import TRAINING, bundle_of, random_system

from deeppseudopot_jax import build_problem, initial_params
from deeppseudopot_jax.training.interface import TrainingState
from deeppseudopot_jax.training.loop import AVAILABLE, train

KEYS = {"learning_rate": 1e-3, "max_epochs": 6, "spin_orbit": True, "train_spin_orbit": True}


def copied(state: TrainingState) -> TrainingState:
    """The state as a file would give it back: from the numbers of its leaves alone."""
    leaves, structure = jax.tree.flatten(state)
    arrays = [
        jax.numpy.asarray(np.array(x)) if isinstance(x, jax.Array) else type(x)(x) for x in leaves
    ]
    return jax.tree.unflatten(structure, arrays)


@pytest.mark.parametrize("optimizer", AVAILABLE)
def test_three_epochs_and_three_more_are_six(optimizer):
    rng = np.random.default_rng(5)
    keys = TRAINING | KEYS | {"optimizer": optimizer}
    bundle = bundle_of(rng, random_system(rng, ("Ga", "As"), n_bands=4), **keys)
    problem = build_problem(bundle)
    params = initial_params(bundle, problem)
    whole = list(train(problem, params, bundle.settings))
    rest = list(train(problem, params, bundle.settings, start=copied(whole[3].state)))
    assert [epoch.number for epoch in rest] == [epoch.number for epoch in whole[3:]]
    for found, expected in zip(rest, whole[3:], strict=True):
        assert (found.cost, found.terms) == (expected.cost, expected.terms)
        jax.tree.map(assert_array_equal, found.state, expected.state)
    assert whole[-1].number == 6
