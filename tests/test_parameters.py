"""Parameters by channel, and their rows a0 to a8."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_array_equal

from deeppseudopot_jax.parameters import COLUMNS, Parameters, from_coefficients, to_coefficients

ROWS = np.random.default_rng(0).normal(size=(3, 9))


def test_rows_become_channels_and_rows_again():
    params = from_coefficients(ROWS, jnp.dtype("float64"))
    for name, columns in COLUMNS.items():
        assert_array_equal(params[name], ROWS[:, columns])
    assert_array_equal(to_coefficients(params, params.local), ROWS)
    assert_array_equal(params.nonlocal_, params["nonlocal"])


def test_a_network_takes_the_place_of_the_first_four():
    network = {"params": {"kernel": np.ones(2)}}
    params = from_coefficients(ROWS, jnp.dtype("float32"), network)
    assert {str(leaf.dtype) for leaf in jax.tree.leaves(params)} == {"float32"}
    assert params.local.keys() == network.keys()
    assert_array_equal(to_coefficients(params, np.zeros((3, 4)))[:, :4], 0.0)


def test_channels_have_names():
    params = from_coefficients(ROWS, jnp.dtype("float64"))
    changed = params.updated({"nonlocal": jnp.zeros((3, 2))})
    assert isinstance(changed, Parameters) and not changed.nonlocal_.any()
    assert_array_equal(changed.local, params.local)
    with pytest.raises(KeyError, match="'so': the channels are local, long_range"):
        params["so"]
    with pytest.raises(KeyError, match="the channels are"):
        params.updated({"so": 1.0})


def test_gradients_have_the_same_form():
    params = from_coefficients(ROWS, jnp.dtype("float64"))
    gradient = jax.grad(lambda p: jnp.sum(p.nonlocal_**2))(params)
    assert_array_equal(gradient["nonlocal"], 2.0 * params.nonlocal_)
    assert not np.asarray(gradient["strain"]).any()
