"""Terms of H: their matrices are those of the literal formulas, their expectation values add up."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose
from samples import bundle_of, literal_matrix, random_system, zinc_blende

from deeppseudopot_jax import InputError, build_problem, initial_params
from deeppseudopot_jax.observables.term_energies import term_energies, term_matrices
from deeppseudopot_jax.units import HARTREE_IN_EV

PARTS = {"T": [], "V_loc": [0, 1, 2, 3, 4], "V_SO": [5], "V_NL": [6, 7]}
"""Which coefficients every term follows from."""


def literal_parts(bundle, system, k_point) -> dict[str, np.ndarray]:
    """The literal matrix with all coefficients of the other terms at 0, less T."""

    def with_only(columns: list[int]) -> np.ndarray:
        kept = np.zeros_like(bundle.coefficients)
        kept[:, 2:4] = bundle.coefficients[:, 2:4]  # with a0 = 0 there is no local potential
        kept[:, columns] = bundle.coefficients[:, columns]
        return literal_matrix(replace(bundle, coefficients=kept), system, k_point)

    kinetic = with_only([])
    return {name: with_only(columns) - kinetic for name, columns in PARTS.items()} | {"T": kinetic}


@pytest.mark.parametrize("spin_orbit", [False, True])
def test_matrices_and_expectation_values_are_the_literal_ones(spin_orbit):
    rng = np.random.default_rng(3)
    smaller = random_system(
        rng, ("As", "Ga", "As"), max_kinetic_energy=0.8
    )  # padded beside the other
    bundle = bundle_of(rng, random_system(rng, index=1), smaller, spin_orbit=spin_orbit)
    problem = build_problem(bundle)
    params = initial_params(bundle, problem)
    expected = literal_parts(bundle, smaller, smaller.k_points[1])
    found = term_matrices(problem, params, 1, 1)
    assert list(found) == (list(PARTS) if spin_orbit else ["T", "V_loc"])
    for name, matrix in found.items():
        assert_allclose(matrix, expected[name], atol=1e-10, err_msg=name)
        assert np.abs(matrix).max() > 1e-3

    energies, terms = term_energies(problem, params, 1, 1)
    levels, vectors = np.linalg.eigh(sum(expected[name] for name in found))
    assert np.diff(levels[: smaller.n_bands]).min() > 1e-6  # so that every state is one of a kind
    copies = 1 if spin_orbit else 2
    for name, values in terms.items():
        value = np.einsum("in,ij,jn->n", vectors.conj(), expected[name], vectors).real
        literal = np.repeat(HARTREE_IN_EV * value, copies)[: smaller.n_bands]
        assert_allclose(values, literal, atol=1e-4, err_msg=name)
    assert_allclose(sum(terms.values()), energies, rtol=0.0, atol=1e-9)
    assert_allclose(
        energies, np.repeat(HARTREE_IN_EV * levels, copies)[: smaller.n_bands], atol=1e-6
    )

    chosen, n = np.array([5, 0, 3]), len(levels) // (2 if spin_orbit else 1)
    rows = np.concatenate([chosen, n + chosen]) if spin_orbit else chosen
    for name, block in term_matrices(problem, params, 1, 1, chosen).items():
        assert_allclose(block, found[name][np.ix_(rows, rows)], atol=1e-14)
    for wrong in ([n], [-1], [], [2, 2]):
        with pytest.raises(InputError, match=f"legal: different ones of 0 to {n - 1}"):
            term_matrices(problem, params, 1, 1, np.array(wrong, int))


def test_degenerate_levels_of_a_symmetric_crystal_share_all_expectation_values():
    system = zinc_blende(("Ga", "As"), [[0.25, 0.0, 0.25], [0.0, 0.0, 0.0]], n_bands=20)
    bundle = bundle_of(np.random.default_rng(7), system, basis_sphere="kG")
    problem = build_problem(bundle)
    energies, terms = term_energies(problem, initial_params(bundle, problem), 0, 1)
    assert_allclose(sum(terms.values()), energies, rtol=0.0, atol=1e-9)
    starts = np.flatnonzero(np.diff(energies, prepend=-np.inf) > 1e-6)
    multiplets = np.split(np.arange(len(energies)), starts)[1:]
    assert max(map(len, multiplets)) >= 6  # p states, with spin
    for values in terms.values():
        for levels in multiplets[:-1]:  # the last one may be cut off
            assert np.ptp(values[levels]) < 1e-5
