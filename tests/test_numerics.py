"""The small numerical tools: guarded divisions, Chebyshev expansions, quadrature, padding."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from deeppseudopot_jax.numerics import (
    chebyshev_basis,
    fit_chebyshev,
    gauss_legendre,
    pad_rows,
    repeat_last,
    safe_divide,
    safe_norm,
)


def test_safe_divide_is_the_quotient_where_it_may_divide():
    numerator, denominator = jnp.array([1.0, 2.0, 3.0]), jnp.array([2.0, 0.0, -4.0])
    assert_array_equal(safe_divide(numerator, denominator, denominator != 0), [0.5, 0.0, -0.75])


def test_safe_divide_has_finite_derivatives_at_zero():
    def total(numerator, denominator):
        return jnp.sum(safe_divide(numerator, denominator, denominator > 0))

    zeros = jnp.zeros(2)
    for gradient in jax.grad(total, argnums=(0, 1))(zeros + 1.0, zeros):
        assert_array_equal(gradient, 0.0)
    at_zero_over_zero = jax.grad(lambda x: jnp.sum(safe_divide(x, x**2, x > 0)))(zeros)
    assert_array_equal(at_zero_over_zero, 0.0)


def test_safe_norm_and_its_gradient():
    vectors = jnp.array([[3.0, 4.0, 12.0], [0.0, 0.0, 0.0]])
    assert_array_equal(safe_norm(vectors), [13.0, 0.0])
    gradient = jax.grad(lambda v: jnp.sum(safe_norm(v)))(vectors)
    assert_allclose(gradient[0], vectors[0] / 13.0, rtol=1e-15)
    assert_array_equal(gradient[1], 0.0)
    second = jax.hessian(lambda v: safe_norm(v))(vectors[1])
    assert bool(jnp.all(jnp.isfinite(second)))


@pytest.mark.parametrize("n", [1, 2, 5, 16])
def test_gauss_legendre_is_exact_for_polynomials(n):
    nodes, weights = gauss_legendre(n, 3.0)
    assert np.all((nodes > 0) & (nodes < 3.0))
    for power in range(2 * n):
        assert_allclose(weights @ nodes**power, 3.0 ** (power + 1) / (power + 1), rtol=1e-12)


def test_chebyshev_basis_holds_the_polynomials():
    t = np.linspace(0.0, 7.0, 31)
    expected = np.cos(np.arange(9) * np.arccos(2.0 * t[:, None] / 7.0 - 1.0))
    assert_allclose(chebyshev_basis(jnp.asarray(t), 7.0, 9), expected, atol=1e-13)


@pytest.mark.parametrize("n_terms", [1, 2])
def test_chebyshev_basis_of_few_terms(n_terms):
    assert chebyshev_basis(jnp.array([0.5, 1.0]), 2.0, n_terms).shape == (2, n_terms)


def test_chebyshev_basis_is_nan_outside_its_interval():
    inside = jnp.isfinite(chebyshev_basis(jnp.array([-1e-9, 0.0, 2.0, 2.0 + 1e-9]), 2.0, 4)[:, 1])
    assert inside.tolist() == [False, True, True, False]


def test_fit_chebyshev_evaluates_to_the_function():
    def functions(x):
        return np.stack([np.exp(-x), np.cos(3.0 * x)], axis=-1)

    coefficients = fit_chebyshev(functions, 5.0, 1e-14)
    t = np.linspace(0.0, 5.0, 201)
    found = chebyshev_basis(jnp.asarray(t), 5.0, len(coefficients)) @ coefficients
    assert_allclose(found, functions(t), atol=1e-13)
    assert len(coefficients) < 40


def test_fit_chebyshev_refuses_what_is_not_smooth():
    with pytest.raises(ValueError, match="1024 terms"):
        fit_chebyshev(lambda x: np.abs(x - 0.3)[:, None], 1.0, 1e-14)


def test_padding():
    rows = np.arange(6).reshape(3, 2)
    assert_array_equal(pad_rows(rows, 5), [[0, 1], [2, 3], [4, 5], [0, 0], [0, 0]])
    assert_array_equal(repeat_last(rows, 5), [[0, 1], [2, 3], [4, 5], [4, 5], [4, 5]])
    assert pad_rows(rows, 3).dtype == rows.dtype
