"""v(q) to v(r) against an exact transform."""

import numpy as np
import pytest

from deeppseudopot_jax.files.results.transform import real_space_potential

Q = np.linspace(0.0, 20.0, 2048)


def test_gaussians_transform_into_gaussians():
    r = np.linspace(0.0, 25.0, 700)  # more than one block
    widths = np.array([0.7, 1.3])
    v_q = np.exp(-(Q[:, None] ** 2) * widths**2 / 2.0)
    exact = np.exp(-(r[:, None] ** 2) / (2.0 * widths**2)) / (2.0 * np.pi * widths**2) ** 1.5
    np.testing.assert_allclose(real_space_potential(Q, v_q, r), exact, atol=1e-13)


def test_it_is_the_plain_riemann_sum():
    r = np.array([0.0, 0.5, 3.0])
    v = 1.0 / (1.0 + Q)  # does not vanish at the end: a trapezoidal rule would differ
    step = Q[1]
    at_zero = np.sum(Q**2 * v) * step / (2.0 * np.pi**2)
    others = [np.sum(Q * np.sin(Q * x) * v) * step / (2.0 * np.pi**2 * x) for x in r[1:]]
    found = real_space_potential(Q, v[:, None], r)[:, 0]
    np.testing.assert_allclose(found, [at_zero, *others], rtol=1e-12)


@pytest.mark.parametrize("q", [np.array([0.0, 1.0, 3.0]), np.array([1.0, 0.0]), np.zeros(1)])
def test_other_grids_are_refused(q):
    with pytest.raises(ValueError, match="equidistant"):
        real_space_potential(q, np.zeros((len(q), 1)), np.zeros(1))
