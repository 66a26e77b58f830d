"""The norms of a gradient that the log tells: those of jax.grad, layer by layer."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from samples import TRAINING, bundle_of, random_system

from deeppseudopot_jax import build_problem, initial_params, loss
from deeppseudopot_jax.costs.bands import cost_of_bands
from deeppseudopot_jax.potentials.state_dict import parameter_names, to_state_dict
from deeppseudopot_jax.run.stages.gradients import norms, norms_line
from deeppseudopot_jax.training.loop import train
from deeppseudopot_jax.training.regression import Curves, fit_curves
from deeppseudopot_jax.training.trainable import merge, split

NETWORK = {"model": "Net_celu_HeInit_decayGaussian", "gaussian_std": 2.0, "hidden_layers": (3,)}
LAYERS = [f"neural_network.hidden_l.{i}.{leaf}" for i in (0, 1) for leaf in ("weight", "bias")]


def ready(**settings):
    rng = np.random.default_rng(3)
    bundle = bundle_of(rng, random_system(rng, n_bands=4), **(TRAINING | settings))
    problem = build_problem(bundle)
    return problem, initial_params(bundle, problem), bundle.settings


@pytest.mark.parametrize("optimizer", ["adam", "lm"])
def test_the_norms_of_a_training_are_those_of_the_gradient(optimizer):
    channels = {"spin_orbit": True, "train_nonlocal": True}
    problem, params, settings = ready(**NETWORK, **channels, optimizer=optimizer, max_epochs=1)
    epoch = next(train(problem, params, settings, cost=cost_of_bands(problem)))
    parts = split(params, ("local", "nonlocal"))
    expected = jax.jit(jax.grad(lambda t: loss(problem, merge(parts._replace(trainable=t)))))(
        parts.trainable
    )
    found = norms(problem, epoch.gradient)
    assert list(found) == [*LAYERS, "nonlocal As", "nonlocal Ga"]
    weights = expected["local"]
    leaves = [weights[f"linear_{i}"][leaf] for i in (0, 1) for leaf in ("kernel", "bias")]
    exact = [float(jnp.linalg.norm(leaf)) for leaf in (*leaves, *expected["nonlocal"])]
    np.testing.assert_allclose(list(found.values()), exact, rtol=1e-6)
    total = np.hypot(*epoch.gradient_norms.values())
    np.testing.assert_allclose(np.linalg.norm(list(found.values())), total, rtol=1e-6)
    line = norms_line(problem, epoch.gradient)
    assert line.startswith(f"  gradient norms: {LAYERS[0]} {exact[0]:.3e}, ")


def test_of_a4_least_squares_tells_what_leaves_the_systems_neutral():
    """The gradient along the direction in which a4 may move, in every species."""
    problem, params, settings = ready(optimizer="lm", train_long_range=True, max_epochs=1)
    epoch = next(train(problem, params, settings, cost=cost_of_bands(problem)))
    gradient = np.asarray(epoch.gradient["long_range"])
    assert abs(np.asarray(problem.composition)[0] @ gradient) < 1e-9 * np.abs(gradient).max()
    assert np.linalg.norm(gradient) == pytest.approx(epoch.gradient_norms["long_range"])


def test_the_norms_of_the_initial_fit_are_those_of_its_last_epoch():
    fit = {"init_epochs": 3, "init_learning_rate": 1e-3, "init_scheduler_gamma": 1.0}
    problem, params, settings = ready(**NETWORK, **fit, init_plot_every=2)
    q = jnp.linspace(0.0, 5.0, 20)
    curves = Curves(q, jnp.stack([-jnp.exp(-q), jnp.exp(-q)], axis=1), jnp.ones(20))
    first, second = fit_curves(problem.local, params.local, curves, settings)

    def cost(weights: dict) -> jax.Array:
        v = problem.local.apply({"params": weights}, q)
        return jnp.mean((v - curves.v) ** 2)

    exact = jax.grad(cost)(first.variables["params"])  # where the third epoch begins
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9), second.gradient, exact)
    total = np.linalg.norm(list(norms(problem, {"local": second.gradient}).values()))
    np.testing.assert_allclose(total, second.gradient_norms[-1], rtol=1e-9)


@pytest.mark.parametrize("model", ["Net_relu_bn", "BSpline", "Net_celu_HeInit_decayGaussian"])
def test_every_weight_has_its_name_in_a_state_dict(model):
    settings = {"n_knots": 5} if model == "BSpline" else {"hidden_layers": (3, 2)}
    settings |= {"gaussian_std": 2.0} if "Gaussian" in model else {}
    problem, params, _ = ready(model=model, **settings)
    state, weights = to_state_dict(problem.local, params.local), params.local["params"]
    names = parameter_names(problem.local)
    assert {layer: set(leaves) for layer, leaves in names.items()} == {
        layer: set(leaves) for layer, leaves in weights.items()
    }
    for layer, leaves in names.items():
        for leaf, name in leaves.items():
            assert state[name].size == weights[layer][leaf].size
