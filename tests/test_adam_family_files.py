"""The relatives of Adam write and read PyTorch's layout of their own state, and no other."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_array_equal
from samples import TRAINING, bundle_of, random_system

from deeppseudopot_jax.errors import InputError
from deeppseudopot_jax.potentials.networks import NetworkModel
from deeppseudopot_jax.settings import Settings
from deeppseudopot_jax.training.adam_family import ADAM_FAMILY
from deeppseudopot_jax.training.adam_state import (
    adam_moments,
    from_torch_adam,
    replace_adam_moments,
    to_torch_adam,
)
from deeppseudopot_jax.training.optimizers import make_optimizer

MODEL = NetworkModel("Net_relu", (3,), 2)
KEYS = {
    "adam": {"step", "exp_avg", "exp_avg_sq"},
    "nadam": {"step", "mu_product", "exp_avg", "exp_avg_sq"},
    "adamax": {"step", "exp_avg", "exp_inf"},
}
SAME = ("adam", "adamw", "sparseadam", "radam")


def settings_of(name: str) -> Settings:
    return bundle_of(
        np.random.default_rng(0),
        random_system(np.random.default_rng(0)),
        optimizer=name,
        **TRAINING,
    ).settings


def after_steps(name: str, steps: int = 3) -> tuple:
    """Weights beside a channel, the state of the optimiser, and a function for one more step."""
    weights = jax.tree.map(lambda x: x.astype(float), MODEL.init(jax.random.key(0))["params"])
    trainable = {"local": weights, "spin_orbit": jnp.array([0.5, -1.0])}
    optimizer = make_optimizer(settings_of(name), np.ones((1, 2)))

    def step(trainable: dict, state: object) -> tuple:
        gradient = jax.tree.map(lambda x: 2.0 * x + 0.1, trainable)
        updates, state = optimizer.update(gradient, state, trainable)
        return jax.tree.map(jnp.add, trainable, updates), state

    state = optimizer.init(trainable)
    for _ in range(steps):
        trainable, state = step(trainable, state)
    return trainable, state, step


@pytest.mark.parametrize("name", ADAM_FAMILY)
def test_a_state_travels_through_the_layout_of_torch(name):
    trainable, state, _ = after_steps(name)
    moments = adam_moments(state)
    written = to_torch_adam(MODEL, moments, 0.01, optimizer=name)
    keys = KEYS.get(name, KEYS["adam"])
    assert all(set(entry) == keys for entry in written["state"].values())
    assert set(written["channels"]["spin_orbit"]) == keys
    back = from_torch_adam(MODEL, trainable, written, name)
    jax.tree.map(assert_array_equal, back, moments)
    jax.tree.map(assert_array_equal, replace_adam_moments(state, back), state)


@pytest.mark.parametrize("found", ["adam", "nadam", "adamax"])
@pytest.mark.parametrize("name", ADAM_FAMILY)
def test_moments_that_mean_something_else_are_refused(name, found):
    trainable, state, _ = after_steps(found)
    written = to_torch_adam(MODEL, adam_moments(state), 0.01, optimizer=found)
    if name == found or (name in SAME and found in SAME):
        assert from_torch_adam(MODEL, trainable, written, name).keys() == trainable.keys()
        return
    whose = "adam, adamw, sparseadam, radam" if found == "adam" else found
    legal = f"legal with optimizer = {name}: step, "
    with pytest.raises(InputError, match=rf"\(as {whose}\) for .*; {legal}"):
        from_torch_adam(MODEL, trainable, written, name)
