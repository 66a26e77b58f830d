"""Bands that cross, followed along the path: known crossings, literal references, fits."""

import dataclasses
from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from bundle_samples import problems
from numpy.testing import assert_allclose, assert_array_equal
from samples import TRAINING, bundle_of, slope, states_of, zinc_blende
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
RULES = ("smooth_reorder", "eigenvector_reorder")


def parabolas(n: int = 21) -> np.ndarray:
    """Two crossing parabolas and a line above them, over two pieces of n points, the second one listed backwards."""
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


@pytest.mark.parametrize("seed", range(3))
def test_the_smooth_rule_is_that_of_the_hungarian_method(seed):
    energies = np.sort(np.random.default_rng(seed).normal(size=(24, 6)).cumsum(axis=0), axis=1)
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
        n_bands=8,
        max_kinetic_energy=0.8,
        k_points=k_points,
        k_weights=np.ones(len(k_points)),
        band_weights=np.ones(8),
        reference_energies=reference,
    )
    keys = {rule: True} if rule else {}
    system = dataclasses.replace(system, **changes)
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


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("sphere", ["G_full", "kG"])
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
