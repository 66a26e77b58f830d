"""Electron-phonon couplings against displaced atoms, supercells and the PyTorch code's numbers."""

import ast
import dataclasses
from itertools import product

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from literal import hamiltonian, long_range, zunger
from numpy.testing import assert_allclose
from samples import GAMMA, bands, bundle_of, random_system, slope, waves_of
from scipy.linalg import expm
from scipy.optimize import least_squares

from deeppseudopot_jax import build_problem, initial_params, read_bundle
from deeppseudopot_jax.eigensolvers.dense import dense
from deeppseudopot_jax.eigensolvers.iterative import Iterative
from deeppseudopot_jax.eigensolvers.response import resolve
from deeppseudopot_jax.hamiltonian.assemble import build_field, hamiltonian_at
from deeppseudopot_jax.observables.coupling_elements import derivative_elements
from deeppseudopot_jax.observables.couplings import EDGES, coupling_tables, couplings
from deeppseudopot_jax.observables.points import point_at
from deeppseudopot_jax.units import HARTREE_IN_EV

EDGE_BANDS = {"gap_k_point": 0, "valence_band": 2, "conduction_band": 4}
HALF = np.array([[0.5, 0.0, 0.0]])
AT_GAMMA = np.zeros((1, 3))
couplings_of = jax.jit(couplings)


def made(system, q_points=AT_GAMMA, solver=dense, **settings):
    bundle = bundle_of(np.random.default_rng(6), system, **settings)
    problem = build_problem(bundle, solver=solver)
    params = initial_params(bundle, problem)
    return bundle, problem, params, coupling_tables(problem, bundle.settings, system, q_points)


def a_system(**changes):
    rng = np.random.default_rng(12)
    return random_system(rng, ("Ga", "As"), **{"n_k": 1, **EDGE_BANDS, **changes})


@pytest.mark.parametrize("spin_orbit", [False, True])
def test_at_gamma_they_are_the_forces_of_displaced_atoms(spin_orbit):
    system = a_system()
    _, problem, params, tables = made(system, spin_orbit=spin_orbit)
    found = couplings_of(problem, params, tables)[0]

    def edges(atom: int, displacement: np.ndarray) -> np.ndarray:
        positions = system.crystal.fractional_positions.copy()
        positions[atom] += displacement @ np.linalg.inv(system.crystal.lattice)
        moved = dataclasses.replace(system.crystal, fractional_positions=positions)
        _, other, _, _ = made(dataclasses.replace(system, crystal=moved), spin_orbit=spin_orbit)
        return np.asarray(bands(other, params)[0][0, jnp.array([2, 4])])

    for atom, axis in ((0, 0), (0, 2), (1, 1)):
        step = 1e-3 * np.eye(3)[axis]
        force = (edges(atom, step) - edges(atom, -step)) / 2e-3
        assert_allclose(found[:, atom, axis], np.abs(force), rtol=1e-5)


@pytest.mark.parametrize("spin_orbit", [False, True])
def test_at_the_zone_edge_they_are_those_of_a_doubled_cell(spin_orbit):
    """An atom moved in one of two cells couples k and k + q with half the strength."""
    system = a_system()
    bundle, problem, params, tables = made(system, HALF, spin_orbit=spin_orbit)
    crystal, doubling = system.crystal, np.diag([2.0, 1.0, 1.0])
    waves = waves_of(system, "G_full").integers[0]
    integers = np.concatenate([waves @ doubling, waves @ doubling + [1, 0, 0]])
    k_point = system.k_points[0] @ doubling
    lattice = doubling @ crystal.lattice

    def matrix(atom: int, displacement: np.ndarray) -> np.ndarray:
        """The atom alone: nothing else depends on its position."""
        row = bundle.coefficients[bundle.species.index(crystal.symbols[atom])]
        position = crystal.fractional_positions[atom] @ crystal.lattice + displacement
        return hamiltonian(
            lattice,
            [position @ np.linalg.inv(lattice)],
            [lambda q: zunger(q, row) + long_range(q, row[4], GAMMA)],
            k_point,
            integers,
            [row[5]] if spin_orbit else None,
            [(row[6], row[7])] if spin_orbit else None,
        )

    field = build_field(tables.points.tables, problem.channels, params)
    states = [
        np.linalg.eigh(
            hamiltonian_at(point_at(tables.points, problem.channels, field, i)).matrix()
        )[1]
        for i in (0, 1)
    ]
    n, n_spin = len(waves), 2 if spin_orbit else 1
    rows = (np.arange(n_spin)[:, None] * 2 * n + np.arange(n)).ravel()
    found = couplings_of(problem, params, tables)[0]
    for atom, axis in ((0, 0), (1, 2)):
        step = 1e-3 * np.eye(3)[axis]
        derivative = (matrix(atom, step) - matrix(atom, -step)) / 2e-3
        block = 2.0 * derivative[np.ix_(rows, rows + n)]
        for edge, band in enumerate((2, 4)):
            level = band * n_spin // 2
            element = states[0][:, level].conj() @ block @ states[1][:, level]
            expected = HARTREE_IN_EV * abs(element)
            assert expected > 1e-3
            assert_allclose(found[edge, atom, axis], expected, rtol=1e-5)


def test_equivalent_points_give_the_same_where_the_waves_are_the_same():
    """k + q = (0.7, ...) and its equivalent in the list: with |k+G| spheres, one and the same."""
    q = np.array([[0.4, 0.1, -0.3]])
    k = np.array([0.3, -0.2, 0.1])
    alone = a_system(k_points=k[None])
    listed = a_system(n_k=2, k_points=np.array([k, k + q[0] - [1, 0, 0]]), max_kinetic_energy=1.2)
    alone = dataclasses.replace(alone, max_kinetic_energy=1.2)
    settings = {"basis_sphere": "kG", "spin_orbit": True}
    found = []
    for system in (alone, listed):
        _, problem, params, tables = made(system, q, **settings)
        found.append(couplings_of(problem, params, tables))
    assert_allclose(found[0], found[1], rtol=1e-8)
    assert not np.allclose(tables.points.k_points[1], k + q[0])


@pytest.mark.parametrize(
    "solver",
    [
        pytest.param(dense, id="dense", marks=pytest.mark.exhaustive),
        pytest.param(Iterative(dense_up_to=0, dense_start_up_to=0), id="iterative"),
    ],
)
def test_gradient_is_the_finite_difference(solver):
    system = a_system(max_kinetic_energy=2.0)
    _, problem, params, tables = made(system, HALF, solver, spin_orbit=True)
    rng = np.random.default_rng(5)
    change = jax.tree.map(lambda leaf: jnp.asarray(rng.normal(size=leaf.shape)), params)

    def along(distance, problem, tables):
        moved = jax.tree.map(lambda x, d: x + distance * d, params, change)
        return jnp.sum(jnp.sin(3.0 * couplings(problem, moved, tables)))

    value = jax.jit(along)
    expected = slope(lambda distance: value(distance, problem, tables), 2e-4)
    found = jax.jit(jax.jacrev(along))(0.0, problem, tables)
    assert_allclose(found, expected, rtol=2e-6)


@pytest.mark.exhaustive
def test_replicas_are_a_batch_and_second_derivatives_are_refused():
    _, problem, params, tables = made(a_system(), np.concatenate([HALF, AT_GAMMA]))
    replicas = jax.tree.map(lambda leaf: jnp.stack([leaf, 1.02 * leaf]), params)
    found = jax.jit(jax.vmap(couplings, (None, 0, None)))(problem, replicas, tables)
    second = jax.tree.map(lambda leaf: leaf[1], replicas)
    assert_allclose(found[1], couplings_of(problem, second, tables), rtol=1e-8)
    with pytest.raises(NotImplementedError):
        jax.jacfwd(jax.grad(lambda one: jnp.sum(couplings(problem, one, tables))))(params)


def test_the_gap_must_be_named():
    with pytest.raises(ValueError, match="idxGap"):
        made(a_system(gap_k_point=None))


@pytest.fixture(scope="module")
def cadmium_selenide(reference_bundle):
    folder = reference_bundle("cdse_couplings")
    (folder / "expBandStruct_0.par").unlink()  # of other k-points
    for symbol in ("Cd", "Se"):
        (folder / f"{symbol}Params_tmp.par").rename(folder / f"init_{symbol}Params.par")
    keys = (folder / "input_0.par").read_text()
    (folder / "input_0.par").write_text(keys.replace("maxKE = 10", "maxKE = 5"))
    return read_bundle(folder)


def test_cadmium_selenide(cadmium_selenide, golden):
    """The golden numbers are means of |element| in some basis of each multiplet: it is looked for.

    They belong to the levels 7 and 8, both spins in one, and to multiplets within 1e-5 Ha. Every
    one of the 24 has a multiplet at Gamma, of 3 levels (vb) or 2 (cb).
    """
    reference = np.load(golden / "cdse_couplings_tmp.npz")
    problem = build_problem(cadmium_selenide, solver=dense)
    params = initial_params(cadmium_selenide, problem)
    assert_allclose(bands(problem, params)[0], reference["E"], rtol=0, atol=1e-8)
    levels = tuple(int(index) for index in reference["idx"][:2])
    system = dataclasses.replace(
        cadmium_selenide.systems[0], n_bands=18, valence_band=2 * levels[0], conduction_band=16
    )
    tables = coupling_tables(problem, cadmium_selenide.settings, system, system.q_points)
    assert tables.levels == levels
    found = np.asarray(couplings_of(problem, params, tables))
    expected = np.zeros_like(found)
    for key, value in zip(reference["keys"], reference["values"], strict=True):
        atom, axis, q, band = ast.literal_eval(str(key))
        expected[q, EDGES.index(band), atom, axis] = value
    for edge in range(2):
        left, elements = edge_elements(problem, params, tables, edge)
        for q in range(2):
            squares = np.sum(np.abs(elements[q]) ** 2, axis=(-2, -1))
            mean = squares / np.prod(elements[q].shape[-2:])
            assert_allclose(found[q, edge], np.sqrt(mean), rtol=1e-9)
        deviation = in_the_best_basis(left, elements, expected[:, edge])
        assert deviation < 1e-6  # eV/Bohr; 3e-14 seen


def edge_elements(problem, params, tables, edge):
    """Levels at the gap and <m| dV/dtau |n> (eV/Bohr) of one band edge, per q-point."""

    @jax.jit
    def elements(params):
        field = build_field(tables.points.tables, problem.channels, params)
        contents = [point_at(tables.points, problem.channels, field, i) for i in range(3)]
        states = [
            jax.tree.map(
                lambda leaf: leaf[edge],
                resolve(dense, 16, tables.levels, 1e-5, hamiltonian_at, one).multiplets,
            )
            for one in contents
        ]
        return states, [
            derivative_elements(problem, params, field, tables.pair(j), states[0], states[1 + j])
            for j in range(2)
        ]

    states, blocks = elements(params)
    members = [np.flatnonzero(multiplet.members) for multiplet in states]
    chosen = [
        HARTREE_IN_EV * np.asarray(block)[..., members[0], :][..., members[1 + j]]
        for j, block in enumerate(blocks)
    ]
    return len(members[0]), chosen


def in_the_best_basis(n, elements, expected) -> float:
    """Largest deviation of mean |element| from `expected` after the best rotation at the gap."""
    pairs = list(product(range(n), repeat=2))
    upper = [pair for pair in pairs if pair[0] < pair[1]]

    def deviations(x):
        generator = np.zeros((n, n), complex)
        for (i, j), re, im in zip(upper, x[: len(upper)], x[len(upper) :], strict=True):
            generator[i, j], generator[j, i] = re + 1j * im, -re + 1j * im
        U = expm(generator)
        scattered = np.abs(np.einsum("mp,axmn->axpn", U.conj(), elements[0]))
        same = np.abs(np.einsum("mp,axmn,nq->axpq", U.conj(), elements[1], U))
        found = [block.mean(axis=(-2, -1)) for block in (scattered, same)]
        return (np.array(found) - expected).ravel()

    rng = np.random.default_rng(0)
    fits = [
        least_squares(deviations, rng.normal(size=2 * len(upper)), xtol=1e-15, ftol=1e-15)
        for _ in range(12)
    ]
    return min(np.abs(fit.fun).max() for fit in fits)
