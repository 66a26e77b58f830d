"""Errors of bands as log and figures tell them."""

import numpy as np
import pytest

from deeppseudopot_jax.observables.band_errors import aligned, fitted_levels, rms_error

REFERENCE = np.array([[0.0, 1.0, 3.0], [0.5, 1.5, np.nan]])


def test_a_relative_fit_is_aligned_at_every_k():
    bands = REFERENCE + np.array([[0.3], [-0.7]]) + np.array([0.1, 0.0, 0.0])
    found = aligned(bands, REFERENCE, relative_band=1)
    np.testing.assert_allclose(found, REFERENCE + np.array([0.1, 0.0, 0.0]))
    assert aligned(bands, REFERENCE, None) is bands and aligned(bands, None, 1) is bands


def test_levels_count_that_are_known_and_have_a_weight():
    known = np.isfinite(REFERENCE)
    assert np.array_equal(fitted_levels(REFERENCE, None), known)
    weights = np.array([1.0, 0.0, 2.0]) * np.ones((2, 1))
    assert fitted_levels(REFERENCE, weights).tolist() == [[True, False, True], [True, False, False]]


def test_the_error_is_that_of_the_counted_levels():
    counted = fitted_levels(REFERENCE, None)
    assert rms_error(REFERENCE + 0.2, REFERENCE, counted) == pytest.approx(0.2)
    assert rms_error(REFERENCE, REFERENCE, np.zeros((2, 3), bool)) is None
    assert np.isnan(rms_error(np.full((2, 3), np.nan), REFERENCE, counted))
