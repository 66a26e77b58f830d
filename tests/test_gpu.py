"""On a GPU: energies and gradients are those of the host's processor."""

import jax
import numpy as np
import pytest
from numpy.testing import assert_allclose
from samples import bundle_of, random_system

from deeppseudopot_jax import build_problem, cost, dense, energies, initial_params, iterative

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(jax.default_backend() == "cpu", reason="JAX finds no GPU"),
]


@pytest.mark.parametrize("solver", [dense, iterative], ids=["dense", "iterative"])
@pytest.mark.parametrize("precision, accuracy", [("float64", 1e-9), ("float32", 2e-4)])
def test_what_the_device_finds_is_what_the_host_finds(solver, precision, accuracy):
    rng = np.random.default_rng(5)
    bundle = bundle_of(rng, random_system(rng, n_k=6), spin_orbit=True)
    exact = build_problem(bundle)
    problem = build_problem(bundle, solver=solver, precision=precision)
    params, exact_params = initial_params(bundle, problem), initial_params(bundle, exact)
    host = jax.devices("cpu")[0]
    for function in (energies, jax.value_and_grad(cost, argnums=1)):
        found = jax.jit(function)(problem, params)
        with jax.default_device(host):
            expected = jax.jit(function)(*jax.device_put((exact, exact_params), host))
        for here, there in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
            size = max(1.0, np.abs(there).max())
            assert_allclose(here, there, rtol=0, atol=accuracy * size)
