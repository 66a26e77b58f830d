"""The iterative solver against dense diagonalisation, on kind and on hostile operators."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from samples import bundle_of, random_system, states_of

from deeppseudopot_jax import build_problem, energies, initial_params
from deeppseudopot_jax.eigensolvers.dense import dense
from deeppseudopot_jax.eigensolvers.interface import (
    FOR_RESULTS,
    Accuracy,
    Operator,
    States,
    accurate_to,
)
from deeppseudopot_jax.eigensolvers.iterative import Iterative
from deeppseudopot_jax.observables.fallback import largest_deviation, with_dense_fallback
from deeppseudopot_jax.observables.hamiltonians import prepared
from deeppseudopot_jax.observables.states import levels_of
from deeppseudopot_jax.records import record

pytestmark = pytest.mark.as_compiled

SIZE, WANTED = 160, 6
ACCURACY = 4e-8  # Ha, 1e-6 eV
always_iterative = Iterative(dense_up_to=0, dense_start_up_to=0)


@record
class MatrixOperator:
    """A matrix with an ascending diagonal, as a plane-wave Hamiltonian has."""

    full: jax.Array
    kinetic: jax.Array

    def apply(self, vectors):
        return self.full @ vectors

    def matrix(self):
        return self.full

    def kinetic_energies(self):
        return self.kinetic

    def restricted(self, n):
        rows = jnp.argsort(self.kinetic)[:n]
        return MatrixOperator(self.full[rows][:, rows], self.kinetic[rows]), rows


def random_matrix(rng: np.random.Generator, strength: float = 0.3) -> MatrixOperator:
    kinetic = np.sort(rng.uniform(0.0, 12.0, SIZE))
    coupling = rng.normal(size=(SIZE, SIZE)) + 1j * rng.normal(size=(SIZE, SIZE))
    decay = np.exp(-0.2 * np.abs(kinetic[:, None] - kinetic))
    coupling = strength * decay * (coupling + coupling.conj().T) / SIZE**0.5
    return MatrixOperator(jnp.asarray(coupling + np.diag(kinetic)), jnp.asarray(kinetic))


def with_spectrum(rng: np.random.Generator, lowest: list[float]) -> MatrixOperator:
    """A random operator whose lowest eigenvalues are replaced by the given ones."""
    operator = random_matrix(rng)
    values, vectors = np.linalg.eigh(operator.full)
    values = np.maximum(values, max(lowest) + 0.3)
    values[: len(lowest)] = lowest
    return operator.replace(full=jnp.asarray((vectors * values) @ vectors.conj().T))


solve_one = jax.jit(always_iterative, static_argnums=1)


def check(operator: Operator, guess: States | None = None) -> None:
    found = solve_one(operator, WANTED, guess)
    exact = np.linalg.eigvalsh(operator.matrix())
    assert np.all(found.residuals[:WANTED] <= FOR_RESULTS.accepted)
    assert np.abs(found.energies[:WANTED] - exact[:WANTED]).max() < ACCURACY
    vectors = np.asarray(found.vectors)
    assert np.allclose(vectors.conj().T @ vectors, np.eye(vectors.shape[1]), atol=1e-9)


def test_satisfies_the_operator_interface():
    assert isinstance(random_matrix(np.random.default_rng(0)), Operator)


@pytest.mark.parametrize("seed", range(60))
def test_random_operators(seed):
    check(random_matrix(np.random.default_rng(seed)))


@pytest.mark.parametrize(
    "lowest",
    [
        [-2.0, -2.0, -1.0, -1.0, -0.5, -0.5, 0.2],  # Kramers pairs
        [-2.0, -1.5, -1.0, -1.0, -1.0, -1.0, -1.0, -1.0, 0.1],  # a multiplet cut by the window
        [-1.0, -1.0 + 1e-9, -1.0 + 1e-7, -1.0 + 1e-5, -0.9, -0.5, -0.5 + 1e-8],  # near ones
        [-300.0, -200.0, -100.0, -1.0, 0.0, 0.1],  # a huge potential
    ],
    ids=["pairs", "cut multiplet", "nearly degenerate", "huge"],
)
@pytest.mark.parametrize("seed", range(5))
def test_clusters(lowest, seed):
    check(with_spectrum(np.random.default_rng(seed), lowest))


@pytest.mark.parametrize("seed", range(20))
def test_a_warm_start_follows_crossing_levels(seed):
    rng = np.random.default_rng(seed)
    operator, change = random_matrix(rng), random_matrix(rng)
    states = solve_one(operator, WANTED, None)
    mixed = 0.97 * operator.full + 0.03 * change.full
    check(operator.replace(full=mixed), states)


def test_a_guess_of_the_wrong_size_is_refused():
    operator = random_matrix(np.random.default_rng(0))
    states = solve_one(operator, WANTED, None)
    with pytest.raises(ValueError, match="guess has shape"):
        always_iterative(operator, WANTED, states._replace(vectors=jnp.ones((SIZE, 3), complex)))


def test_a_dependent_guess_is_no_answer():
    operator = random_matrix(np.random.default_rng(1))
    states = solve_one(operator, WANTED, None)
    dependent = states.vectors.at[:, 3].set(states.vectors[:, 2])
    found = solve_one(operator, WANTED, states._replace(vectors=dependent))
    assert np.isnan(found.residuals).all()


@pytest.mark.parametrize("seed", range(5))
def test_a_guess_that_holds_none_of_the_answer_finds_it(seed):
    rng = np.random.default_rng(seed)
    operator = random_matrix(rng)
    states = solve_one(operator, WANTED, None)
    _, vectors = np.linalg.eigh(operator.full)
    block = states.vectors.shape[1]
    check(operator, states._replace(vectors=jnp.asarray(vectors[:, 40 : 40 + block])))


def test_a_tight_tolerance_is_reached_despite_single_precision():
    operator = random_matrix(np.random.default_rng(2))
    found = solve_one(operator, WANTED, None, accurate_to(1e-9, fraction=1.0))
    exact = np.linalg.eigvalsh(operator.matrix())
    assert np.all(found.residuals[:WANTED] <= 1e-9)
    assert np.abs(found.energies[:WANTED] - exact[:WANTED]).max() < 1e-13


def small_problem(solver):
    rng = np.random.default_rng(4)
    bundle = bundle_of(
        rng, random_system(rng, max_kinetic_energy=4.0, n_k=3, n_bands=8), spin_orbit=True
    )
    problem = build_problem(bundle, solver=solver)
    return problem, initial_params(bundle, problem)


def test_a_tolerance_out_of_reach_ends_and_says_so():
    operator = with_spectrum(np.random.default_rng(0), [-2.0] + 8 * [-1.0])  # a cut multiplet
    hasty = dataclasses.replace(always_iterative, max_steps=25)
    found = jax.jit(hasty, static_argnums=1)(operator, WANTED, None, Accuracy(0.0, 0.0, 0.0, 1))
    exact = np.linalg.eigvalsh(operator.matrix())
    assert np.abs(found.energies[:WANTED] - exact[:WANTED]).max() < 1e-12
    assert not np.all(found.residuals[:WANTED] <= 0.0)


def test_energies_and_gradients_agree_with_dense():
    found, exact = (small_problem(solver) for solver in (always_iterative, dense))
    assert found[0].groups[0].tables.dimension > 100
    difference = jax.jit(energies)(*found)[0] - jax.jit(energies)(*exact)[0]
    assert np.abs(difference).max() < 1e-6

    def total(params, problem, states):
        return sum(jnp.sum(levels**2) for levels in levels_of(problem, params, states))

    gradients = []
    for problem, params in (found, exact):
        states = states_of(problem, params)
        gradients.append(jax.jit(jax.grad(total))(params, problem, states))
    for one, other in zip(*map(jax.tree.leaves, gradients), strict=True):
        assert np.allclose(one, other, rtol=1e-5, atol=1e-7)


def test_unfinished_solves_are_nan_and_fall_back_to_dense():
    hasty = dataclasses.replace(always_iterative, max_steps=1)
    problem, params = small_problem(hasty)
    assert np.isnan(jax.jit(energies)(problem, params)[0]).any()
    states, count = with_dense_fallback(prepared(problem, params), states_of(problem, params))
    exact = states_of(*small_problem(dense))
    n = problem.groups[0].n_levels
    assert count == 3
    assert np.allclose(states[0].energies[..., :n], exact[0].energies[..., :n], atol=1e-12)


def test_a_spot_check_finds_a_missed_level():
    problem, params = small_problem(always_iterative)
    states, everywhere = states_of(problem, params), prepared(problem, params)
    assert largest_deviation(everywhere, states, turn=2) < ACCURACY
    shifted = states[0]._replace(energies=jnp.roll(states[0].energies, -1, axis=-1))
    assert largest_deviation(everywhere, (shifted,), turn=2) > 1e-4
