"""Error bars of least-squares fits: they cover the truth as often as they should."""

from dataclasses import replace

import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose
from samples import bands, bundle_of, zinc_blende

from deeppseudopot_jax import build_problem, deformation_potentials, initial_params
from deeppseudopot_jax.costs.bands import cost_of_bands
from deeppseudopot_jax.observables.band_numbers import band_numbers
from deeppseudopot_jax.training.interface import TrainingState
from deeppseudopot_jax.training.least_squares.levenberg_marquardt import least_squares
from deeppseudopot_jax.training.least_squares.spreads import (
    spread_of_deformation_potentials,
    spreads,
)
from deeppseudopot_jax.training.least_squares.uncertainty import (
    independent_data,
    uncertainty,
)
from deeppseudopot_jax.training.loop import train
from deeppseudopot_jax.training.trainable import Split, merge, split
from deeppseudopot_jax.types import DeformationTarget

K_POINTS = [[0.0, 0.0, 0.0], [0.5, 0.0, 0.5], [0.5, 0.5, 0.5], [0.3, 0.1, 0.2], [0.1, 0.2, 0.4]]
SILICON = [73.0, 2.1, 3.0, 0.7]
NOISE = 0.02  # eV, of a level of weight 1
N_FITS = 40


def silicon(**settings: object):
    """A small bundle with the Zunger form near silicon's, and its own bands as reference."""
    system = zinc_blende(
        ("Si", "Si"), K_POINTS, valence_band=7, conduction_band=8, n_bands=10, gap_k_point=0,
        band_weights=np.linspace(0.5, 2.0, 10),
    )  # fmt: skip
    bundle = bundle_of(
        np.random.default_rng(0), system, optimizer="lm", max_epochs=100, plot_every=100, **settings
    )
    rows = bundle.coefficients.copy()
    rows[:, :4] = SILICON
    rows[:, 4:] = 0.0
    bundle = replace(bundle, coefficients=rows)
    problem = build_problem(bundle)
    (exact,) = bands(problem, initial_params(bundle, problem))
    return replace(bundle, systems=(replace(system, reference_energies=np.asarray(exact)),))


@pytest.mark.as_compiled
def test_intervals_cover_the_truth_as_often_as_they_should():
    bundle = silicon()
    (system,), rng = bundle.systems, np.random.default_rng(1)
    truth = initial_params(bundle, build_problem(bundle))
    exact = system.reference_energies
    q, transform = jnp.linspace(0.5, 3.0, 4), jnp.zeros((1, 4))
    true_v = None
    numbers_exact = band_numbers(system, exact)
    hits, sigmas = [], []
    for _ in range(N_FITS):
        noise = NOISE * rng.normal(size=exact.shape) / np.sqrt(system.level_weights)
        noisy = replace(bundle, systems=(replace(system, reference_energies=exact + noise),))
        problem = build_problem(noisy)
        last = list(train(problem, truth, noisy.settings))[-1]
        assert last.stopped.startswith("converged"), last.stopped
        trainable, frozen = split(last.params, ("local",))
        optimiser = least_squares(problem, cost_of_bands(problem), trainable)
        state = TrainingState(trainable, optimiser.begin(trainable))
        info, found = optimiser.look(problem, frozen, state)
        known = optimiser.coordinates.known_beforehand(trainable)
        fit = uncertainty(found.near, info.cost, known, independent_data(problem))
        assert fit.n_data == exact.size
        assert float(fit.determined) == pytest.approx(4.0, abs=1e-3)
        sigmas.append(float(fit.sigma))
        (fitted,) = bands(problem, last.params)
        fitted = np.asarray(fitted)
        numbers = [
            replace(number, value=float(np.sum(number.slopes * fitted))) for number in numbers_exact
        ]
        slopes = [jnp.asarray(np.stack([number.slopes for number in numbers]))]
        spread = spreads(
            problem, frozen, trainable, optimiser.coordinates, found.states, fit.half, slopes, q,
            transform,
        )  # fmt: skip
        v, true_v = (problem.local.apply(p.local, q) for p in (last.params, truth))
        errors = np.concatenate(
            [
                np.ravel(last.params.local - truth.local) / np.linalg.norm(fit.half, axis=1),
                [
                    (number.value - np.sum(number.slopes * exact)) / sigma
                    for number, sigma in zip(numbers, spread.numbers, strict=True)
                ],
                np.ravel((v - true_v) / spread.v_q),
                ((fitted - exact) / np.asarray(spread.bands[0]))[:, ::3].ravel(),
            ]
        )
        hits.append(np.abs(errors) <= 1.0)
    assert np.mean(sigmas) == pytest.approx(NOISE, rel=0.05)
    covered = np.sum(hits, axis=0)
    expected, scatter = 0.6827 * N_FITS, (N_FITS * 0.6827 * 0.3173) ** 0.5
    assert_allclose(covered, expected, atol=3.0 * scatter)
    assert np.mean(covered) == pytest.approx(expected, abs=1.5 * scatter)


def test_error_bars_of_deformation_potentials_are_those_of_their_slopes():
    rows = tuple(
        DeformationTarget((0, 7), (k_point, 8), ratio, 0.0, 1.0)
        for k_point, ratio in [(0, 0.99), (1, 1.01)]
    )
    bundle = silicon()
    problem = build_problem(bundle)
    params = initial_params(bundle, problem)
    trainable, frozen = split(params, ("local",))
    coordinates = least_squares(problem, cost_of_bands(problem), trainable).coordinates
    half = np.random.default_rng(2).normal(size=(4, 4))
    found = spread_of_deformation_potentials(
        problem, frozen, trainable, coordinates, jnp.asarray(half), 0, rows
    )

    def potentials(step):
        moved = merge(Split(coordinates.moved(trainable, jnp.asarray(step)), frozen))
        return np.asarray(deformation_potentials(problem, moved, 0, rows))

    size = 1e-4
    steps = size * np.eye(4)
    slopes = np.stack([(potentials(s) - potentials(-s)) / (2 * size) for s in steps], axis=1)
    assert_allclose(found, np.linalg.norm(slopes @ half, axis=1), rtol=1e-4)
