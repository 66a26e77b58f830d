"""Radial functions of the separable channels: their kernels are the radial integrals."""

import jax
import jax.numpy as jnp
import literal
import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.special import spherical_in

from deeppseudopot_jax.hamiltonian.nonlocal_ import nonlocal_channel
from deeppseudopot_jax.hamiltonian.radial import RadialFunctions
from deeppseudopot_jax.hamiltonian.spin_orbit import spin_orbit_channel

LARGEST = 6.0  # Bohr^-1
NAMES = ("spin_orbit", "nonlocal_1", "nonlocal_2")
INTEGRALS = {
    "spin_orbit": literal.spin_orbit_integral,
    "nonlocal_1": literal.nonlocal_integral_1,
    "nonlocal_2": literal.nonlocal_integral_2,
}


def all_functions(largest: float, dtype: str = "float64") -> dict[str, RadialFunctions]:
    """The radial functions of the three integrals, for |K| up to `largest`."""
    first, second = nonlocal_channel(largest, jnp.dtype(dtype)).radial
    spin_orbit = spin_orbit_channel(largest, jnp.dtype(dtype)).radial
    return {"spin_orbit": spin_orbit, "nonlocal_1": first, "nonlocal_2": second}


@pytest.fixture(scope="module")
def functions() -> dict[str, RadialFunctions]:
    return all_functions(LARGEST)


def kernel(radial: RadialFunctions, lengths: np.ndarray) -> np.ndarray:
    """sum_p R_p(K) R_p(K') for all pairs of lengths, from wave vectors along x."""
    wave_vectors = jnp.asarray(lengths)[:, None] * jnp.array([[1.0, 0.0, 0.0]], lengths.dtype)
    values = np.asarray(radial(wave_vectors))[:, 0]
    return values.T @ values


@pytest.mark.parametrize("name", NAMES)
def test_kernel_is_the_literal_integral(functions, name):
    lengths = np.array([0.0, 1e-5, 0.03, 0.4, 1.1, 2.7, 4.4, 5.9, LARGEST])
    expected = [[INTEGRALS[name](k, kp) for kp in lengths] for k in lengths]
    assert np.max(expected) > 1e-2
    assert_allclose(kernel(functions[name], lengths), expected, atol=1e-13, rtol=1e-12)


@pytest.mark.parametrize(("name", "width"), [("spin_orbit", 0.7), ("nonlocal_1", 1.0)])
@pytest.mark.parametrize("largest", [2.0, 6.0, 12.0])
def test_kernel_is_the_closed_form(name, width, largest):
    a = np.linspace(0.0, largest, 60)
    p = 1.0 / width
    product = np.outer(a, a) / (2.0 * p**2)
    gaussian = np.exp(-(a[:, None] ** 2 + a**2) / (4.0 * p**2))
    expected = np.sqrt(np.pi) / (4.0 * p**3) * gaussian * spherical_in(1, product)
    # The closed form has no upper limit; beyond it the weight is 1e-16.
    assert_allclose(kernel(all_functions(largest)[name], a), expected, atol=2e-14)


@pytest.mark.parametrize("name", NAMES)
def test_small_rank_and_smooth_expansion(functions, name):
    n_terms, rank = functions[name].coefficients.shape
    assert rank <= 20
    assert n_terms <= 96


def test_direction_and_length(functions):
    rng = np.random.default_rng(0)
    direction = rng.normal(size=3)
    direction /= np.linalg.norm(direction)
    radial = functions["nonlocal_2"]
    along_x = radial(jnp.array([[1.7, 0.0, 0.0]]))[:, 0, 0]
    found = radial(jnp.asarray(1.7 * direction[None]))[:, :, 0]
    assert_allclose(found, along_x[:, None] * direction[None, :], rtol=1e-12, atol=1e-14)
    assert_allclose(radial(-jnp.asarray(1.7 * direction[None]))[:, :, 0], -found, rtol=1e-14)


@pytest.mark.parametrize("name", NAMES)
def test_nan_beyond_the_range(functions, name):
    inside = functions[name](jnp.array([[0.0, LARGEST, 0.0]]))
    beyond = functions[name](jnp.array([[0.0, LARGEST * (1.0 + 1e-9), 0.0]]))
    assert bool(jnp.all(jnp.isfinite(inside)))
    assert bool(jnp.all(jnp.isnan(beyond)))


@pytest.mark.parametrize("name", NAMES)
def test_gradient_at_zero_is_the_slope_of_the_radial_function(functions, name):
    # R_p(K) K_m / |K| is linear in K at K = 0: its Jacobian there is slope_p delta_mn.
    zero = jnp.zeros((1, 3))
    jacobian = np.asarray(jax.jacobian(lambda K: functions[name](K)[..., 0])(zero))[:, :, 0]
    step = 1e-4
    slope = np.asarray(functions[name](jnp.array([[step, 0.0, 0.0]])))[:, 0, 0] / step
    assert np.isfinite(jacobian).all()
    assert_allclose(jacobian, slope[:, None, None] * np.eye(3), atol=1e-7)
    assert np.abs(slope).max() > 1e-2


@pytest.mark.parametrize("name", NAMES)
def test_float32_stays_close(functions, name):
    single = all_functions(LARGEST, "float32")[name]
    assert single.coefficients.dtype == jnp.float32
    lengths = np.linspace(0.0, 5.9, 20)
    exact = kernel(functions[name], lengths)
    assert_allclose(kernel(single, lengths.astype(np.float32)), exact, atol=3e-6 * exact.max())
