"""The cost terms beyond the bands: weights, what counts and what is refused."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose
from samples import bands, bundle_of, random_system, square

from deeppseudopot_jax import build_problem, initial_params, read_bundle
from deeppseudopot_jax.costs.couplings import coupling_errors, mean_of_system
from deeppseudopot_jax.costs.deformation import deformation_errors
from deeppseudopot_jax.costs.interface import Cost, Evaluated
from deeppseudopot_jax.costs.masses import mass_errors
from deeppseudopot_jax.crystal import reciprocal_lattice
from deeppseudopot_jax.eigensolvers.dense import dense
from deeppseudopot_jax.observables.couplings import couplings
from deeppseudopot_jax.observables.deformation import deformation_potentials
from deeppseudopot_jax.types import CouplingTarget, DeformationTarget
from deeppseudopot_jax.units import HARTREE_IN_EV

potentials = jax.jit(deformation_potentials, static_argnums=(2, 3))
couplings_of = jax.jit(couplings)
ROWS = (
    DeformationTarget((0, 1), (1, 3), 1.02, -3.0, 2.0),
    DeformationTarget((1, 2), None, 0.98, 4.0, 0.5),
)
Q_WEIGHTS = np.array([1.0, 3.0])
TARGETS = (
    CouplingTarget(1, "As", "y", "cb", np.array([0.3, -0.4])),
    CouplingTarget(0, "Ga", "x", "vb", np.array([0.1, 0.2])),
)


@pytest.fixture(scope="module")
def case():
    rng = np.random.default_rng(8)
    plain = random_system(rng, ("As",), 0.8, n_k=1)
    system = random_system(
        rng,
        ("Ga", "As"),
        deformation_targets=ROWS,
        coupling_targets=TARGETS,
        q_points=np.array([[0.5, 0.0, 0.0], [0.1, 0.2, 0.3]]),
        q_weights=Q_WEIGHTS,
        gap_k_point=0,
        valence_band=2,
        conduction_band=4,
        index=1,
    )
    bundle = bundle_of(rng, plain, system)
    problem = build_problem(bundle, solver=dense)
    return bundle, problem, initial_params(bundle, problem)


def test_deformation_cost_is_the_weighted_sum_of_squares(case):
    bundle, problem, params = case
    term = deformation_errors(bundle, (0, 1))
    assert [fit.system_index for fit in term.fits] == [1]
    found = potentials(problem, params, 1, ROWS)
    expected = 2.0 * (found[0] + 3.0) ** 2 + 0.5 * (found[1] - 4.0) ** 2
    found = square(term, problem, params, bands(problem, params))
    assert_allclose(found, expected, rtol=1e-12)


def test_coupling_costs_count_what_is_given(case):
    bundle, problem, params = case
    term = coupling_errors(bundle, problem, (0, 1))
    found = np.asarray(couplings_of(problem, params, term.fits[0].tables))
    errors = np.stack(
        [found[:, 1, 1, 1] - [0.3, 0.4], found[:, 0, 0, 0] - [0.1, 0.2]]  # magnitudes
    )
    total = np.sum(Q_WEIGHTS * errors**2)
    n_k = len(bundle.systems[1].k_points)
    assert_allclose(square(term, problem, params, []), n_k * total, rtol=1e-12)
    mean = coupling_errors(bundle, problem, (0, 1), mean_of_system)
    assert_allclose(square(mean, problem, params, []), total / 4, rtol=1e-12)


def test_mass_cost_compares_with_the_masses_of_the_reference(case):
    bundle, problem, params = case
    system = bundle.systems[1]
    term = mass_errors(bundle, problem, [1])
    (fit,) = term.fits
    assert fit.points == (0, 1)  # the gap comes first: its neighbour comes after it
    step = np.diff(system.k_points, axis=0)[0] @ reciprocal_lattice(system.crystal.lattice)

    def masses(levels):
        change = (levels[1] - levels[0])[[2, 4]] / HARTREE_IN_EV
        return step @ step / (2.0 * change) * [-1.0, 1.0]

    levels = bands(problem, params)
    errors = masses(np.asarray(levels[1])) - masses(system.reference_energies)
    found = square(term, problem, params, levels)
    assert_allclose(found, np.sum(errors**2), rtol=1e-10)
    later = dataclasses.replace(
        bundle, systems=(bundle.systems[0], dataclasses.replace(system, gap_k_point=1))
    )
    assert mass_errors(later, problem, [1]).fits[0].points == (1, 0)


def test_costs_of_replicas_are_a_batch_with_gradients(case):
    bundle, problem, params = case
    couplings = coupling_errors(bundle, problem, (0, 1), mean_of_system)
    terms = Cost((deformation_errors(bundle, (0, 1)), couplings))

    def cost(one, problem, terms):
        return terms(problem, one, Evaluated(bands(problem, one)))

    replicas = jax.tree.map(lambda leaf: jnp.stack([leaf, 1.01 * leaf]), params)
    batched = jax.jit(jax.vmap(jax.value_and_grad(cost), (0, None, None)))
    values, gradients = batched(replicas, problem, terms)
    assert_allclose(values[0], jax.jit(cost)(params, problem, terms), rtol=1e-9)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradients))
    assert np.abs(gradients["local"]).max() > 0


def test_what_is_missing_is_refused(case):
    bundle, problem, _ = case
    system = bundle.systems[1]

    def changed(**changes):
        other = dataclasses.replace(system, **changes)
        return dataclasses.replace(bundle, systems=(bundle.systems[0], other))

    flat = np.zeros_like(system.reference_energies)
    of_k_points = ("k_points", "k_weights", "reference_energies")
    for changes, message in (
        ({"gap_k_point": None}, "idxGap"),
        ({"reference_energies": None}, "missing"),
        ({"reference_energies": flat}, "flat"),
        ({key: getattr(system, key)[:1] for key in of_k_points}, "neighbour"),
    ):
        with pytest.raises(ValueError, match=message):
            mass_errors(changed(**changes), problem, [1])
    with pytest.raises(ValueError, match="qpoints_1"):
        coupling_errors(changed(q_points=None), problem, (0, 1))


@pytest.mark.exhaustive
def test_couplings_with_spin_orbit_of_a_real_bundle(reference_bundle):
    config = "PPmodel = ZeroFunction\nhiddenLayers = 1\nnSystem = 1\nSObool = 1\n"
    folder = reference_bundle("cspbi3_montecarlo", config)
    for symbol in ("Cs", "I", "Pb"):
        (folder / f"{symbol}Params.par").rename(folder / f"init_{symbol}Params.par")
    bundle = read_bundle(folder)
    problem = build_problem(bundle)
    params = initial_params(bundle, problem)
    (fit,) = coupling_errors(bundle, problem, (0,)).fits
    # k + q = (1, 1, 1) is Gamma, which is in the list.
    assert_allclose(fit.tables.points.k_points[1], 0.0)
    found = np.asarray(couplings_of(problem, params, fit.tables))
    assert found.shape == (2, 2, 5, 3)
    assert np.isfinite(found).all()
    # The cubic axes: lead and caesium alike along all three, iodine along its bond.
    assert_allclose(found[..., [0, 4], 0], found[..., [0, 4], 2], rtol=1e-4, atol=1e-6)
    assert_allclose(found[..., 1, 0], found[..., 2, 1], rtol=1e-4, atol=1e-6)
