"""Properties of every term of H(k) and of the whole, and its exact and literal values."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose
from samples import bands, bundle_of, literal_matrix, random_system, waves_of

from deeppseudopot_jax import build_problem, form_factors, initial_params
from deeppseudopot_jax.crystal import cell_volume, reciprocal_lattice
from deeppseudopot_jax.hamiltonian.assemble import AtK, Hamiltonian, build_field, hamiltonian_at
from deeppseudopot_jax.problem import Problem
from deeppseudopot_jax.types import Bundle
from deeppseudopot_jax.units import HARTREE_IN_EV

pytestmark = pytest.mark.as_compiled

TERMS = ("Kinetic", "Local", "SpinOrbit", "Nonlocal", "whole")
SHRINK = 0.985  # of the second crystal: a few waves fewer, so that the two still share a group


def hamiltonian(
    problem: Problem, params: dict, k_index: int = 0, member: int = 0, strain: jax.Array = None
) -> Hamiltonian:
    """H of one system of the first group at one of its k-points, padding included."""
    group = problem.groups[0]
    tables = jax.tree.map(lambda leaf: leaf[member], group.tables)
    field = build_field(tables, problem.channels, params, strain)
    own_set = 0 if len(tables.wave_mask) == 1 else k_index
    waves = tables.wave_integers[own_set], tables.wave_mask[own_set]
    k_point = group.k_points[member, k_index]
    return hamiltonian_at(AtK(tables, problem.channels.separable, field, k_point, *waves))


matrix_at = jax.jit(lambda *arguments: hamiltonian(*arguments).matrix(), static_argnums=2)


def two_systems(seed: int, **settings: object) -> tuple[Bundle, Problem, dict]:
    """Two crystals of nearly equal size that share a group: one of them is padded."""
    rng = np.random.default_rng(seed)
    large = random_system(rng, max_kinetic_energy=2.0, n_k=3)
    small = random_system(rng, ("As", "Ga"), 2.0, n_k=2, n_bands=8)
    lattice = SHRINK * large.crystal.lattice
    small = dataclasses.replace(small, crystal=dataclasses.replace(small.crystal, lattice=lattice))
    bundle = bundle_of(rng, large, small, **settings)
    problem = build_problem(bundle)
    return bundle, problem, initial_params(bundle, problem)


@pytest.fixture(scope="module", params=[(0, False), (1, False), (1, True)], ids=str)
def parts(request) -> tuple[np.ndarray, np.ndarray, dict]:
    """Vectors, the mask of their rows and, by name, matrix, product and expectation of H's parts.

    One case per (system, strained); the second system is the padded one.
    """
    member, strained = request.param
    _, problem, params = two_systems(0, spin_orbit=True, strain=True)
    mask = np.asarray(problem.groups[0].tables.wave_mask)[member, 0]
    assert mask.all() == (member == 0)
    rng = np.random.default_rng(5)
    vectors = rng.normal(size=(2, len(mask), 4)) + 1j * rng.normal(size=(2, len(mask), 4))
    # Padded waves cost 1e4 Ha, which must not set the scale of the comparisons.
    vectors[:, ~mask] = 0.0

    @jax.jit
    def everything(problem: Problem, params: dict, psi: jax.Array, strain: jax.Array | None):
        whole = hamiltonian(problem, params, 1, member, strain)
        found = {
            type(term).__name__: (term.matrix(2), term.apply(psi), term.expectation(psi))
            for term in whole.all_terms
        }
        columns = psi.reshape(-1, psi.shape[-1])
        found["whole"] = (whole.matrix(), whole.apply(columns), whole.expectation(columns))
        return found

    strain = jnp.asarray(rng.normal(scale=0.02, size=(3, 3))) if strained else None
    found = everything(problem, params, jnp.asarray(vectors), strain)
    return vectors.reshape(-1, 4), np.tile(mask, 2), jax.tree.map(np.asarray, found)


@pytest.mark.parametrize("name", TERMS)
def test_a_term_is_one_hermitian_operator(parts, name):
    vectors, mask, found = parts
    assert set(found) == set(TERMS)
    matrix, applied, expectation = found[name]
    size = np.abs(matrix[np.ix_(mask, mask)]).max()
    assert size > 1e-3
    assert_allclose(matrix, matrix.conj().T, atol=1e-14 * size)
    product = matrix @ vectors
    assert_allclose(applied.reshape(product.shape), product, atol=1e-12 * size)
    diagonal = np.einsum("in,in->n", vectors.conj(), product)
    assert_allclose(diagonal.imag, 0.0, atol=1e-11 * size)
    assert_allclose(expectation, diagonal.real, atol=1e-11 * size)


@pytest.mark.parametrize("spin_orbit", [False, True])
@pytest.mark.parametrize("seed", [0, 1])
def test_whole_matrix_is_the_literal_one(seed, spin_orbit):
    rng = np.random.default_rng(seed)
    system = random_system(rng, max_kinetic_energy=0.8)
    k_points = np.concatenate([np.zeros((1, 3)), system.k_points[1:]])  # K = 0 is one of them
    bundle = bundle_of(rng, dataclasses.replace(system, k_points=k_points), spin_orbit=spin_orbit)
    problem = build_problem(bundle)
    params = initial_params(bundle, problem)
    for k_index, k_point in enumerate(k_points):
        expected = literal_matrix(bundle, bundle.systems[0], k_point)
        found = matrix_at(problem, params, k_index)
        assert_allclose(found, expected, rtol=0, atol=1e-11)


def test_free_electrons():
    rng = np.random.default_rng(0)
    bundle = bundle_of(rng, random_system(rng, n_bands=14), model="ZeroFunction")
    problem = build_problem(bundle, local="network")  # ZeroFunction's network is v = 0
    nothing = jax.tree.map(jnp.zeros_like, initial_params(bundle, problem))
    (system,) = bundle.systems
    reciprocal = reciprocal_lattice(system.crystal.lattice)
    integers = waves_of(system, "G_full").integers[0]
    for k_point, levels in zip(system.k_points, bands(problem, nothing)[0], strict=True):
        kinetic = np.sort(np.sum(((k_point + integers) @ reciprocal) ** 2, axis=1) / 2.0)
        expected = HARTREE_IN_EV * np.repeat(kinetic, 2)[:14]
        assert_allclose(levels, expected, atol=1e-12)


@pytest.mark.parametrize("spin_orbit", [False, True])
def test_one_plane_wave(spin_orbit):
    rng = np.random.default_rng(3)
    system = random_system(rng, max_kinetic_energy=0.1, n_bands=2)
    bundle = bundle_of(rng, system, spin_orbit=spin_orbit)
    bundle.coefficients[:, 6:8] *= 0.0 if spin_orbit else 1.0  # K x K = 0, but K . K is not
    problem = build_problem(bundle)
    assert problem.n_waves == (1,)
    params = initial_params(bundle, problem)
    at_zero = form_factors(problem, params, jnp.zeros(1))[0]
    mean = sum(at_zero[bundle.species.index(symbol)] for symbol in system.crystal.symbols)
    k = system.k_points @ reciprocal_lattice(system.crystal.lattice)
    expected = np.sum(k**2, axis=1) / 2.0 + float(mean) / cell_volume(system.crystal.lattice)
    found = bands(problem, params)[0]
    assert_allclose(found, HARTREE_IN_EV * np.stack([expected, expected], axis=1), rtol=1e-13)


@pytest.mark.parametrize("spin_orbit", [False, True])
def test_translation_of_all_atoms_leaves_the_energies(spin_orbit):
    rng = np.random.default_rng(4)
    system = random_system(rng)
    crystal = system.crystal
    moved = dataclasses.replace(
        crystal, fractional_positions=crystal.fractional_positions + rng.uniform(size=3)
    )
    rows = dataclasses.replace(
        crystal,
        fractional_positions=crystal.fractional_positions[[2, 0, 1]],
        symbols=("Ga", "Ga", "As"),
    )
    systems = [dataclasses.replace(system, crystal=c) for c in (crystal, moved, rows)]
    bundle = bundle_of(rng, *systems, spin_orbit=spin_orbit)
    problem = build_problem(bundle)
    original, translated, renumbered = bands(problem, initial_params(bundle, problem))
    assert_allclose(translated, original, atol=1e-11)
    assert_allclose(renumbered, original, atol=1e-11)


@pytest.mark.parametrize("sphere", ["G_full", "kG"])
@pytest.mark.parametrize("spin_orbit", [False, True])
def test_padding_leaves_the_energies(spin_orbit, sphere):
    bundle, problem, params = two_systems(0, spin_orbit=spin_orbit, basis_sphere=sphere)
    assert [group.members for group in problem.groups] == [(0, 1)]
    assert problem.n_waves[0] != problem.n_waves[1]
    together = bands(problem, params)
    for index, system in enumerate(bundle.systems):
        alone = dataclasses.replace(bundle, systems=(system,))
        (found,) = bands(build_problem(alone), params)
        assert found.shape == (len(system.k_points), system.n_bands)
        assert_allclose(together[index], found, atol=1e-11)
