"""Multiplets and their response against sums over all states."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose
from test_eigensolvers import MatrixOperator, random_matrix, with_spectrum

from deeppseudopot_jax.eigensolvers.conjugate_gradients import conjugate_gradients
from deeppseudopot_jax.eigensolvers.dense import dense
from deeppseudopot_jax.eigensolvers.iterative import Iterative
from deeppseudopot_jax.eigensolvers.response import (
    first_columns,
    resolve,
    respond,
    window_size,
)

LEVELS = (0, 2, 5)
SOLVERS = [dense, Iterative(dense_up_to=0, dense_start_up_to=0)]
resolved = jax.jit(resolve, static_argnums=(0, 1, 2, 3, 4))


def as_operator(contents):
    return MatrixOperator(*contents)


def case(lowest=(-2.0, -1.5, -1.0, -1.0, -1.0, 0.1)):
    operator = with_spectrum(np.random.default_rng(3), list(lowest))
    return operator, window_size(LEVELS, 6, len(operator.kinetic))


@pytest.mark.parametrize("solver", SOLVERS)
def test_response_is_the_sum_over_all_other_states(solver):
    operator, size = case()
    perturbation = random_matrix(np.random.default_rng(4)).full
    found = resolved(solver, size, LEVELS, 1e-6, as_operator, (operator.full, operator.kinetic))
    energies, states = np.linalg.eigh(operator.full)
    for position, (level, members) in enumerate(zip(LEVELS, ([0], [2, 3, 4], [5]), strict=True)):
        multiplet = jax.tree.map(lambda leaf, i=position: leaf[i], found.multiplets)
        columns = np.flatnonzero(multiplet.members)
        assert list(columns + first_columns(LEVELS, size)[position]) == members
        assert_allclose(multiplet.energy, energies[level], atol=1e-10)
        perturbed = np.asarray(perturbation @ multiplet.vectors)
        change = jax.jit(respond)(operator, multiplet, found.window, perturbed)
        others = np.setdiff1d(np.arange(len(energies)), members)
        weights = (
            states[:, others].conj().T @ perturbed / (energies[level] - energies[others, None])
        )
        expected = np.where(multiplet.members > 0, states[:, others] @ weights, 0.0)
        assert_allclose(change, expected, atol=1e-6)


def test_projectors_have_the_derivative_of_finite_differences():
    operator, size = case()
    change = np.asarray(random_matrix(np.random.default_rng(5)).full)
    projector = np.linalg.eigh(operator.full)[1][:, 2:5]
    projector = projector @ projector.conj().T
    rest = np.eye(len(projector)) - projector
    change = jnp.asarray(rest @ change + change @ rest - rest @ change @ rest)  # splits nothing
    probe = random_matrix(np.random.default_rng(6)).full

    def probed(distance):
        contents = operator.full + distance * change, operator.kinetic
        psi = resolve(dense, size, LEVELS, 1e-6, as_operator, contents).multiplets.vectors[1]
        return jnp.vdot(psi, probe @ psi).real

    step = 1e-5
    expected = (probed(step) - probed(-step)) / (2.0 * step)
    assert_allclose(jax.jit(jax.grad(probed))(0.0), expected, rtol=1e-6)
    assert_allclose(jax.jit(jax.jacfwd(probed))(0.0), expected, rtol=1e-6)
    with pytest.raises(NotImplementedError):
        jax.grad(jax.grad(probed))(0.0)


def test_a_multiplet_that_is_too_large_is_nan():
    operator, size = case([-1.0] * 14)
    found = resolved(dense, size, (7,), 1e-6, as_operator, (operator.full, operator.kinetic))
    assert np.isnan(found.multiplets.energy).all()
    assert np.isnan(found.multiplets.vectors).all()


def test_an_unfinished_solve_is_nan():
    operator, size = case()
    hasty = Iterative(dense_up_to=0, dense_start_up_to=0, max_steps=0, spare=0)
    found = resolved(hasty, size, (2,), 1e-6, as_operator, (operator.full, operator.kinetic))
    assert np.isnan(found.multiplets.energy).all()


def test_conjugate_gradients_judge_every_column_by_itself():
    matrix = with_spectrum(np.random.default_rng(3), list(np.geomspace(0.1, 1.0, 6))).full
    right = jnp.asarray(random_matrix(np.random.default_rng(5)).full[:, :3])
    right = right.at[0, 1].set(jnp.nan)
    scale = right.at[:, 2].set(0.0)  # never solved to that
    found = conjugate_gradients(lambda x: matrix @ x, right, lambda x: x, scale, 80)
    assert jnp.isnan(found[:, 1:]).all()
    residual = np.linalg.norm(matrix @ found[:, 0] - right[:, 0]) / np.linalg.norm(right[:, 0])
    assert residual < 5e-12
