"""Linearised costs against finite differences, on every side, for every term and parameter."""

from dataclasses import replace
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose
from samples import bundle_of, random_system, states_of, zinc_blende

from deeppseudopot_jax import batching, build_problem, energies, initial_params, training_cost
from deeppseudopot_jax.batching import SystemGroup
from deeppseudopot_jax.costs.interface import Cost, Evaluated, joined
from deeppseudopot_jax.eigensolvers.dense import dense
from deeppseudopot_jax.hamiltonian.assemble import scaled_strengths
from deeppseudopot_jax.parameters import Parameters, trained_channels
from deeppseudopot_jax.potentials.compose import v_of_q
from deeppseudopot_jax.problem import Problem
from deeppseudopot_jax.training.least_squares.coordinates import Coordinates, coordinates_of
from deeppseudopot_jax.training.least_squares.damped import Damping, damped_step
from deeppseudopot_jax.training.least_squares.geodesic import geodesic_step
from deeppseudopot_jax.training.least_squares.linearised import Linearised, linearised
from deeppseudopot_jax.training.least_squares.sides import columns_of, side_of
from deeppseudopot_jax.training.least_squares.steps import inputs_by_step
from deeppseudopot_jax.training.trainable import Split, merge, split
from deeppseudopot_jax.types import Bundle, CouplingTarget, DeformationTarget

SIDES = ("residuals", "inputs", "parameters")
EVERY_SECOND = np.array([False, True, False])
PRIORS = {"prior_roughness": 0.02, "prior_range": 0.3, "prior_width": 50.0}
PENALTIES = {
    "tail_start": 3.0, "tail_strength": 5.0, "magnitude_threshold": 1.0, "magnitude_strength": 7.0
}  # fmt: skip
ALL_CHANNELS = dict.fromkeys(
    (
        "spin_orbit", "strain", "train_long_range", "train_spin_orbit", "train_nonlocal",
        "train_strain",
    ),
    True,
)  # fmt: skip
ROWS = (
    DeformationTarget((0, 1), (1, 3), 1.02, -3.0, 2.0),
    DeformationTarget((1, 2), None, 0.98, 4.0, 0.5),
)
COUPLINGS = {
    "fit_couplings": True,
    "coupling_targets": (
        CouplingTarget(1, "As", "y", "cb", np.array([0.3, -0.4])),
        CouplingTarget(0, "Ga", "x", "vb", np.array([0.1, 0.2])),
    ),
    "q_points": np.array([[0.5, 0.0, 0.0], [0.1, 0.2, 0.3]]),
    "q_weights": np.array([1.0, 3.0]),
}
GAP = {"gap_k_point": 0, "valence_band": 2, "conduction_band": 4}
MASSES = {"fit_masses": True, **GAP}
DEFORMATION = {"fit_deformation": True, "deformation_targets": ROWS}


class Case(NamedTuple):
    """A cost at some parameters."""

    cost: Cost
    problem: Problem
    frozen: Parameters
    trainable: dict
    coordinates: Coordinates


def made(bundle: Bundle, **options: object) -> Case:
    """The training cost of a bundle at its own start."""
    problem = build_problem(bundle, **{"solver": dense, **options})
    params = initial_params(bundle, problem)
    trainable, frozen = split(params, trained_channels(bundle.settings))
    coordinates = coordinates_of(problem.composition, trainable)
    return Case(training_cost(bundle, problem), problem, frozen, trainable, coordinates)


def near(case: Case, side: str) -> tuple[jax.Array, jax.Array, Linearised]:
    """What terms add, the held-out cost, and the linearised cost."""
    cost, problem, frozen, trainable, coordinates = case
    states = states_of(problem, merge(Split(trainable, frozen)))
    parts = cost, problem, frozen, trainable, coordinates, columns_of(problem), states
    return linearised(*parts, side)


@jax.jit
def residuals_at(case: Case, step: jax.Array) -> tuple[jax.Array, jax.Array]:
    """All residuals, and the sum of all penalties, after a step; solved afresh."""
    problem, moved = case.problem, case.coordinates.moved(case.trainable, step)
    params = merge(Split(moved, case.frozen))
    evaluated = Evaluated(energies(problem, params))
    residuals = [term.residuals(problem, params, evaluated) for term in case.cost.terms]
    penalties = [penalty.value(problem, params) for penalty in case.cost.penalties]
    return joined(residuals, problem.dtype), sum(penalties, jnp.zeros((), problem.dtype))


def central_differences(case: Case, size: float = 3e-4) -> tuple[np.ndarray, ...]:
    """Residuals, their Jacobian and half the gradient of the penalties, five-point rule."""
    unit = np.eye(case.coordinates.size(case.trainable))
    at = {
        distance: [residuals_at(case, jnp.asarray(distance * size * row)) for row in unit]
        for distance in (-2, -1, 1, 2)
    }

    def slopes(of: int) -> np.ndarray:
        f = {distance: np.array([pair[of] for pair in pairs]) for distance, pairs in at.items()}
        return (8.0 * (f[1] - f[-1]) - (f[2] - f[-2])) / (12.0 * size)

    start = np.asarray(residuals_at(case, jnp.zeros(len(unit)))[0])
    return start, slopes(0).T, 0.5 * slopes(1)


def system(rng: np.random.Generator, **changes: object):
    return random_system(rng, ("Ga", "As"), **changes)


def coefficients(rng: np.random.Generator) -> Bundle:
    """Two groups, a relative band, an order of the bands, masses, priors, penalties, a4."""
    order = np.array([[1, 0, 2, 3], [0, 1, 3, 2], [0, 1, 2, 3]])
    first = random_system(rng, ("Ga", "As", "As"), 1.6, relative_band=3, **MASSES)
    second = random_system(rng, ("In", "As"), n_k=3, n_bands=4, band_order=order, index=1)
    return bundle_of(rng, first, second, train_long_range=True, **PRIORS, **PENALTIES)


def one_group(rng: np.random.Generator) -> Bundle:
    """Systems of one group with other species, numbers of k-points and bands; deformation."""
    first = system(rng, **DEFORMATION)
    second = random_system(
        rng, ("In", "As"), n_k=3, n_bands=4, crystal=replace(first.crystal, symbols=("In", "As"))
    )
    return bundle_of(rng, first, replace(second, index=1), **ALL_CHANNELS, prior_width=50.0)


def with_couplings(rng: np.random.Generator) -> Bundle:
    """Couplings beside bands."""
    return bundle_of(rng, system(rng, **GAP, **COUPLINGS))


def with_spin_and_couplings(rng: np.random.Generator) -> Bundle:
    """The same with spin-orbit coupling."""
    channels = {"spin_orbit": True, "train_spin_orbit": True, "train_nonlocal": True}
    return bundle_of(rng, system(rng, **GAP, **COUPLINGS), **channels)


def network(rng: np.random.Generator) -> Bundle:
    """A network on Fourier features, more weights than levels."""
    model = {
        "model": "Net_fourier_celu_HeInit_decayGaussian", "hidden_layers": (3,),
        "n_frequencies": 2, "model_range": 6.0, "gaussian_std": 2.0,
    }  # fmt: skip
    return bundle_of(rng, system(rng), **model)


def spline(rng: np.random.Generator) -> Bundle:
    """A spline, with k-points that are held out and waves of their own at every k-point."""
    held_out = {"held_out": EVERY_SECOND, "n_k": 3}
    settings = {"model": "BSpline", "n_knots": 7, "basis_sphere": "kG", "prior_range": 0.3}
    return bundle_of(rng, system(rng, **held_out), **settings)


# Couplings are slow to compile, and come in where no side differs from another.
CASES = [
    pytest.param(coefficients, SIDES),
    pytest.param(one_group, SIDES[1:], marks=pytest.mark.exhaustive),
    pytest.param(network, SIDES),
    pytest.param(spline, SIDES),
    pytest.param(with_couplings, SIDES[:1]),
    pytest.param(with_spin_and_couplings, SIDES[1:2], marks=pytest.mark.exhaustive),
]


def assert_close(found: np.ndarray, expected: np.ndarray, norms: np.ndarray, accuracy: float):
    """Entries that are alike in units of the norms of columns."""
    assert np.abs((found - expected) / norms).max() <= accuracy


def normal_of(linear: Linearised) -> np.ndarray:
    """J^T J."""
    if linear.normal is not None:
        assert linear.rows is None and linear.residuals is None
        return np.asarray(linear.normal)
    assert_allclose(linear.gradient - linear.rows.T @ linear.residuals, linear.beside, atol=1e-9)
    return np.asarray(linear.rows.T @ linear.rows)


@pytest.mark.parametrize(("make", "sides"), CASES)
def test_jacobian_is_the_finite_difference_on_every_side(make, sides):
    case = made(make(np.random.default_rng(6)))
    residuals, jacobian, penalties = central_differences(case)
    norms, size = np.linalg.norm(jacobian, axis=0), np.linalg.norm(residuals)
    assert norms.min() > 1e-3
    assert len(case.problem.groups) == (2 if make is coefficients else 1)
    whole_cost = size**2 + residuals_at(case, 0.0 * norms)[1]
    for side in sides:
        values, _, linear = near(case, side)
        assert (linear.rows is not None) == (make is network and side == "residuals")
        assert float(values.sum()) == pytest.approx(float(whole_cost))
        assert_close(normal_of(linear), jacobian.T @ jacobian, np.outer(norms, norms), 1e-6)
        gradient = jacobian.T @ residuals + penalties
        assert_close(linear.gradient, gradient, size * norms, 1e-6)
        assert_close(linear.column_norms, norms, norms, 1e-6)


def test_every_term_of_a_cost_is_among_those_that_are_compared():
    makes = coefficients, one_group, with_couplings
    costs = [made(make(np.random.default_rng(6))).cost for make in makes]
    names = {name for cost in costs for name in cost.names}
    assert names == {
        "bands", "masses", "deformation_potentials", "couplings", "roughness", "range", "width",
        "tail", "magnitude",
    }  # fmt: skip


def changed(bundle: Bundle, **changes: object) -> Bundle:
    """The bundle with changes to its first system."""
    first, *others = bundle.systems
    return replace(bundle, systems=(replace(first, **changes), *others))


def assert_same(found: tuple, expected: tuple, accuracy: float = 1e-9) -> None:
    (values, held_out, linear), (values_, held_out_, linear_) = found, expected
    norms, size = np.asarray(linear_.column_norms), float(values_.sum()) ** 0.5
    assert_allclose(values, values_, rtol=accuracy)
    assert_allclose(held_out, held_out_, rtol=accuracy)
    assert_close(normal_of(linear), normal_of(linear_), np.outer(norms, norms), accuracy)
    assert_close(linear.gradient, linear_.gradient, size * norms, accuracy)


def test_held_out_levels_do_not_enter():
    bundle = spline(np.random.default_rng(6))
    (system,) = bundle.systems
    seen, hidden = EVERY_SECOND, system.reference_energies.copy()
    hidden[seen] += 3.0
    expected = near(made(bundle), "inputs")
    other = near(made(changed(bundle, reference_energies=hidden)), "inputs")
    assert float(expected[1]) > 0 and float(other[1]) != pytest.approx(float(expected[1]))
    assert_same((other[0], expected[1], other[2]), expected)
    keys = "k_points", "k_weights", "reference_energies"
    fitted = {key: getattr(system, key)[~seen] for key in keys}
    settings = bundle.settings.model_copy(update={"prior_range": 0.0})  # it follows the weights
    bundle = replace(bundle, settings=settings)
    values, nothing, linear = near(made(changed(bundle, held_out=None, **fitted)), "inputs")
    assert float(nothing) == 0.0
    assert_same((values, expected[1], linear), near(made(bundle), "inputs"))


@pytest.mark.parametrize("side", ["residuals", "inputs"])
def test_single_precision_is_close(side):
    bundle = coefficients(np.random.default_rng(6))
    found = near(made(bundle, precision="float32"), side)
    assert found[2].gradient.dtype == jnp.float64
    assert_same(found, near(made(bundle), side), 1e-3)


@pytest.mark.parametrize("side", ["residuals", "parameters"])
def test_padded_k_points_do_not_count(side, monkeypatch):
    bundle = coefficients(np.random.default_rng(6))
    expected = near(made(bundle), side)
    whole = made(bundle).problem.groups[1]
    n_bytes = 2 * 16 * whole.tables.dimension**2
    monkeypatch.setitem(batching._CHUNK_BYTES, jax.default_backend(), n_bytes)
    case = made(bundle)
    group = case.problem.groups[1]
    assert (group.n_k, group.n_chunks, group.k_points.shape[1]) == ((3,), 2, 4)
    assert_same(near(case, side), expected)


def test_the_smallest_side_is_taken():
    case = made(coefficients(np.random.default_rng(6)))
    columns = columns_of(case.problem)
    n_levels = 2 * 3 + 3 * 2
    n_inputs = sum(of_group.size for of_group in columns)
    assert n_inputs > n_levels
    assert side_of(case.problem, columns, n_levels - 1) == "parameters"
    assert side_of(case.problem, columns, n_levels + 1) == "residuals"
    many = replace(case.problem.groups[1], n_k=(1000,))
    problem = replace(case.problem, groups=(case.problem.groups[0], many))
    assert side_of(problem, columns, n_inputs + 1) == "inputs"


def test_changes_of_a4_leave_every_system_neutral():
    case = made(coefficients(np.random.default_rng(6)))
    counts, neutral = np.asarray(case.problem.composition), np.asarray(case.coordinates.neutral)
    assert_allclose(counts @ neutral, 0.0, atol=1e-12)
    assert_allclose(neutral.T @ neutral, np.eye(neutral.shape[1]), atol=1e-12)
    assert neutral.shape[1] == counts.shape[1] - np.linalg.matrix_rank(counts)
    step = jnp.arange(1.0, 1.0 + case.coordinates.size(case.trainable))
    moved = case.coordinates.moved(case.trainable, step)
    assert_allclose((moved["local"] - case.trainable["local"]).ravel(), step[: -neutral.shape[1]])
    change = moved["long_range"] - case.trainable["long_range"]
    assert_allclose(neutral.T @ change, step[-neutral.shape[1] :])


def at_gamma(symbols: tuple[str, str] = ("Ga", "As"), **settings: object) -> Case:
    """Zinc blende at Gamma and off it, with references that keep multiplets together."""
    crystal = zinc_blende(symbols, [[0.0, 0.0, 0.0]])
    return made(bundle_of(np.random.default_rng(21), crystal, **settings))


SPIN_ORBIT = {"spin_orbit": True, "train_spin_orbit": True, "train_nonlocal": True}
SMOOTH_NETWORK = {
    "model": "Net_sigmoid_xavier_decayGaussian", "hidden_layers": (5,), "gaussian_std": 2.0
}  # fmt: skip


@pytest.mark.parametrize("settings", [{}, SPIN_ORBIT, SMOOTH_NETWORK])
def test_small_steps_at_a_degenerate_point_gain_what_they_promise(settings):
    case = at_gamma(**settings)
    values, _, linear = near(case, "residuals")
    assert_same(near(case, "inputs"), (values, 0.0, linear), 1e-8)
    assert_same(near(case, "parameters"), (values, 0.0, linear), 1e-8)
    damping = Damping(jnp.asarray(1e6), jnp.asarray(2.0), linear.column_norms)
    step = damped_step(linear, damping)
    before, after = (
        float(jnp.sum(residuals_at(case, change)[0] ** 2))
        for change in (0.0 * step.change, step.change)
    )
    assert 1e-9 * before < before - after < 1e-3 * before
    assert (before - after) / float(step.predicted) == pytest.approx(1.0, abs=1e-3)


def bent_numerically(case: Case, linear: Linearised, v: np.ndarray, size: float) -> np.ndarray:
    """J^T r_vv for levels that follow the inputs of H linearly: second differences of these."""
    cost, problem, frozen, trainable, coordinates = case

    def at(distance: float) -> tuple[list[np.ndarray], np.ndarray]:
        change = jnp.asarray(distance * size * v)
        params = merge(Split(coordinates.moved(trainable, change), frozen))
        flat = [
            np.stack([inputs_of(problem, params, group, i) for i in range(len(group.members))])
            for group in problem.groups
        ]
        known = [term for term in cost.terms if term.needs == "parameters"]
        rows = [term.residuals(problem, params, Evaluated([])) for term in known]
        return flat, np.asarray(joined(rows, problem.dtype))

    def second(f: list[np.ndarray]) -> np.ndarray:
        return (16.0 * (f[1] + f[3]) - f[0] - f[4] - 30.0 * f[2]) / (12.0 * size**2)

    found = [at(distance) for distance in (-2, -1, 0, 1, 2)]
    pull = np.asarray(linear.priors).T @ second([rows for _, rows in found])
    for group, by_inputs in enumerate(linear.bending):
        inputs = second([flat[group] for flat, _ in found])
        pull += np.einsum("spu,su->p", by_inputs, inputs)
    return pull


def inputs_of(problem: Problem, params: Parameters, group: SystemGroup, index: int) -> jax.Array:
    """All inputs of H of one system of a group."""
    tables = jax.tree.map(lambda leaf: leaf[index], group.tables)
    gamma = problem.channels.long_range_gamma
    shells = v_of_q(problem.local, params, tables.shell_radii, gamma).ravel()
    strengths = scaled_strengths(tables, problem.channels, params, tables.volume)
    return jnp.concatenate([shells, *(strength.ravel() for strength in strengths)])


@pytest.mark.exhaustive
@pytest.mark.parametrize(("make", "side"), [(coefficients, "inputs"), (one_group, "parameters")])
def test_a_step_follows_the_bend_of_the_model(make, side):
    case = made(make(np.random.default_rng(6)))
    cost, problem, frozen, trainable, coordinates = case
    linear = near(case, side)[2]
    steps = inputs_by_step(
        problem,
        lambda change: merge(Split(coordinates.moved(trainable, change), frozen)),
        jnp.zeros(len(linear.gradient)),
    )
    known = sum(np.einsum("spu,suq->pq", *pair) for pair in zip(linear.bending, steps, strict=True))
    norms = np.asarray(linear.column_norms)
    expected = linear.normal - linear.priors.T @ linear.priors
    if make is coefficients:  # Deformed crystals have inputs of their own.
        assert_close(known, expected, np.outer(norms, norms), 1e-9)

    damping = Damping(jnp.asarray(1e-2), jnp.asarray(2.0), linear.column_norms)
    straight = damped_step(linear, damping)
    step = geodesic_step(cost, problem, frozen, trainable, coordinates, linear, damping)
    v = np.asarray(straight.change)
    pull = bent_numerically(case, linear, v, 1e-3 / np.linalg.norm(v))
    acceleration = -np.linalg.solve(linear.normal + 1e-2 * np.diag(norms**2), pull)
    followed = 2.0 * np.linalg.norm(norms * acceleration) <= 0.75 * float(straight.length)
    expected = v + 0.5 * followed * acceleration
    assert_close(step.change, expected, 1.0 / norms, 1e-4 * float(straight.length))
    assert (step.predicted, step.length) == (straight.predicted, straight.length)
