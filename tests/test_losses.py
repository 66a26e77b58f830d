"""The cost: band errors, their relative form, both penalties on v(q)."""

import dataclasses

import jax
import jax.numpy as jnp
import literal
import numpy as np
import pytest
from samples import bands, bundle_of, cost_and_gradient, random_system

from deeppseudopot_jax import build_problem, initial_params, loss
from deeppseudopot_jax.costs.bands import band_residuals, cost_of_bands
from deeppseudopot_jax.costs.interface import Evaluated
from deeppseudopot_jax.costs.penalties import magnitude_penalty, tail_penalty


def ready(*systems, seed: int = 0, **settings: object) -> tuple:
    """The bundle of some systems, its problem and its start parameters."""
    bundle = bundle_of(np.random.default_rng(seed), *systems, **settings)
    problem = build_problem(bundle)
    return bundle, problem, initial_params(bundle, problem)


whole_loss = jax.jit(loss)


def band_loss(energies, target) -> jax.Array:
    """The squares of one system's band errors."""
    return jnp.sum(band_residuals(energies, target) ** 2)


def potential(bundle, problem, params):
    """v(q) of the short-range model for the literal penalties."""
    if bundle.settings.trains_coefficients:
        return lambda q: np.stack([literal.zunger(q, row) for row in bundle.coefficients])
    return lambda q: np.asarray(problem.local.apply(params.local, jnp.asarray(q)))


@pytest.mark.parametrize("relative_band", [None, 0, 4])
def test_band_loss_is_the_literal_sum_over_systems(relative_band):
    rng = np.random.default_rng(1)
    systems = [
        random_system(rng, relative_band=relative_band),
        random_system(rng, ("P",), n_k=3, n_bands=4),
    ]
    _, problem, params = ready(*systems)
    found = float(whole_loss(problem, params))
    energies = [np.asarray(e) for e in bands(problem, params)]
    expected = [
        literal.band_loss(e, s.reference_energies, s.k_weights, s.band_weights, s.relative_band)
        for e, s in zip(energies, systems, strict=True)
    ]
    assert min(expected) > 1.0
    assert found == pytest.approx(sum(expected), rel=1e-12)
    each = [
        float(band_loss(jnp.asarray(e), t)) for e, t in zip(energies, problem.targets, strict=True)
    ]
    assert each == pytest.approx(expected, rel=1e-12)


def test_the_relative_form_forgets_a_shift_and_the_band_itself():
    system = random_system(np.random.default_rng(2), relative_band=2)
    _, problem, _ = ready(system)
    reference = jnp.asarray(system.reference_energies)
    assert float(band_loss(reference + 3.7, problem.targets[0])) == pytest.approx(0.0, abs=1e-20)
    assert float(band_loss(reference.at[:, 1].add(1.0), problem.targets[0])) == pytest.approx(
        float(system.band_weights[1] * system.k_weights.sum())
    )


def test_without_reference_energies_there_is_nothing_to_fit():
    rng = np.random.default_rng(3)
    system = random_system(rng, reference_energies=None, name="no data")
    _, *case = ready(system)
    with pytest.raises(ValueError, match="no data: no reference energies"):
        whole_loss(*case)


NETWORK = {"model": "Net_celu_HeInit", "hidden_layers": (5,)}


@pytest.mark.parametrize("model", [{}, NETWORK])
@pytest.mark.parametrize(("start", "strength"), [(0.5, 2.0), (6.0, 1e3), (11.9, 1.0)])
def test_tail_penalty_is_the_literal_one(model, start, strength):
    system = random_system(np.random.default_rng(4))
    case = ready(system, tail_start=start, tail_strength=strength, **model)
    expected = literal.tail_penalty(potential(*case), 1, start, strength)
    assert expected > 0
    assert float(tail_penalty(*case[1:])) == pytest.approx(expected, rel=1e-11)


@pytest.mark.parametrize("model", [{}, NETWORK])
@pytest.mark.parametrize("threshold", [0.01, 1.0, 2.5])
def test_magnitude_penalty_is_the_literal_one(model, threshold):
    system = random_system(np.random.default_rng(5))
    case = ready(system, magnitude_threshold=threshold, magnitude_strength=3.0, **model)
    expected = literal.magnitude_penalty(potential(*case), 1, threshold, 3.0)
    assert expected > 0
    assert float(magnitude_penalty(*case[1:])) == pytest.approx(expected, rel=1e-11)


@pytest.mark.parametrize("threshold", [-1e3, 0.0, 1e3, 1e12])
@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_magnitude_penalty_is_finite_for_any_threshold(threshold, precision):
    rng = np.random.default_rng(6)
    bundle = bundle_of(
        rng, random_system(rng), magnitude_threshold=threshold, magnitude_strength=1.0
    )
    problem = build_problem(bundle, precision=precision)
    params = initial_params(bundle, problem)
    value, gradient = jax.value_and_grad(magnitude_penalty, argnums=1)(problem, params)
    assert np.isfinite(value)
    assert all(bool(jnp.all(jnp.isfinite(leaf))) for leaf in jax.tree.leaves(gradient))
    if threshold >= 1e3:
        assert float(value) == 0.0


@pytest.mark.parametrize("strength", [0.0, -1.0])
def test_penalties_without_strength_are_off(strength):
    system = random_system(np.random.default_rng(7))
    settings = {
        "tail_start": 1.0,
        "tail_strength": strength,
        "magnitude_threshold": 0.1,
        "magnitude_strength": strength,
    }
    _, *without = ready(system)
    assert whole_loss(*ready(system, **settings)[1:]) == whole_loss(*without)


def test_penalties_count_once_per_k_point_of_all_systems():
    rng = np.random.default_rng(8)
    systems = [random_system(rng), random_system(rng, n_k=3)]
    both = {"tail_start": 1.0, "tail_strength": 5.0, "magnitude_threshold": 0.1}
    _, problem, params = ready(*systems, **both, magnitude_strength=7.0)
    found = float(whole_loss(problem, params))
    levels = bands(problem, params)
    fit = sum(float(band_loss(e, t)) for e, t in zip(levels, problem.targets, strict=True))
    penalties = float(tail_penalty(problem, params) + magnitude_penalty(problem, params))
    assert penalties > 1e-3 * fit
    assert found == pytest.approx(fit + 5 * penalties, rel=1e-12)
    assert found == pytest.approx(
        float(cost_of_bands(problem)(problem, params, Evaluated(levels))), rel=1e-12
    )


def test_weights_are_not_renormalised():
    rng = np.random.default_rng(9)
    system = random_system(rng)
    double = dataclasses.replace(system, k_weights=2.0 * system.k_weights)
    bundle = bundle_of(rng, system)
    problem = build_problem(bundle)
    params = initial_params(bundle, problem)
    doubled = build_problem(dataclasses.replace(bundle, systems=(double,)))
    found = [float(cost_and_gradient(p, params)[0]) for p in (problem, doubled)]
    assert found[1] == pytest.approx(2.0 * found[0], rel=1e-13)
