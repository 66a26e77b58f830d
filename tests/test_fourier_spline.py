"""Fourier features and splines: literal references, smoothness, checkpoints, fits, whole runs."""

import jax
import jax.numpy as jnp
import literal
import numpy as np
import optax
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from samples import bundle_of, random_system, slope
from scipy.interpolate import BSpline
from test_workflows import FIT, TRAINING, log_of, make_inputs

from deeppseudopot_jax import build_problem, energies, initial_params
from deeppseudopot_jax.files.bundle import read_bundle
from deeppseudopot_jax.files.torch_pickle import read_state_dict
from deeppseudopot_jax.montecarlo.network_moves import MODES, network_move
from deeppseudopot_jax.potentials.catalogue import ModelOptions
from deeppseudopot_jax.potentials.networks import NetworkModel, network_model
from deeppseudopot_jax.potentials.state_dict import from_state_dict, to_state_dict
from deeppseudopot_jax.run.workflows import run
from deeppseudopot_jax.settings import Settings
from deeppseudopot_jax.training.adam_state import from_torch_adam, to_torch_adam
from deeppseudopot_jax.training.regression import Curves, analytic_curves, fit_curves
from deeppseudopot_jax.training.trainable import merge, split

KEY = jax.random.key(4)
FOURIER = ["Net_fourier_celu_HeInit_decayGaussian", "Net_fourier_tanh_xavier_decayGaussian"]
MODELS = [*FOURIER, "BSpline"]
LENGTHS = [2.0, 4.0, 6.0, 8.0]  # Bohr
END, N_KNOTS = 6.0, 13  # knots every half Bohr^-1
OPTIONS = ModelOptions(
    gaussian_std=2.0, n_frequencies=4, model_range=8.0, n_knots=N_KNOTS, largest_q=END
)
SPLINE = NetworkModel("BSpline", (), 2, OPTIONS)
Q = np.linspace(0.0, 7.0, 57)  # knots, points between them, and beyond the end


def model_of(name: str) -> NetworkModel:
    return NetworkModel(name, (7, 5), 2, OPTIONS)


def curve_of(model: NetworkModel, variables: dict):
    """v(q) of the first species as a function of a number."""
    return lambda q: model.apply(variables, q[None])[0, 0]


@pytest.mark.parametrize("name", FOURIER)
def test_fourier_features_are_the_literal_network(name):
    model = model_of(name)
    state = to_state_dict(model, model.init(KEY))
    prefix = "neural_network.hidden_l"
    features = [[q, *np.cos(np.multiply(q, LENGTHS)), *np.sin(np.multiply(q, LENGTHS))] for q in Q]
    expected = literal.network(
        features,
        [state[f"{prefix}.{i}.weight"] for i in range(3)],
        [state[f"{prefix}.{i}.bias"] for i in range(3)],
        name.split("_")[2],
    )
    assert state[f"{prefix}.0.weight"].shape == (7, 9)
    found = model.apply(model.init(KEY), jnp.asarray(Q))
    assert_allclose(found, expected * np.exp(-(Q[:, None] ** 2) / 8.0), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize(
    ("name", "deviation"), [(FOURIER[0], (2 / 801) ** 0.5), (FOURIER[1], (2 / 1101) ** 0.5)]
)
def test_the_first_layer_starts_as_its_number_of_features_says(name, deviation):
    options = ModelOptions(gaussian_std=2.0, n_frequencies=400, model_range=8.0)
    layer = NetworkModel(name, (300,), 2, options).init(KEY)["params"]["linear_0"]
    assert np.std(layer["kernel"]) == pytest.approx(deviation, rel=0.02)
    assert 0.9 * 801**-0.5 < np.abs(layer["bias"]).max() <= 801**-0.5


def test_splines_are_those_of_scipy():
    """The spline of the same knots, continued to q < 0 as an even function."""
    variables = SPLINE.init(KEY)
    coefficients = np.asarray(variables["params"]["linear_0"]["kernel"])
    assert coefficients.shape == (N_KNOTS - 2, 2)
    even = np.pad(np.concatenate([coefficients[:0:-1], coefficients]), ((3, 3), (0, 0)))
    beyond = 3 * END / (N_KNOTS - 1)  # SciPy's splines are whole between the third knots only
    expected = BSpline(np.linspace(-END - beyond, END + beyond, 2 * N_KNOTS + 5), even, 3)
    inside = Q <= END
    found = np.asarray(SPLINE.apply(variables, jnp.asarray(Q)))
    assert_allclose(found[inside], expected(Q[inside]), atol=1e-14)
    assert_array_equal(found[~inside], 0.0)
    first, second = jax.grad(curve_of(SPLINE, variables)), jax.hessian(curve_of(SPLINE, variables))
    for order, derivative in ((1, first), (2, second)):
        values = jax.vmap(derivative)(jnp.asarray(Q))
        assert_allclose(values[inside], expected(Q[inside], nu=order)[:, 0], atol=1e-11)


def test_splines_end_smoothly_and_are_even():
    curve = curve_of(SPLINE, SPLINE.init(KEY))
    derivatives = (curve, jax.grad(curve), jax.grad(jax.grad(curve)))
    for order, derivative in enumerate(derivatives):
        assert float(derivative(jnp.asarray(END))) == 0.0
        before = abs(float(derivative(jnp.asarray(END - 1e-4))))
        assert 0.0 < before < 1e-4 ** (2.5 - order)
        assert float(derivative(jnp.asarray(END + 1e-4))) == 0.0
    assert float(derivatives[1](jnp.asarray(0.0))) == 0.0


@pytest.mark.parametrize("name", MODELS)
def test_gradients_are_those_of_finite_differences(name):
    model = model_of(name)
    variables = model.init(KEY)
    total = lambda p: jnp.sum(jnp.cos(model.apply({"params": p}, jnp.asarray(Q))))  # noqa: E731
    parameters = variables["params"]
    direction = jax.tree.map(lambda leaf: jnp.cos(leaf * 9.0), parameters)
    moved = lambda s: jax.tree.map(lambda p, d: p + s * d, parameters, direction)  # noqa: E731
    _, found = jax.jvp(total, (parameters,), (direction,))
    assert float(found) == pytest.approx(slope(lambda s: total(moved(s)), 1e-4), rel=1e-6)
    curve = curve_of(model, variables)
    for q in (0.0, 0.5, 1.3, END):  # two knots, one between, the end
        at = jnp.asarray(q)
        assert float(jax.grad(curve)(at)) == pytest.approx(
            slope(lambda s, at=at: curve(jnp.abs(at + s)) if at > 0 else curve(at + s), 1e-4),
            rel=1e-6,
            abs=1e-7,
        )


@pytest.mark.parametrize("name", MODELS)
def test_float32_one_q_at_a_time_and_hash(name):
    model = model_of(name)
    assert hash(model) == hash(model_of(name)) and model == model_of(name)
    variables = model.init(KEY, jnp.dtype("float32"))
    q = jnp.asarray(Q, jnp.float32)
    found = model.apply(variables, q)
    assert found.dtype == jnp.float32
    one_by_one = jax.jit(jax.vmap(lambda x: model.apply(variables, x[None])[0]))(q)
    assert_allclose(one_by_one, found, atol=1e-6)
    double = jax.tree.map(lambda leaf: leaf.astype("float64"), variables)
    assert_allclose(found, model.apply(double, jnp.asarray(Q)), atol=2e-5)


@pytest.mark.parametrize(
    ("name", "key", "changed", "message"),
    [
        (
            FOURIER[0],
            "model_range",
            9.0,
            r"frequencies are 4 numbers \[2\. 4\. 6\. 8\.\], the inputs ask for 4 numbers "
            r"\[2\.25 4\.5  6\.75 9\.  \]",
        ),
        (FOURIER[1], "n_frequencies", 3, r"frequencies are 4 .* ask for 3 numbers .* \(7, 9\)"),
        ("BSpline", "largest_q", 7.0, r"knots are 13 .* 6\. *\], the inputs ask for 13 .* 7\. *\]"),
        ("BSpline", "n_knots", 9, r"knots are 13 .* ask for 9 numbers .* \(2, 11\)"),
    ],
)
def test_other_frequencies_and_knots_are_refused(name, key, changed, message):
    state = to_state_dict(model_of(name), model_of(name).init(KEY))
    options = ModelOptions(**(vars(OPTIONS) | {key: changed}))
    with pytest.raises(ValueError, match=message):
        from_state_dict(NetworkModel(name, (7, 5), 2, options), state)


def test_buffers_may_be_of_single_precision_but_must_be_there():
    state = to_state_dict(SPLINE, SPLINE.init(KEY))
    single = state | {"knots": state["knots"].astype(np.float32)}
    assert_array_equal(
        from_state_dict(SPLINE, single)["params"]["linear_0"]["kernel"], state["spline.0.weight"].T
    )
    del state["knots"]
    with pytest.raises(ValueError, match="knots is missing"):
        from_state_dict(SPLINE, state)


@pytest.mark.parametrize("name", MODELS)
def test_adam_moments_travel_there_and_back(name):
    model = model_of(name)
    parameters = model.init(KEY)["params"]
    optimizer = optax.adam(0.1)
    with jax.numpy_dtype_promotion("standard"):  # optax: betas to the power of the count
        _, state = optimizer.update(parameters, optimizer.init(parameters), parameters)
    moments = {"local": state[0]}
    torch_state = to_torch_adam(model, moments, 0.1)
    assert len(torch_state["state"]) == len(jax.tree.leaves(parameters))
    back = from_torch_adam(model, {"local": parameters}, torch_state)
    jax.tree.map(assert_array_equal, back, moments)


def test_splines_end_where_the_differences_of_the_largest_basis_do():
    rng = np.random.default_rng(0)
    systems = [random_system(rng, max_kinetic_energy=energy) for energy in (0.8, 1.0)]
    problem = build_problem(bundle_of(rng, *systems, model="BSpline", n_knots=9))
    assert problem.local.options == ModelOptions(n_knots=9, largest_q=2.9)  # 2 sqrt(2) = 2.83
    radii = np.concatenate([group.tables.shell_radii.ravel() for group in problem.groups])
    assert radii.max() <= 2.9
    with pytest.raises(ValueError, match="needs the key PPmodel_n_knots"):
        network_model(Settings(model="BSpline", n_systems=1), 2, 2.9)


def test_every_weight_of_a_spline_counts_and_moves():
    rng = np.random.default_rng(0)
    bundle = bundle_of(rng, random_system(rng), model="BSpline", n_knots=9)
    problem = build_problem(bundle)
    params = initial_params(bundle, problem)
    parts = split(params, ("local",))
    total = lambda t: jnp.sum(energies(problem, merge(parts._replace(trainable=t)))[0])  # noqa: E731
    gradient = jax.jit(jax.grad(total))(parts.trainable)["local"]["linear_0"]["kernel"]
    assert gradient.shape == (7, 2) and np.isfinite(gradient).all()
    assert np.abs(gradient[:-1]).min() > 0
    kernel = params.local["params"]["linear_0"]["kernel"]
    for mode in MODES.keys() - {6, 7}:
        move = network_move(mode, 0.1, False, problem.dtype)
        proposals = [move(jax.random.key(i), params, jnp.asarray(1.0)) for i in range(5)]
        moved = [p.params.local["params"]["linear_0"]["kernel"] != kernel for p in proposals]
        assert np.any(moved)


def test_the_fit_of_a_spline_is_the_weighted_least_squares():
    q = jnp.linspace(0.0, 10.0, 2001)
    v = jnp.stack([(q**2 - 2.0) * jnp.exp(-(q**2) / 2.0), 1.0 / (1.0 + q**4)], axis=1)
    curves = analytic_curves(q, v)
    settings = Settings(model="BSpline", n_knots=N_KNOTS, n_systems=1, init_epochs=1)
    (stage,) = fit_curves(SPLINE, SPLINE.init(KEY), curves, settings)
    features = np.asarray(SPLINE.features(q))
    normal = features.T @ (np.asarray(curves.weights)[:, None] * features)
    expected = np.linalg.solve(normal, features.T @ (np.asarray(curves.weights)[:, None] * v))
    assert_allclose(stage.variables["params"]["linear_0"]["kernel"], expected, atol=1e-9)
    scale = np.linalg.svd(np.sqrt(np.asarray(curves.weights))[:, None] * features)[1]
    assert scale[-1] > 0.02 * scale[0]  # nothing is cut off
    assert stage.epoch == 1 and stage.costs.shape == stage.gradient_norms.shape == (2,)
    assert float(stage.costs[1]) < 1e-3 * float(stage.costs[0])
    assert float(stage.gradient_norms[1]) < 1e-12 * float(stage.gradient_norms[0])


def test_what_the_curves_do_not_reach_stays_zero():
    q = jnp.linspace(0.0, 3.0004, 301)
    curves = Curves(q, jnp.ones((301, 2)), jnp.ones(301))
    settings = Settings(model="BSpline", n_knots=N_KNOTS, n_systems=1, init_epochs=1)
    (stage,) = fit_curves(SPLINE, SPLINE.init(KEY), curves, settings)
    v = np.asarray(SPLINE.apply(stage.variables, jnp.asarray(Q)))
    assert np.abs(v).max() < 1.1
    assert_allclose(v[Q < 2.5], 1.0, atol=1e-3)


CONFIGS = {
    "BSpline": "PPmodel = BSpline\nPPmodel_n_knots = 12\ninit_Zunger_num_epochs = 1\n",
    **{
        name: f"PPmodel = {name}\nPPmodel_gaussian_std = 2\nhiddenLayers = 4\n"
        f"PPmodel_n_frequencies = 3\nPPmodel_range = 6\n{FIT}"
        for name in FOURIER
    },
}


@pytest.mark.parametrize(
    "name",
    [
        name if name == "BSpline" else pytest.param(name, marks=pytest.mark.exhaustive)
        for name in MODELS
    ],
)
def test_a_whole_run_and_what_can_start_from_it(tmp_path, name):
    config = CONFIGS[name] + TRAINING + "max_num_epochs = 2\n"
    folder = make_inputs(tmp_path / "inputs", config)
    run(folder, tmp_path / "results")
    log = log_of(tmp_path / "results")
    assert "fitted to the Zunger form" in log
    assert ("solved directly" in log) == (name == "BSpline")
    costs = np.loadtxt(tmp_path / "results" / "init_train_cost.dat")
    assert len(costs) == (2 if name == "BSpline" else 5)
    trained = np.loadtxt(tmp_path / "results" / "final_training_cost.dat")
    assert trained[:, 0].tolist() == [0, 1, 2] and np.ptp(trained[:, 1]) > 0
    written = read_state_dict(tmp_path / "results" / "final_PPmodel.pth")
    if name == "BSpline":
        assert_allclose(written["knots"], np.linspace(0.0, 6.4, 12))  # maxKE = 5 Ha
    else:
        assert_allclose(written["frequencies"], [2.0, 4.0, 6.0])
    for kind in ("PPmodel", "AdamState"):
        text = (tmp_path / "results" / f"final_{kind}.pth").read_bytes()
        (folder / f"init_{kind}.pth").write_bytes(text)
    bundle = read_bundle(folder)
    problem = build_problem(bundle)
    params = initial_params(bundle, problem)
    table = np.loadtxt(tmp_path / "results" / "final_qSpace_pot.dat")
    found = problem.local.apply(params.local, jnp.asarray(table[:, 0]))
    assert_allclose(found, table[:, 1:], atol=1e-6)
    changed = config.replace("_n_knots = 12", "_n_knots = 14").replace("_range = 6", "_range = 7")
    make_inputs(folder, changed)
    with pytest.raises(ValueError, match="the inputs ask for"):
        run(folder, tmp_path / "again")
    assert not (tmp_path / "again").exists()
