"""Priors on v(q) and on coefficients: their formulas, their scale, and where they act."""

from dataclasses import dataclass, replace
from functools import partial

import bundle_samples
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose
from samples import TRAINING, bundle_of, random_system, slope
from scipy.integrate import quad

from deeppseudopot_jax import build_problem, initial_params, read_bundle, training_cost
from deeppseudopot_jax.costs.choice import monte_carlo_cost
from deeppseudopot_jax.costs.interface import Evaluated
from deeppseudopot_jax.files.results.transform import real_space_potential
from deeppseudopot_jax.run.checks.idle import remarks
from deeppseudopot_jax.run.checks.plan import plan_of
from deeppseudopot_jax.run.outputs import Outputs
from deeppseudopot_jax.run.workflows import run

PRIORS = {"prior_roughness": 0.02, "prior_range": 0.3, "prior_width": 50.0}
CHANNELS = {"spin_orbit": True, "train_spin_orbit": True, "train_nonlocal": True}
NETWORK = {"model": "Net_celu_HeInit_decayGaussian", "hidden_layers": (4,), "gaussian_std": 2.0}
MONTE_CARLO = {"monte_carlo": True, "mc_iterations": 5, "mc_fraction": 0.1, "mc_beta": 2.0}


def made(seed: int = 3, changes=(), **settings):
    rng = np.random.default_rng(seed)
    bundle = bundle_of(rng, random_system(rng), **settings)
    return replace(bundle, **dict(changes))


def terms_of(bundle, problem=None) -> dict:
    cost = training_cost(bundle, problem or build_problem(bundle))
    return dict(zip(cost.names, cost.parts, strict=True))


def value(term, problem, params) -> float:
    return float(jnp.sum(term.residuals(problem, params, Evaluated([])) ** 2))


def weight_of(bundle) -> float:
    return sum(system.level_weights.sum() for system in bundle.systems)


@dataclass(frozen=True)
class Gaussians:
    """v(r) = A / ((2 pi)^(3/2) w^3) exp(-r^2 / (2 w^2)), whose v(q) is A exp(-w^2 q^2 / 2)."""

    width: float

    def apply(self, amplitudes, q):
        return jnp.exp(-0.5 * (self.width * q[:, None]) ** 2) * amplitudes[None, :]

    def parameter_shapes(self):
        return jax.ShapeDtypeStruct((2,), float)


def with_gaussians(bundle, width, amplitudes):
    problem = build_problem(bundle)
    params = initial_params(bundle, problem).updated({"local": jnp.asarray(amplitudes)})
    channels = replace(problem.channels, local=Gaussians(width))
    return replace(problem, channels=channels), params


def test_roughness_is_the_weighted_integral_of_the_curvature():
    bundle = made(prior_roughness=0.02)
    width, amplitudes = 0.8, np.array([-50.0, 20.0])
    problem, params = with_gaussians(bundle, width, amplitudes)

    def integrand(q: float) -> float:
        curvature = (width**4 * q**2 - width**2) * np.exp(-0.5 * (width * q) ** 2)
        return (1.0 + q**4) * curvature**2

    roughness = np.mean(amplitudes**2) * quad(integrand, 0.0, 12.0)[0]
    expected = 0.02**2 * weight_of(bundle) * roughness / 4e4
    found = value(terms_of(bundle)["roughness"], problem, params)
    assert found == pytest.approx(expected, rel=0.02)  # of the second differences


def test_roughness_sees_wiggles_where_the_bands_do_not():
    bundle = made(prior_roughness=0.02)
    term = terms_of(bundle)["roughness"]
    assert len(term.matrix) <= 240
    q = np.asarray(term.q)
    far = (q > 4.0) & (q < 8.0)
    well, wiggle = -80.0 * np.exp(-(q**2)), np.where(far, np.sin(6.0 * q), 0.0)
    rough = [np.sum((np.asarray(term.matrix) @ v) ** 2) for v in (well, wiggle)]
    assert rough[1] > rough[0]
    # No row sees a straight line in q but the first: at q = 0 it is a kink of the even v(q).
    line = np.asarray(term.matrix) @ q
    assert abs(line[0]) > 0.0 and np.allclose(line[1:], 0.0)


def test_range_is_the_weighted_integral_of_the_tail():
    bundle = made(prior_range=0.3)
    width, amplitudes = 2.5, np.array([-50.0, 20.0])
    problem, params = with_gaussians(bundle, width, amplitudes)
    scale = ((2.0 * np.pi) ** 1.5 * width**3) ** -1

    def integrand(r: float) -> float:
        v = scale * np.exp(-0.5 * (r / width) ** 2)
        return 4.0 * np.pi * (r * (r / 5.0 - 1.0) * v) ** 2

    tail = np.mean(amplitudes**2) * quad(integrand, 5.0, 12.0)[0]
    term = terms_of(bundle)["range"]
    assert len(term.matrix) <= 40
    found = value(term, problem, params)
    assert found == pytest.approx(0.3**2 * weight_of(bundle) * tail / 30.0, rel=1e-3)
    compact = replace(problem, channels=replace(problem.channels, local=Gaussians(0.7)))
    assert value(term, compact, params) < 1e-6 * found


def test_range_looks_at_the_potential_that_is_exported():
    bundle = made(prior_range=1.0)
    problem = build_problem(bundle)
    params = initial_params(bundle, problem)
    q, r = np.linspace(0.0, 12.0, 4001), np.linspace(5.0, 12.0, 36)
    v_r = real_space_potential(q, np.asarray(problem.local.apply(params.local, jnp.asarray(q))), r)
    density = 4.0 * np.pi * ((r * (r / 5.0 - 1.0))[:, None] * v_r) ** 2
    expected = weight_of(bundle) * np.trapezoid(density, r, axis=0).mean() / 30.0
    assert value(terms_of(bundle)["range"], problem, params) == pytest.approx(expected, rel=1e-3)


def literal_width(bundle, rows, columns, steps) -> float:
    start, found = bundle.coefficients[:, columns], rows[:, columns]
    floor = 0.1 * np.abs(start)
    kept = np.hypot(start, floor) * np.sinh(np.arcsinh(found / floor) - np.arcsinh(start / floor))
    keeps_sign = np.isin(columns, [0, 1, 2, 3, 5])
    distance = np.where(keeps_sign, kept, found - start) / steps[:, columns]
    return 0.05**2 * weight_of(bundle) * np.sum((distance / 50.0) ** 2) / len(bundle.species)


@pytest.mark.parametrize("with_files", [False, True])
def test_width_is_the_distance_from_the_start_in_steps(with_files):
    given = np.random.default_rng(1).uniform(0.01, 0.1, size=(2, 9))
    bundle = made(**CHANNELS, prior_width=50.0)
    steps = given if with_files else 0.01 * np.abs(bundle.coefficients)
    if with_files:
        bundle = replace(bundle, step_sizes=given)
    problem = build_problem(bundle)
    params = initial_params(bundle, problem)
    term = terms_of(bundle)["width"]
    assert value(term, problem, params) == 0.0
    moved = jax.tree.map(lambda leaf: 1.3 * leaf - 0.2, params)
    rows = 1.3 * bundle.coefficients - 0.2
    columns = [0, 1, 2, 3, 5, 6, 7]  # of a4 and a8 nothing is trained
    expected = literal_width(bundle, rows, columns, steps)
    assert value(term, problem, moved) == pytest.approx(expected, rel=1e-9)
    # Close to the start, a coefficient one step away is one step away.
    near = params.updated({"spin_orbit": params.spin_orbit + 1e-3 * steps[:, 5]})
    per_step = 0.05**2 * weight_of(bundle) * 1e-6 / 50.0**2  # mean over species
    assert value(term, problem, near) == pytest.approx(per_step, rel=2e-3)


def test_width_keeps_the_sign_of_spin_orbit_and_lets_the_nonlocal_part_turn_round():
    bundle = made(**CHANNELS, prior_width=100.0)
    problem = build_problem(bundle)
    params, term = initial_params(bundle, problem), terms_of(bundle)["width"]

    def in_width(factor: float, channel: str) -> float:
        changed = params.updated({channel: factor * params[channel]})
        return (value(term, problem, changed) / weight_of(bundle)) ** 0.5 / 0.05

    signed, free = (partial(in_width, channel=name) for name in ("spin_orbit", "nonlocal"))
    assert signed(5.0) == pytest.approx(2.4, rel=0.02)
    assert signed(0.2) == pytest.approx(signed(5.0), rel=0.1)
    assert signed(0.0) > 9.0 and signed(-1.0) > 100.0
    assert free(5.0) == pytest.approx(4.0 * 2**0.5)  # of two columns
    assert free(-1.0) == pytest.approx(2.0 * 2**0.5)


def test_width_of_what_starts_at_zero():
    coefficients = made().coefficients.copy()
    coefficients[0, 5], coefficients[:, 6] = 0.0, 0.0
    step_sizes = np.zeros((2, 9))  # steps of 0 tell nothing of widths
    parts = {"coefficients": coefficients, "step_sizes": step_sizes}
    term = terms_of(made(changes=parts, **CHANNELS, prior_width=100.0))["width"]
    spin_orbit, nonlocal_ = term.columns.index(5), term.columns.index(6)
    assert_allclose(term.floor[0, spin_orbit], np.abs(coefficients[:, 5]).mean())
    assert_allclose(term.floor[:, nonlocal_], 1.0)
    assert np.isfinite(term.slope).all()


def test_width_of_a_network_is_that_of_its_channels():
    assert terms_of(made(**NETWORK, **CHANNELS, **PRIORS))["width"].columns == (5, 6, 7)
    bundle = made(**NETWORK, **CHANNELS, **PRIORS, train_long_range=True)
    problem = build_problem(bundle)
    term = terms_of(replace(bundle, coefficients=None))["width"]
    assert term.columns == (4, 5, 6, 7) and not term.start.any()
    moved = initial_params(bundle, problem)
    expected = term.slope * jnp.asarray(bundle.coefficients[:, 4:8])
    found = term.residuals(problem, moved, Evaluated([]))
    assert_allclose(found, expected.ravel(), rtol=1e-12)
    assert "width" not in terms_of(made(**NETWORK, **PRIORS))


@pytest.mark.parametrize("change", ["k_points", "weights"])
def test_priors_weigh_as_much_as_all_levels_together(change):
    bundle = made(**CHANNELS, **PRIORS)
    (system,) = bundle.systems
    doubled = (
        {name: np.repeat(getattr(system, name), 2, axis=0)
         for name in ("k_points", "k_weights", "reference_energies")}
        if change == "k_points"
        else {"k_weights": 2.0 * system.k_weights}
    )  # fmt: skip
    more = replace(bundle, systems=(replace(system, **doubled),))
    values = []
    for each in (bundle, more):
        problem = build_problem(each)
        params = jax.tree.map(lambda leaf: 1.1 * leaf, initial_params(each, problem))
        (target,) = problem.targets
        evaluated = Evaluated([target.reference + 0.1])
        values.append(training_cost(each, problem).values(problem, params, evaluated))
    assert_allclose(values[1], 2.0 * values[0], rtol=1e-9)


@pytest.mark.parametrize("settings", [pytest.param({}, marks=pytest.mark.exhaustive), NETWORK])
def test_gradients_are_those_of_finite_differences(settings):
    bundle = made(**settings, **CHANNELS, **PRIORS)
    problem = build_problem(bundle)
    params = initial_params(bundle, problem)
    params = params.updated({"spin_orbit": params.spin_orbit * jnp.array([0.0, -1.5])})
    leaves, tree = jax.tree.flatten(params)
    keys = jax.random.split(jax.random.key(0), len(leaves))
    steps = [1e-2 * jax.random.normal(k, x.shape, x.dtype) for k, x in zip(keys, leaves, strict=1)]
    for name in ("roughness", "range", "width"):
        term = terms_of(bundle, problem)[name]

        def along(t, term=term):
            moved = tree.unflatten([x + t * dx for x, dx in zip(leaves, steps, strict=True)])
            return jnp.sum(term.residuals(problem, moved, Evaluated([])) ** 2)

        assert_allclose(jax.grad(along)(0.0), slope(along), rtol=1e-6)


def test_single_precision():
    bundle = made(**CHANNELS, **PRIORS)
    double, single = (build_problem(bundle, precision=p) for p in ("float64", "float32"))
    for name in PRIORS:
        name = name.removeprefix("prior_")
        found = []
        for problem in (double, single):
            params = jax.tree.map(lambda leaf: 1.1 * leaf, initial_params(bundle, problem))
            term = terms_of(bundle, problem)[name]
            residuals = term.residuals(problem, params, Evaluated([]))
            assert residuals.dtype == problem.dtype
            found.append(np.asarray(residuals, np.float64))
        assert_allclose(found[1], found[0], atol=1e-4 * np.abs(found[0]).max())


def test_at_zero_a_key_leaves_the_cost_as_it_is():
    off = dict.fromkeys(PRIORS, 0.0)
    plain, zero = made(**CHANNELS), made(**CHANNELS, **off)
    problem = build_problem(plain)
    one, other = training_cost(plain, problem), training_cost(zero, problem)
    assert one == other and one.names == ("bands",)


def test_monte_carlo_of_a_network_has_them_and_that_of_coefficients_has_not():
    network = made(**NETWORK, **MONTE_CARLO, **PRIORS, **CHANNELS)
    names = monte_carlo_cost(network, None, build_problem(network)).names
    assert names == ("bands", "roughness", "range")
    coefficients = made(**MONTE_CARLO, **PRIORS)
    names = monte_carlo_cost(coefficients, None, build_problem(coefficients)).names
    assert names == ("bands",)


def about(key: str, **settings) -> str:
    """The reason why a key does not act, or empty."""
    for remark in remarks(plan_of(made(**settings))):
        keys, _, reason = remark.removeprefix("no effect of ").partition(": ")
        if key in keys.split(", "):
            return reason
    return ""


TRAINED = TRAINING | {"max_epochs": 2}


def test_keys_without_effect_are_told():
    for key in PRIORS:
        assert "nothing is trained" in about(key, **PRIORS)
        assert "has no priors" in about(key, **PRIORS, **MONTE_CARLO)
        assert not about(key, **PRIORS, **TRAINED)
        assert not about(key, **{key: 0.0})
    for mode in (TRAINED, MONTE_CARLO):
        reasons = [about(key, **PRIORS, **mode, **NETWORK) for key in PRIORS]
        assert reasons == ["", "", "no coefficient is trained."]
    assert not about("prior_width", **PRIORS, **TRAINED, **NETWORK, **CHANNELS)


def test_steps_of_monte_carlo_act_where_they_measure_widths():
    steps = {"step_sizes": np.ones((2, 9))}
    assert not about("*ParamSteps.par", changes=steps, **PRIORS, **TRAINED)
    assert "no Monte Carlo" in about("*ParamSteps.par", changes=steps, **TRAINED)
    assert "no Monte Carlo" in about("*ParamSteps.par", changes=steps, **PRIORS)


@pytest.mark.parametrize("key", PRIORS)
def test_negative_values_are_refused(tmp_path, key):
    base = bundle_samples.GOOD["NN_config.par"]
    (problem,) = bundle_samples.problems(tmp_path, NN_config=f"{base}{key} = -0.1\n")
    assert problem.startswith(f"NN_config.par:4: bad value of {key}")
    assert "found '-0.1'; legal: a number >= 0" in problem


def test_a_run_with_priors_names_them_in_its_files(tmp_path, monkeypatch):
    monkeypatch.setattr(Outputs, "save", lambda *_: None)
    config = (
        "nSystem = 1\nPPmodel = ZeroFunction\nnQGrid = 64\nnRGrid = 32\noptimizer_lr = 0.01\n"
        "schedulerStep = 1\nscheduler_gamma = 1\nplotEvery = 1\nmax_num_epochs = 2\nmovie = 0\n"
        "prior_roughness = 0.003\nprior_range = 0.1\nprior_width = 1200\n"
    )
    coefficients = {f"init_{x}Params": "5\n2\n3\n0.4\n0\n0\n0\n0\n0\n" for x in ("Zn", "S")}
    inputs = bundle_samples.write(tmp_path / "inputs", NN_config=config, **coefficients)
    run(inputs, tmp_path / "results")
    text = (tmp_path / "results" / "final_training_cost.dat").read_text().splitlines()
    assert text[0] == "# epoch cost bands roughness range width"
    first, *_, last = np.loadtxt(tmp_path / "results" / "final_training_cost.dat")
    assert first[5] == 0.0 and last[5] > 0.0 and last[1] < first[1]
    assert_allclose(first[2:].sum(), first[1], rtol=1e-9)
    assert ", width" in (tmp_path / "results" / "run.log").read_text()
    assert not any("prior_" in remark for remark in remarks(plan_of(read_bundle(inputs))))
