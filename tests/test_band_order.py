"""Bands that cross, followed along the path: known crossings, literal references, fits."""

import dataclasses
from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from bundle_samples import problems
from numpy.testing import assert_allclose, assert_array_equal
from samples import TRAINING, bundle_of, slope, states_of
from scipy.optimize import linear_sum_assignment

from deeppseudopot_jax import build_problem, initial_params, loss
from deeppseudopot_jax.band_curves import (
    ByOverlaps,
    Following,
    Smooth,
    followed_levels,
    reference_curves,
)
from deeppseudopot_jax.costs.bands import cost_of_bands
from deeppseudopot_jax.k_path import straight_pieces
from deeppseudopot_jax.montecarlo.evaluation import BandEvaluation, start_of
from deeppseudopot_jax.montecarlo.screening import RitzScreen
from deeppseudopot_jax.observables.band_order import followed, neighbour_overlaps
from deeppseudopot_jax.observables.evaluation import evaluate_bands
from deeppseudopot_jax.training.descent import differentiated
from deeppseudopot_jax.training.loop import train
from deeppseudopot_jax.training.trainable import split
from deeppseudopot_jax.types import Crystal, SystemInput
from deeppseudopot_jax.units import HARTREE_IN_EV

RECIPROCAL = 2.0 * np.pi / 8.0  # Bohr^-1
SPHERES = ("G_full", "kG")
RULES = ("smooth_reorder", "eigenvector_reorder")


def parabolas(n: int = 21) -> np.ndarray:
    """Two crossing parabolas and a line above them, over two pieces, the second one backwards."""
    x = np.linspace(0.0, 1.0, n)
    curves = np.stack([x**2, 0.5 - x**2, 1.2 + 0.1 * x], axis=1)
    return np.concatenate([curves, curves[::-1] + 0.3])


def literal_smooth(energies: np.ndarray, starts: set[int]) -> np.ndarray:
    """The level of every curve, by the Hungarian method on squared distances."""
    found, history = [], []
    for k, levels in enumerate(energies):
        if k in starts:
            chosen, history = np.arange(len(levels)), []
        else:
            past = [history[-1 - i] if i < len(history) else None for i in range(4)]
            differences = [past[0]]
            for order, signs in enumerate(([1, -1], [1, -2, 1], [1, -3, 3, -1]), 1):
                known = len(history) > order
                terms = [s * past[i] for i, s in enumerate(signs)] if known else [0.0 * levels]
                differences.append(np.sum(terms, axis=0))
            predicted = sum(f * d for f, d in zip((1, 1.3, 0.5, 1 / 6), differences, strict=True))
            _, chosen = linear_sum_assignment((predicted[:, None] - levels) ** 2)
        history.append(levels[chosen])
        found.append(chosen)
    return np.array(found)


def test_the_smooth_rule_is_that_of_the_hungarian_method():
    energies = np.sort(np.random.default_rng(0).normal(size=(24, 6)).cumsum(axis=0), axis=1)
    starts = np.isin(np.arange(24), [0, 10, 11])
    found = jax.jit(Smooth())(jnp.asarray(energies), jnp.asarray(starts))
    assert_array_equal(found, literal_smooth(energies, {0, 10, 11}))


@pytest.mark.parametrize("doubled", [1, 2])
@pytest.mark.parametrize("given", ["curves", "ascending"])
def test_crossing_parabolas_are_given_to_their_columns(doubled, given):
    curves = parabolas()
    ascending = np.sort(curves, axis=1)
    pieces = np.repeat([0, 1], 21)
    shown = curves if given == "curves" else ascending
    reference = np.repeat(shown, doubled, axis=1)
    weights = np.ones(reference.shape)
    columns = reference_curves(reference, weights, doubled, pieces, Smooth())
    following = Following(jnp.asarray(pieces), jnp.asarray(columns), Smooth(), 2)
    shape = *curves.shape, doubled
    parts = [jnp.asarray(leaf.reshape(shape)) for leaf in (reference + 0.02, weights)]
    levels = jax.jit(followed_levels)(following, jnp.asarray(ascending), None, *parts)
    assert_array_equal(np.take_along_axis(ascending, np.asarray(levels), axis=1), shown)


def test_what_nobody_knows_of_a_reference_is_left_alone():
    reference = np.concatenate([np.sort(parabolas(), axis=1), np.zeros((42, 1))], axis=1)
    columns = reference_curves(reference, np.ones((42, 4)), 1, np.repeat([0, 1], 21), Smooth())
    assert_array_equal(columns[:, 3], 3)
    assert columns[20].tolist() == [1, 0, 2, 3] and columns[21].tolist() == [0, 1, 2, 3]


def test_curves_leave_a_crossing_as_they_have_come():
    """Two states of H = diag(x, -x): at x = 0 any basis is as good as any other one."""
    x = np.linspace(-1.0, 1.0, 9)
    angle = 0.6
    turned = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    swapped = np.eye(2)[::-1]
    states = np.array([np.eye(2) if v < 0 else turned if v == 0 else swapped for v in x])
    overlaps = np.array([b.T @ a for a, b in pairwise(states)]).astype(complex)
    energies = np.sort(np.stack([x, -x], axis=1), axis=1)
    found = ByOverlaps()(jnp.asarray(energies), jnp.arange(9) == 0, jnp.asarray(overlaps))
    assert_array_equal(found[:4], [[0, 1]] * 4)
    assert_array_equal(found[5:], [[1, 0]] * 4)


def path() -> np.ndarray:
    """Two lines of 17 points with a jump between them; the middle of the first is a crossing."""
    first = np.linspace([0.3, 0.41, 0.013], [0.7, 0.41, 0.013], 17)
    return np.concatenate([first, np.linspace([0.62, 0.7, 0.013], [0.58, 0.3, 0.013], 17)])


def free_electrons(k_points: np.ndarray) -> np.ndarray:
    """|k+G|^2/2 (eV) of the four lowest plane waves near (1/2, 1/2, 0) of a cubic cell."""
    waves = np.array([[0, 0, 0], [-1, 0, 0], [0, -1, 0], [-1, -1, 0]])
    return 0.5 * HARTREE_IN_EV * RECIPROCAL**2 * np.sum((k_points[:, None] + waves) ** 2, axis=2)


def cubic(reference: np.ndarray, rule: str, sphere: str = "G_full", **changes: object):
    """Bundle and problem of a cubic crystal with one atom whose v(q) is weak."""
    k_points = path()
    system = SystemInput(
        index=0,
        name="cubic",
        crystal=Crystal(8.0 * np.eye(3), np.zeros((1, 3)), ("Si",)),
        n_bands=reference.shape[1],
        max_kinetic_energy=0.8,
        k_points=k_points,
        k_weights=np.ones(len(k_points)),
        band_weights=np.ones(reference.shape[1]),
        reference_energies=reference,
        **changes,
    )
    keys = {rule: True} if rule else {}
    bundle = bundle_of(np.random.default_rng(0), system, basis_sphere=sphere, **keys, **TRAINING)
    coefficients = np.array([[-0.3, 2.0, 2.0, 0.3, 0.0, 0.0, 0.0, 0.0, 0.0]])
    bundle = dataclasses.replace(bundle, coefficients=coefficients)
    return bundle, build_problem(bundle)


def start(bundle, problem, strength: float):
    """The parameters with v(q) as many times as strong."""
    params = initial_params(bundle, problem)
    return params.replace(local=params.local.at[:, 0].multiply(strength))


def bands_of(problem, params) -> np.ndarray:
    return np.asarray(evaluate_bands(problem, params, keep_vectors=False).bands[0])


@pytest.mark.parametrize(
    ("rule", "sphere"),
    [
        (RULES[0], "G_full"),
        (RULES[1], "kG"),
        pytest.param(RULES[1], "G_full", marks=pytest.mark.exhaustive),
        pytest.param(RULES[0], "kG", marks=pytest.mark.exhaustive),
    ],
)
def test_free_electrons_are_followed_through_their_crossings(rule, sphere):
    curves = free_electrons(path())
    assert len(np.unique(np.argsort(curves, axis=1), axis=0)) > 4
    reference = np.repeat(curves, 2, axis=1)
    bundle, problem = cubic(reference + 0.05, rule, sphere)
    found = bands_of(problem, start(bundle, problem, 0.0))
    assert_allclose(found, reference, atol=1e-6)
    ascending = np.sort(reference, axis=1)
    bundle, problem = cubic(ascending + 0.05, rule, sphere)
    assert_allclose(bands_of(problem, start(bundle, problem, 0.0)), ascending, atol=1e-6)


@pytest.fixture(scope="module", params=RULES)
def fit(request):
    """A fit to bands that cross, given as columns; at strength 1 the cost is 0."""
    guide, problem = cubic(np.repeat(free_electrons(path()), 2, axis=1), request.param)
    reference = bands_of(problem, start(guide, problem, 1.0))
    assert (np.diff(reference, axis=1) < -0.1).any()
    return *cubic(reference, request.param), reference


compiled_loss = jax.jit(loss)


def test_the_cost_is_that_of_continuous_bands_and_has_their_gradient(fit):
    bundle, problem, reference = fit
    assert float(compiled_loss(problem, start(bundle, problem, 1.0))) == pytest.approx(0, abs=1e-10)
    other, by_energy = cubic(reference, "")
    assert float(compiled_loss(by_energy, start(other, by_energy, 1.0))) > 1.0
    params = start(bundle, problem, 1.3)
    trainable, frozen = split(params, ("local",))
    states = states_of(problem, params)
    found, _, gradient, _, _ = differentiated(
        cost_of_bands(problem), problem, frozen, trainable, states
    )
    assert float(found) == pytest.approx(float(compiled_loss(problem, params)), rel=1e-9)

    def along(distance: float) -> float:
        return compiled_loss(problem, params.replace(local=params.local.at[0, 0].add(distance)))

    assert float(gradient["local"][0, 0]) == pytest.approx(slope(along), rel=1e-6)


@pytest.mark.parametrize("fit", RULES[1:], indirect=True)
def test_monte_carlo_has_the_same_cost_exact_and_screened(fit):
    bundle, problem, _ = fit
    params, near = start(bundle, problem, 1.3), start(bundle, problem, 1.31)
    vectors, preconditioners = start_of(problem, near)
    cost = cost_of_bands(problem)
    evaluation = BandEvaluation(problem, cost, preconditioners)
    found, left = evaluation(params, evaluation.begin(vectors))
    expected = float(compiled_loss(problem, params))
    assert float(found) == pytest.approx(expected, rel=1e-6)
    assert float(RitzScreen(problem, cost)(params, left)) == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize(
    "rule", [pytest.param(RULES[0], marks=pytest.mark.exhaustive), RULES[1], ""]
)
def test_least_squares_ends_at_the_potential_only_where_bands_are_followed(rule):
    guide, problem = cubic(np.repeat(free_electrons(path()), 2, axis=1), rule or RULES[0])
    reference = bands_of(problem, start(guide, problem, 1.0))
    bundle, problem = cubic(reference, rule)
    settings = bundle.settings.model_copy(update={"optimizer": "lm", "max_epochs": 6})
    epochs = list(train(problem, start(bundle, problem, 2.0), settings))
    if not rule:
        assert epochs[-1].cost > 1.0
        return
    assert epochs[0].cost > 0.01 and epochs[-1].cost < 1e-6
    assert_allclose(bands_of(problem, epochs[-1].params), reference, atol=1e-3)


def test_both_bases_have_the_overlaps_of_their_waves():
    for sphere in SPHERES:
        bundle, problem = cubic(np.repeat(free_electrons(path()), 2, axis=1), RULES[1], sphere)
        (states,) = states_of(problem, start(bundle, problem, 1.0))
        (found,) = np.asarray(neighbour_overlaps(problem.groups[0], states.vectors))
        tables, vectors = problem.groups[0].tables, np.asarray(states.vectors[0, :, :, :4])
        sets = len(tables.wave_integers[0])
        for k in (3, 20):
            waves = [np.asarray(tables.wave_integers[0, min(k + i, sets - 1)]) for i in (0, 1)]
            masks = [np.asarray(tables.wave_mask[0, min(k + i, sets - 1)]) for i in (0, 1)]
            expected = np.zeros((4, 4), complex)
            for row, g in enumerate(waves[0]):
                for other, h in enumerate(waves[1]):
                    if masks[0][row] and masks[1][other] and (g == h).all():
                        expected += np.outer(vectors[k + 1, other].conj(), vectors[k, row])
            assert_allclose(found[k], expected, atol=1e-12)


@pytest.mark.parametrize("fit", RULES[1:], indirect=True)
def test_relative_and_held_out_levels_are_given_to_their_columns(fit):
    _, problem, reference = fit
    rule = next(iter(problem.follows)).key.replace("eigvec", "eigenvector")
    shift = np.linspace(-3.0, 3.0, len(reference))[:, None]
    held_out = np.arange(len(reference)) >= 17
    changes = {"relative_band": 2, "held_out": held_out}
    bundle, changed = cubic(reference + shift, rule, **changes)
    params = start(bundle, changed, 1.0)
    found = differentiated(
        cost_of_bands(changed), changed, params, split(params, ("local",)).trainable,
        states_of(changed, params),
    )  # fmt: skip
    assert_allclose([found[0], found[4]], 0.0, atol=1e-9)


def test_a_bundle_with_order_matrices_keeps_them_and_an_odd_band_stays():
    order = np.tile([1, 0, 2, 3, 4, 5, 6], (34, 1))
    reference = np.repeat(free_electrons(path()), 2, axis=1)[:, :7]
    _, fixed = cubic(reference, RULES[0], band_order=order)
    assert not fixed.follows
    bundle, problem = cubic(reference, RULES[0])
    params = start(bundle, problem, 0.0)
    (target,) = followed(problem, states_of(problem, params)).targets
    assert_array_equal(np.sort(target.band_order, axis=1), np.tile(np.arange(7), (34, 1)))
    assert_array_equal(target.band_order[:, 6], 6)


def test_pieces_end_at_jumps_corners_and_points_listed_twice():
    def line(a, b, n=4):
        return np.linspace(a, b, n)

    corner = [line([0.5, 0, 0], [0, 0, 0]), line([0, 0.1, 0], [0, 0.4, 0])]
    jump = [line([0.5, 0.5, 0.1], [0.5, 0.5, 0.4]), [[0.1, 0.2, 0.3], [0.4, 0.1, 0.2]]]
    twice = [line([0, 0, 0], [0.3, 0, 0]), line([0.3, 0, 0], [0.6, 0, 0])]
    assert_array_equal(
        straight_pieces(np.concatenate(corner + jump), np.eye(3)),
        [0] * 4 + [1] * 4 + [2] * 4 + [3, 4],
    )
    assert_array_equal(straight_pieces(np.concatenate(twice), np.eye(3)), [0] * 4 + [1] * 4)
    assert_array_equal(straight_pieces(np.array([[0.1, 0.2, 0.3]]), np.eye(3)), [0])


def test_references_may_cross_where_bands_are_followed(tmp_path):
    config = "PPmodel = Net_relu\nhiddenLayers = 4 3\nnSystem = 1\n"
    crossing = "0.0 -1 0 2 3\n0.5 -2 -1 4 3\n"
    for key in ("smooth_reorder", "eigvec_reorder"):
        asked = config + f"{key} = 1\n"
        assert problems(tmp_path / key, NN_config=asked, expBandStruct_0=crossing) == []
    (found,) = problems(tmp_path / "none", expBandStruct_0=crossing)
    assert "smooth_reorder" in found
    both = config + "smooth_reorder = 1\neigvec_reorder = 1\n"
    (found,) = problems(tmp_path / "both", NN_config=both)
    assert "both rule the order" in found
