"""Analytic form factors: Zunger's form, the long-range tail, the strain channel."""

import jax
import jax.numpy as jnp
import literal
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from samples import GAMMA, bundle_of, random_coefficients, random_system

from deeppseudopot_jax import build_problem, form_factors, initial_params
from deeppseudopot_jax.potentials.long_range import long_range_tail
from deeppseudopot_jax.potentials.strain import strain_factor
from deeppseudopot_jax.potentials.zunger import ZungerModel, zunger_form

Q = np.concatenate([[0.0, 1e-8, 1e-3], np.linspace(0.05, 14.0, 57)])


@pytest.mark.parametrize("seed", range(3))
def test_zunger_is_the_literal_form(seed):
    coefficients = random_coefficients(np.random.default_rng(seed), 3)[:, :4]
    expected = np.stack([literal.zunger(Q, row) for row in coefficients], axis=1)
    found = zunger_form(jnp.asarray(Q), jnp.asarray(coefficients))
    assert_allclose(found, expected, rtol=1e-12, atol=1e-14)
    assert np.abs(expected).max() > 1.0
    assert_array_equal(ZungerModel(3).apply(jnp.asarray(coefficients), jnp.asarray(Q)), found)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("a3", [0.4, 5.0, 0.0, -0.05, -5.0])
def test_zunger_at_large_q_neither_overflows_nor_gives_nan(dtype, a3):
    coefficients = jnp.array([[-10.0, 2.0, 3.0, a3]], dtype)
    q = jnp.array([0.0, 1.0, 5.0, 12.0, 30.0, 200.0], dtype)
    value, pull_back = jax.vjp(zunger_form, q, coefficients)
    assert value.dtype == dtype
    for array in (value, *pull_back(jnp.ones_like(value))):
        assert bool(jnp.all(jnp.isfinite(array)))
    if a3 > 0:
        assert abs(float(value[-1, 0])) < 1e-25


@pytest.mark.parametrize("a4", [0.15, -2.0])
def test_long_range_tail_is_the_literal_one(a4):
    q = np.concatenate([Q, [1e-4, 1.01e-4]])
    expected = literal.long_range(q, a4, GAMMA)
    found = long_range_tail(jnp.asarray(q), jnp.array([a4, 0.0]), GAMMA)
    assert_allclose(found[:, 0], expected, rtol=1e-12, atol=1e-300)
    assert_array_equal(found[:, 1], 0.0)


def test_long_range_tail_vanishes_at_small_q_with_finite_gradients():
    q = jnp.array([0.0, 1e-5, 1e-4])
    value, pull_back = jax.vjp(lambda q, a4: long_range_tail(q, a4, GAMMA), q, jnp.array([0.3]))
    assert_array_equal(value, 0.0)
    for gradient in pull_back(jnp.ones_like(value)):
        assert_array_equal(gradient, 0.0)


def test_long_range_tail_is_coulomb_at_small_q():
    q = jnp.array([0.01])
    assert_allclose(
        long_range_tail(q, jnp.array([0.5]), GAMMA), [[-0.5 * 4.0 * np.pi / 1e-4]], rtol=1e-3
    )


def test_strain_factor():
    a8 = jnp.array([0.4, -0.1])
    expected = [literal.strain_factor(float(a), 1.02**3) for a in a8]
    assert_allclose(strain_factor(a8, jnp.asarray(1.02**3)), expected, rtol=1e-14)
    assert_array_equal(strain_factor(a8, jnp.asarray(1.0)), 1.0)


def test_form_factors_are_the_short_range_form_plus_the_tail():
    rng = np.random.default_rng(1)
    bundle = bundle_of(rng, random_system(rng), long_range_gamma=0.35)
    problem = build_problem(bundle)
    found = form_factors(problem, initial_params(bundle, problem), jnp.asarray(Q))
    for column, row in enumerate(bundle.coefficients):
        expected = literal.zunger(Q, row) + literal.long_range(Q, row[4], 0.35)
        assert_allclose(found[:, column], expected, rtol=1e-12, atol=1e-13)
