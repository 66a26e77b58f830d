"""Adam's moments travel between optax and PyTorch.

Checked once against PyTorch 2.13: five steps here, then five steps in either code from the
converted state, gave the same weights and moments to 1e-15, with and without batch norm.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from optax import ScaleByAdamState

from deeppseudopot_jax.potentials.networks import NetworkModel
from deeppseudopot_jax.potentials.state_dict import to_state_dict
from deeppseudopot_jax.training.adam_family import of_channels
from deeppseudopot_jax.training.adam_state import (
    adam_moments,
    from_torch_adam,
    replace_adam_moments,
    to_torch_adam,
)

RATE, BETAS, EPSILON = 0.01, (0.9, 0.999), 1e-8
NAMES = ["Net_relu_HeInit", "Net_He_BN"]
OTHERS = {
    "spin_orbit": ScaleByAdamState(jnp.int32(2), jnp.array([0.1, -0.2]), jnp.array([0.3, 0.4])),
    "nonlocal": ScaleByAdamState(jnp.int32(5), jnp.eye(2), 2.0 * jnp.eye(2)),
}


def trained(name: str, steps: int = 3):
    """A network, its parameters and Adam's moments after some steps, and a function for more."""
    model = NetworkModel(name, (5, 4), 2)
    variables = jax.tree.map(lambda x: x.astype(float), model.init(jax.random.key(0)))
    q = jnp.linspace(0.1, 3.0, 7)

    @jax.jit
    def gradient(parameters):
        cost = lambda p: jnp.sum((model.apply({**variables, "params": p}, q) - 1.0) ** 2)  # noqa: E731
        return jax.grad(cost)(parameters)

    optimizer = optax.adam(RATE, *BETAS, eps=EPSILON)

    def advance(parameters, state, steps):
        for _ in range(steps):
            with jax.numpy_dtype_promotion("standard"):  # optax: betas to the power of the count
                updates, state = optimizer.update(gradient(parameters), state, parameters)
            parameters = optax.apply_updates(parameters, updates)
        return parameters, state

    parameters = variables["params"]
    parameters, state = advance(parameters, optimizer.init(parameters), steps)
    return model, parameters, state, gradient, advance


@pytest.mark.parametrize("name", NAMES)
def test_layout_is_that_of_torch(name):
    model, _, state, _, _ = trained(name)
    torch_state = to_torch_adam(model, {"local": state[0]}, RATE, BETAS)
    shapes = [(5, 1), (5,), (4, 5), (4,), (2, 4), (2,)]
    norms = [(5,), (5,), (4,), (4,)]
    n_parameters = 12 if name == "Net_He_BN" else 6  # the last batch norm exists, but never moves
    expected = shapes + (norms if name == "Net_He_BN" else [])
    assert [entry["exp_avg"].shape for entry in torch_state["state"].values()] == expected
    assert list(torch_state["state"]) == list(range(len(expected)))
    for entry in torch_state["state"].values():
        assert list(entry) == ["step", "exp_avg", "exp_avg_sq"]
        assert (entry["step"], entry["step"].dtype, entry["step"].shape) == (3.0, np.float32, ())
    (group,) = torch_state["param_groups"]
    assert group["params"] == list(range(n_parameters))
    assert (group["lr"], group["betas"], group["eps"]) == (RATE, BETAS, EPSILON)


@pytest.mark.parametrize("name", NAMES)
def test_torch_steps_from_the_layout_are_the_same_steps(name):
    """One step by the formulas of torch.optim.Adam, entry by entry."""
    model, parameters, state, gradient, advance = trained(name)
    torch_state = to_torch_adam(model, {"local": state[0]}, RATE, BETAS)

    def by_index(tree):
        named = to_state_dict(model, {"params": tree, "batch_stats": {}})
        return [v for key, v in named.items() if key.endswith((".weight", ".bias"))]

    after = by_index(advance(parameters, state, 1)[0])
    for i, entry in torch_state["state"].items():
        g, w, t = by_index(gradient(parameters))[i], by_index(parameters)[i], entry["step"] + 1.0
        mean = BETAS[0] * entry["exp_avg"] + (1.0 - BETAS[0]) * g
        square = BETAS[1] * entry["exp_avg_sq"] + (1.0 - BETAS[1]) * g**2
        root = np.sqrt(square) / np.sqrt(1.0 - BETAS[1] ** float(t)) + EPSILON
        step = RATE / (1.0 - BETAS[0] ** float(t)) * mean / root
        np.testing.assert_allclose(w - step, after[i], rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_there_and_back(name):
    model, parameters, state, _, _ = trained(name)
    moments = {"local": state[0], **OTHERS}
    trainable = {"local": parameters, **{channel: part.mu for channel, part in OTHERS.items()}}
    back = from_torch_adam(model, trainable, to_torch_adam(model, moments, RATE))
    assert jax.tree.structure(back) == jax.tree.structure(moments)
    jax.tree.map(np.testing.assert_array_equal, back, moments)
    assert back["local"].count.dtype == moments["local"].count.dtype
    fresh = optax.chain(of_channels(optax.scale_by_adam(*BETAS)), optax.scale(-RATE)).init(
        trainable
    )
    assert adam_moments(fresh).keys() == trainable.keys()
    kept = {"nonlocal": adam_moments(fresh)["nonlocal"]}
    del back["nonlocal"]
    jax.tree.map(
        np.testing.assert_array_equal,
        adam_moments(replace_adam_moments(fresh, back)),
        moments | kept,
    )


def test_a_fresh_state_has_no_entries():
    model, parameters, state, _, _ = trained(NAMES[0], steps=0)
    torch_state = to_torch_adam(model, {"local": state[0]}, RATE)
    assert torch_state["state"] == {}
    back = from_torch_adam(model, {"local": parameters}, torch_state)["local"]
    assert int(back.count) == 0
    assert not any(leaf.any() for leaf in jax.tree.leaves((back.mu, back.nu)))


def test_dtypes_are_those_of_the_parameters():
    model, parameters, state, _, _ = trained(NAMES[0])
    single = jax.tree.map(lambda leaf: leaf.astype(jnp.float32), parameters)
    trainable = {"local": single, "spin_orbit": jnp.zeros(2, jnp.float32)}
    moments = {"local": state[0], "spin_orbit": OTHERS["spin_orbit"]}
    back = from_torch_adam(model, trainable, to_torch_adam(model, moments, RATE))
    leaves = jax.tree.leaves([(part.mu, part.nu) for part in back.values()])
    assert len(leaves) > 2 and {leaf.dtype for leaf in leaves} == {jnp.dtype("float32")}


def test_other_optimizers_have_no_moments():
    assert adam_moments(optax.sgd(0.1, momentum=0.9).init(jnp.zeros(2))) is None


def broken(kind: str, state: dict) -> dict:
    if kind == "sgd":
        state["state"][0] = {"momentum_buffer": state["state"][0]["exp_avg"]}
    elif kind == "nothing":
        return {}
    elif kind == "count":
        state["param_groups"][0]["params"].append(6)
    elif kind == "shape":
        state["state"][2]["exp_avg_sq"] = np.zeros((5, 4))
    elif kind == "steps":
        state["state"][1]["step"] = np.asarray(9.0, np.float32)
    elif kind == "channels":
        state["channels"] = [1]
    elif kind == "channel":
        del state["channels"]["spin_orbit"]["exp_avg"]
    elif kind == "species":
        state["channels"]["nonlocal"]["exp_avg_sq"] = np.zeros((3, 2))
    return state


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("sgd", "has momentum_buffer for parameter 0; legal with optimizer = adam: step, exp_avg"),
        ("nothing", "not the state of an optimizer: KeyError"),
        ("count", "7 parameters, PPmodel = Net_relu_HeInit has 6"),
        ("shape", r"shape \(5, 4\) for hidden.1.weight, expected \(4, 5\)"),
        ("steps", r"differ in steps: \[3, 9\]"),
        ("channels", "channels of the optimizer state is a list; legal: a dict"),
        (
            "channel",
            "has step, exp_avg_sq for spin_orbit; legal with optimizer = adam: step, exp_avg, ",
        ),
        ("species", r"shape \(3, 2\) for nonlocal, expected \(2, 2\)"),
    ],
)
def test_states_that_do_not_fit_are_refused(kind, message):
    model, parameters, state, _, _ = trained(NAMES[0])
    with pytest.raises(ValueError, match=message):
        from_torch_adam(
            model,
            {"local": parameters, "spin_orbit": jnp.zeros(2), "nonlocal": jnp.zeros((2, 2))},
            broken(kind, to_torch_adam(model, {"local": state[0], **OTHERS}, RATE)),
        )
