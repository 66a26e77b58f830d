"""The catalogue of networks: golden outputs, state dicts, initialisers, training mode."""

import json

import jax
import jax.numpy as jnp
import literal
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from samples import bundle_of, random_system

from deeppseudopot_jax import build_problem, initial_params
from deeppseudopot_jax.files.torch_pickle import read_state_dict
from deeppseudopot_jax.potentials.catalogue import CATALOGUE, ModelOptions
from deeppseudopot_jax.potentials.networks import NetworkModel
from deeppseudopot_jax.potentials.state_dict import from_state_dict, to_state_dict

OPTIONS = ModelOptions(1.5, 6.0, 2.0, (1.0, 2.0, 3.0))
KEY = jax.random.key(7)
NORMED = "Net_relu_xavier_BN_dropout_decayGaussian"


def small(name: str, dropout_rate: float = 0.0) -> NetworkModel:
    """The model `name` with layers 1 7 5 3."""
    return NetworkModel(name, (7, 5), 3, OPTIONS, dropout_rate)


OWN = {
    "Net_fourier_celu_HeInit_decayGaussian", "Net_fourier_tanh_xavier_decayGaussian", "BSpline",
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(CATALOGUE.keys() - OWN))
def test_golden_outputs(golden, name):
    reference = json.loads((golden / "models" / "models.json").read_text())
    assert set(reference["models"]) == CATALOGUE.keys() - OWN
    entry = reference["models"][name]
    keywords = {k: tuple(v) if k == "scale" else v for k, v in entry["kwargs"].items()}
    _, *hidden, n_species = reference["layers"]
    model = NetworkModel(name, tuple(hidden), n_species, ModelOptions(**keywords))
    state = read_state_dict(golden / "models" / f"{name}.pth")
    variables = from_state_dict(model, state)
    found = model.apply(variables, jnp.array(reference["q"]))
    assert_allclose(found, entry["output"], rtol=1e-12, atol=1e-12)
    written = to_state_dict(model, variables)
    assert set(written) == set(state)
    unused = f"hidden_bn.{len(hidden)}."
    for key, value in state.items():
        if unused not in key and not key.endswith("num_batches_tracked"):
            assert_array_equal(written[key], value)
            assert written[key].shape == value.shape


@pytest.mark.parametrize("name", ["Net_celu_HeInit", "Net_sig", "Net_relu_bn", "Net_tanh_bn"])
def test_output_is_the_literal_network(name):
    model = small(name)
    state = to_state_dict(model, model.init(KEY))
    rng = np.random.default_rng(0)
    state = {key: value + 0.1 * rng.uniform(size=value.shape) for key, value in state.items()}
    state = {k: v for k, v in state.items() if not k.endswith("tracked")}
    activation = {"Net_celu_HeInit": "celu", "Net_sig": "sigmoid"}.get(name, name.split("_")[1])
    parts = ("weight", "bias", "running_mean", "running_var")
    norms = (
        [tuple(state[f"hidden_bn.{i}.{p}"] for p in parts) for i in range(2)]
        if (model.spec.batch_norm)
        else None
    )
    layers = model.spec.layers
    q = np.linspace(0.0, 8.0, 17)
    expected = literal.network(
        q,
        [state[f"{layers}.{i}.weight"] for i in range(3)],
        [state[f"{layers}.{i}.bias"] for i in range(3)],
        activation,
        norms,
    )
    found = model.apply(from_state_dict(model, state), jnp.asarray(q))
    assert_allclose(found, expected, rtol=1e-12, atol=1e-13)


def test_state_dict_names_everything_that_does_not_fit():
    model = small(NORMED)
    state = to_state_dict(model, model.init(KEY))
    state["neural_network.hidden_l.1.weight"] = np.zeros((5, 6))
    state["extra.weight"] = np.zeros(1)
    del state["neural_network.hidden_bn.0.running_var"]
    with pytest.raises(ValueError, match="layers 1 7 5 3") as raised:
        from_state_dict(model, state)
    for part in (
        "neural_network.hidden_l.1.weight has shape (5, 6), expected (5, 7)",
        "neural_network.hidden_bn.0.running_var is missing",
        f"extra.weight is not part of {NORMED}",
    ):
        assert part in str(raised.value)


def test_state_dict_of_another_model_is_refused_when_a_run_starts():
    rng = np.random.default_rng(0)
    bundle = bundle_of(rng, random_system(rng), model="Net_relu", hidden_layers=(4,))
    object.__setattr__(bundle, "model_state", {"hidden.0.weight": np.zeros((4, 1))})
    with pytest.raises(ValueError, match=r"hidden\.0\.bias is missing"):
        initial_params(bundle, build_problem(bundle))


STATISTICS = {  # name: (standard deviation, largest |w| or None) for fan-in 300, fan-out 400
    "Net_relu": ((1 / 900) ** 0.5, (1 / 300) ** 0.5),
    "Net_celu_HeInit": ((2 / 300) ** 0.5, None),
    "Net_relu_HeInit": ((2 / 300) ** 0.5, (6 / 300) ** 0.5),
    "Net_relu_xavier": ((2 / 700) ** 0.5, None),
    "Net_Xavier_BN": ((2 / 700) ** 0.5, (6 / 700) ** 0.5),
    "Net_celu_RandInit": ((1 / 300) ** 0.5, None),
    "Net_sig_UniformInit": ((1 / 12) ** 0.5, 1.0),
}


@pytest.mark.parametrize("name", sorted(STATISTICS))
def test_statistics_of_the_initialisers(name):
    deviation, bound = STATISTICS[name]
    variables = NetworkModel(name, (300, 400), 2).init(jax.random.key(3))
    kernel = np.asarray(variables["params"]["linear_1"]["kernel"])
    assert kernel.shape == (300, 400)
    mean = 0.5 if name == "Net_sig_UniformInit" else 0.0
    # 120 000 draws: five standard errors of the mean, and 2 % of the deviation.
    assert abs(kernel.mean() - mean) < 5 * deviation / 346
    assert kernel.std() == pytest.approx(deviation, rel=0.02)
    if bound is not None:
        assert 0.999 * bound < np.abs(kernel).max() <= bound
    bias = np.asarray(variables["params"]["linear_1"]["bias"])
    assert 0.9 * 300**-0.5 < np.abs(bias).max() <= 300**-0.5
    assert bias.min() < 0 < bias.max()


def test_the_seed_decides_the_weights():
    rng = np.random.default_rng(0)
    systems = (random_system(rng),)
    kernels = []
    for seed in (1, 1, 2):
        bundle = bundle_of(rng, *systems, model="Net_relu", hidden_layers=(4,), seed=seed)
        params = initial_params(bundle, build_problem(bundle))
        kernels.append(np.asarray(params["local"]["params"]["linear_1"]["kernel"]))
    assert_array_equal(kernels[0], kernels[1])
    assert np.abs(kernels[0] - kernels[2]).min() > 0


def test_batch_norm_in_training_mode_has_torch_s_momentum():
    model = small("Net_Xavier_BN")
    variables = jax.tree.map(lambda leaf: leaf.astype("float64"), model.init(KEY))
    q = jnp.linspace(0.0, 6.0, 25)
    _, updated = model.apply_training(variables, q, KEY)
    layer = variables["params"]["linear_0"]
    hidden = np.asarray(q[:, None] @ layer["kernel"] + layer["bias"][None, :])
    found = updated["batch_stats"]["norm_0"]
    assert_allclose(found["mean"], 0.1 * hidden.mean(axis=0), rtol=1e-12)
    # Of n = 25 values; torch divides by n - 1 here, which thousands of q do not tell apart.
    assert_allclose(found["var"], 0.9 + 0.1 * hidden.var(axis=0), rtol=1e-12)


def test_batch_norm_in_evaluation_is_a_function_of_q_alone():
    model = small("Net_Xavier_BN")
    variables = model.init(KEY)
    q = jnp.linspace(0.0, 6.0, 25)
    assert_allclose(model.apply(variables, q)[:3], model.apply(variables, q[:3]), rtol=1e-13)


def test_dropout_only_in_training():
    q = jnp.linspace(0.0, 6.0, 25)
    variables = small(NORMED).init(KEY)
    plain, _ = small(NORMED).apply_training(variables, q, KEY)
    dropped, _ = small(NORMED, 0.5).apply_training(variables, q, KEY)
    other, _ = small(NORMED, 0.5).apply_training(variables, q, jax.random.key(8))
    assert float(jnp.abs(plain - dropped).max()) > 1e-3
    assert float(jnp.abs(other - dropped).max()) > 1e-3
    assert_array_equal(small(NORMED, 0.5).apply(variables, q), small(NORMED).apply(variables, q))


@pytest.mark.parametrize("name", ["ZeroFunction", "Net_celu_HeInit_decayGaussian"])
def test_float32_stays_float32(name):
    model = small(name)
    variables = model.init(KEY, jnp.dtype("float32"))
    assert model.apply(variables, jnp.linspace(0.0, 5.0, 4, dtype="float32")).dtype == jnp.float32
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(variables))
