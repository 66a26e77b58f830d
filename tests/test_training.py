"""Gradient training: which parameters move, by how much, and when it stops."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from samples import TRAINING, bundle_of, cost_and_gradient, cost_of_parameters, random_system

from deeppseudopot_jax import build_problem, initial_params
from deeppseudopot_jax.parameters import Parameters, trained_channels
from deeppseudopot_jax.potentials.networks import NetworkModel
from deeppseudopot_jax.settings import Settings
from deeppseudopot_jax.training.loop import Epoch, train
from deeppseudopot_jax.training.optimizers import make_optimizer, staircase
from deeppseudopot_jax.training.regression import analytic_curves, fit_curves
from deeppseudopot_jax.training.rejection import MOST_REJECTIONS
from deeppseudopot_jax.training.trainable import merge, split

CHANNELS = ("long_range", "spin_orbit", "nonlocal", "strain")


def ready(seed: int = 0, **settings: object) -> tuple:
    """Problem, start parameters and settings of one random crystal."""
    rng = np.random.default_rng(seed)
    bundle = bundle_of(rng, random_system(rng, n_bands=4), **(TRAINING | settings))
    problem = build_problem(bundle)
    return problem, initial_params(bundle, problem), bundle.settings


def distance(params: Parameters) -> jax.Array:
    """How far every number is from its own target."""
    leaves = jax.tree.leaves(params)
    return sum(jnp.sum((leaf - 0.7) ** 2 * (1.0 + i)) for i, leaf in enumerate(leaves))


cheap_cost = cost_of_parameters(distance)


def run(**settings: object) -> list[Epoch]:
    """All epochs of a training on the cheap cost."""
    return list(train(*ready(**settings), cost=cheap_cost))


@pytest.mark.parametrize("model", ["ZeroFunction", "Net_relu_bn"])
def test_split_and_merge(model):
    _, params, _ = ready(model=model, hidden_layers=(3,))
    parts = split(params, ("local", "long_range"))
    assert set(parts.trainable) == {"local", "long_range"}
    assert parts.frozen is params
    if model == "Net_relu_bn":
        assert "linear_0" in parts.trainable["local"]
    merged = merge(parts)
    assert jax.tree.structure(merged) == jax.tree.structure(params)
    jax.tree.map(assert_array_equal, merged, params)


def test_trained_channels():
    keys = ("train_long_range", "train_spin_orbit", "train_nonlocal", "train_strain")
    assert trained_channels(Settings(model="ZeroFunction", n_systems=1)) == ("local",)
    everything = Settings(
        model="ZeroFunction", n_systems=1, spin_orbit=True, **dict.fromkeys(keys, True)
    )
    assert trained_channels(everything) == ("local", *CHANNELS)


def numpy_adam(parameter, gradients, rates):
    """Kingma and Ba, algorithm 1, from the gradients at the parameters met on the way."""
    mean, square = 0.0, 0.0
    for t, rate in enumerate(rates, 1):
        gradient = gradients(parameter)
        mean = 0.9 * mean + 0.1 * gradient
        square = 0.999 * square + 0.001 * gradient**2
        step = mean / (1 - 0.9**t) / (np.sqrt(square / (1 - 0.999**t)) + 1e-8)
        parameter = parameter - rate * step
    return parameter


def numpy_sgd(parameter, gradients, rates):
    """Gradient descent with momentum 0.5 as PyTorch has it."""
    velocity = 0.0
    for rate in rates:
        velocity = 0.5 * velocity + gradients(parameter)
        parameter = parameter - rate * velocity
    return parameter


@pytest.mark.parametrize(
    ("name", "by_hand", "rate"), [("adam", numpy_adam, 0.02), ("sgd", numpy_sgd, 1e-4)]
)
def test_three_updates_of_the_coefficients_by_hand(name, by_hand, rate):
    problem, params, settings = ready(
        optimizer=name, sgd_momentum=0.5, max_epochs=3, learning_rate=rate
    )
    epochs = list(train(problem, params, settings))

    def gradient(coefficients: np.ndarray) -> np.ndarray:
        at = params.updated({"local": jnp.asarray(coefficients)})
        return np.asarray(cost_and_gradient(problem, at)[1]["local"])

    # schedulerStep = 2, scheduler_gamma = 0.5: the third update has half the rate
    expected = by_hand(np.asarray(params["local"]), gradient, [rate, rate, rate / 2])
    start = np.asarray(params["local"])
    assert_allclose(epochs[3].params["local"] - start, expected - start, rtol=1e-9, atol=1e-15)
    assert np.abs(expected - start).min() > 1e-3 * rate
    for epoch in epochs:
        assert epoch.cost == pytest.approx(float(cost_and_gradient(problem, epoch.params)[0]))
    assert epochs[3].cost < epochs[0].cost
    assert [epoch.number for epoch in epochs] == [0, 1, 2, 3]
    assert [epoch.stopped for epoch in epochs] == ["", "", "", "max_num_epochs reached"]
    for channel in CHANNELS:
        assert_array_equal(epochs[3].params[channel], params[channel])


def test_staircase():
    schedule = staircase(0.1, 0.5, 3)
    assert_allclose([schedule(i) for i in range(8)], 0.1 * 0.5 ** np.repeat([0, 1, 2], 3)[:8])


def test_without_updates_there_is_the_start_only():
    (epoch,) = run(max_epochs=0)
    assert (epoch.number, epoch.stopped, epoch.failed) == (0, "max_num_epochs reached", False)


def test_patience_stops_the_training():
    epochs = run(optimizer="sgd", learning_rate=0.3, scheduler_gamma=1.0, max_epochs=50, patience=4)
    best = min(epochs, key=lambda epoch: epoch.cost).number
    assert len(epochs) < 50
    assert epochs[-1].number == best + 4
    assert epochs[-1].stopped == "no lower cost within patience"


def test_a_cost_that_is_no_number_is_taken_back_and_in_the_end_stops_the_training():
    def logarithm(params: Parameters) -> jax.Array:
        return jnp.sum(jnp.log(params.local[:, 1]))

    rate = {"learning_rate": 1.0, "scheduler_gamma": 1.0}
    problem, params, settings = ready(optimizer="sgd", max_epochs=500, **rate)
    epochs = list(train(problem, params, settings, cost=cost_of_parameters(logarithm)))
    assert len(epochs) < 500
    taken_back = [remark for epoch in epochs for remark in epoch.remarks]
    assert len(taken_back) == MOST_REJECTIONS and "is not finite" in taken_back[0]
    assert [epoch.failed for epoch in epochs] == [False] * (len(epochs) - 1) + [True]
    why = "the cost or its gradient is not finite: the term plain of the cost is nan"
    assert epochs[-1].stopped == why
    assert np.isfinite([epoch.cost for epoch in epochs[:-1]]).all()


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd", "lbfgs"])
def test_training_the_long_range_part_keeps_every_system_neutral(optimizer):
    rng = np.random.default_rng(3)
    systems = [random_system(rng, ("Ga", "As", "As")), random_system(rng, ("In", "As"))]
    bundle = bundle_of(
        rng, *systems, train_long_range=True, max_epochs=5, optimizer=optimizer, **TRAINING
    )
    problem = build_problem(bundle)
    params = initial_params(bundle, problem)
    last = list(train(problem, params, bundle.settings, cost=cheap_cost))[-1]
    before, after = (problem.composition @ p["long_range"] for p in (params, last.params))
    assert_allclose(after, before, atol=1e-12)
    assert float(jnp.abs(last.params["long_range"] - params["long_range"]).min()) > 1e-3


@pytest.mark.parametrize("channel", CHANNELS)
def test_a_channel_moves_only_when_it_is_trained(channel):
    switches = {f"train_{channel}": True, "spin_orbit": True, "strain": True}
    epochs = run(max_epochs=2, **switches)
    start, last = epochs[0].params, epochs[-1].params
    for name in ("local", *CHANNELS):
        moved = float(jnp.abs(last[name] - start[name]).max())
        assert (moved > 1e-3) == (name in ("local", channel)), name
    assert set(epochs[0].gradient_norms) == {"local", channel}


def test_training_moves_a_network_and_not_its_batch_statistics():
    epochs = run(max_epochs=2, model="Net_relu_bn", hidden_layers=(3,))
    start, last = epochs[0].params["local"], epochs[-1].params["local"]
    jax.tree.map(assert_array_equal, last["batch_stats"], start["batch_stats"])
    changes = jax.tree.map(
        lambda a, b: float(jnp.abs(a - b).max()), start["params"], last["params"]
    )
    assert min(jax.tree.leaves(changes)) > 1e-3


def test_the_step_is_traced_once():
    traces = []

    def counted(params: Parameters) -> jax.Array:
        traces.append(1)
        return distance(params)

    cost = cost_of_parameters(counted)
    assert len(list(train(*ready(max_epochs=30), cost=cost))) == 31
    assert len(traces) == 1


def test_training_can_go_on_from_an_optimiser_state():
    problem, params, settings = ready(max_epochs=6)
    whole = list(train(problem, params, settings, cost=cheap_cost))
    middle = whole[3]
    again = list(
        train(problem, middle.params, settings, lambda _: middle.optimizer_state, cheap_cost)
    )
    jax.tree.map(lambda a, b: assert_allclose(a, b, rtol=1e-13), again[3].params, whole[6].params)


def test_what_transforms_no_gradients_is_refused():
    problem, _, settings = ready(optimizer="lbfgs")
    with pytest.raises(ValueError, match="lbfgs is no transformation"):
        make_optimizer(settings, problem.composition)


@pytest.mark.parametrize("name", ["Net_celu_HeInit", "Net_relu_xavier_BN_dropout"])
def test_regression_lowers_its_cost(name):
    q = jnp.linspace(0.0, 8.0, 64)
    curves = analytic_curves(q, jnp.stack([jnp.exp(-q), -2.0 * jnp.exp(-(q**2))], axis=1))
    assert set(np.asarray(curves.weights)[np.asarray(q) <= 1.0]) == {10.0}
    model = NetworkModel(name, (12, 12), 2)
    variables = jax.tree.map(lambda x: x.astype("float64"), model.init(jax.random.key(0)))
    settings = Settings(
        model=name,
        hidden_layers=(12, 12),
        n_systems=1,
        init_epochs=250,
        init_learning_rate=0.02,
        init_scheduler_gamma=0.7,
        init_plot_every=100,
    )
    stages = list(fit_curves(model, variables, curves, settings))
    assert [stage.epoch for stage in stages] == [100, 200, 250]
    assert [len(stage.costs) for stage in stages] == [100, 100, 50]
    assert float(stages[-1].costs[-1]) < 0.05 * float(stages[0].costs[0])
    if model.spec.batch_norm:
        assert float(jnp.abs(stages[-1].variables["batch_stats"]["norm_0"]["mean"]).max()) > 0.01
