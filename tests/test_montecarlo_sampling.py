"""Samplers reproduce known densities; tolerances come from the effective sample size."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from toy_sampling import (
    DOUBLE_WELL,
    HARMONIC,
    KERNELS,
    N_STEPS,
    compare,
    made,
    on_rung,
    sample,
)

from deeppseudopot_jax.montecarlo.delayed_acceptance import DelayedAcceptance
from deeppseudopot_jax.montecarlo.diagnostics import (
    autocorrelation_time,
    effective_sample_size,
    rates,
)
from deeppseudopot_jax.montecarlo.interface import Proposal
from deeppseudopot_jax.montecarlo.metropolis import (
    Metropolis,
    accept_or_revert,
    log_boltzmann_ratio,
)

STANDARD_ERRORS = 4.0  # seven correlated points: one run in several thousand exceeds it by chance
FOUR_CHAINS = [2.0] * 4
LADDER = [6.0, 3.5, 2.0, 1.0]


@pytest.mark.parametrize("kind", KERNELS)
@pytest.mark.parametrize("energy", [HARMONIC, DOUBLE_WELL])
def test_a_kernel_reproduces_the_density(kind, energy):
    _, info = sample(made(kind, energy), FOUR_CHAINS)
    found = compare(np.asarray(info.history.kept), energy, 2.0)
    assert found.sample_size > 700
    assert found.deviation < STANDARD_ERRORS


@pytest.mark.parametrize("kind", KERNELS)
def test_every_rung_of_a_ladder_has_its_own_density(kind):
    state, info = sample(made(kind, DOUBLE_WELL, 0.7), LADDER, seed=1)
    for rung, beta in enumerate(LADDER):
        found = compare(on_rung(info, rung), DOUBLE_WELL, beta)
        assert found.sample_size > 60
        assert found.deviation < STANDARD_ERRORS
    assert rates(state.counts).swaps.min() > 0.3
    assert int(state.counts.round_trips.min()) > 50


def test_without_swaps_the_cold_walker_stays_in_its_well():
    _, alone = sample(made(Metropolis, DOUBLE_WELL, 0.7), [6.0] * 4, seed=1)
    wrong_well = np.asarray(alone.history.kept) > 0.0  # the start is in it, weight exp(-3.6)
    _, tempered = sample(made(Metropolis, DOUBLE_WELL, 0.7), LADDER, seed=1)
    assert wrong_well[N_STEPS // 20 :].mean() > 0.5
    assert np.mean(on_rung(tempered, 0)[N_STEPS // 20 :] > 0.0) < 0.1


class ForgetsTheWayBack(DelayedAcceptance):
    """The form for a screen that is the same everywhere, which this one is not."""

    def settle(self, key, replica, attempt):
        found = self._evaluated(attempt.params, replica.aux.aux, replica.temperature)
        log_pi = log_boltzmann_ratio(replica.temperature, found.cost, replica.cost)
        screened = self.screen(attempt.params, replica.aux.aux)
        log_pi_screen = log_boltzmann_ratio(replica.temperature, screened, replica.aux.screened)
        return accept_or_revert(key, log_pi - log_pi_screen, found, replica)


jax.tree_util.register_pytree_node(
    ForgetsTheWayBack,
    lambda k: ((k.move, k.evaluate, k.screen), None),
    lambda _, parts: ForgetsTheWayBack(*parts),
)


def test_the_comparison_sees_a_missing_reverse_screen():
    _, info = sample(made(ForgetsTheWayBack), FOUR_CHAINS)
    found = compare(np.asarray(info.history.kept), HARMONIC, 2.0)
    assert found.deviation > 2.0 * STANDARD_ERRORS


def scaling_move(key, params, step_factor):
    """x * exp(u), whose density depends on where it starts: q(x|y) / q(y|x) = y / x."""
    u = step_factor * jax.random.uniform(key, minval=-1.0)
    return Proposal({"x": params["x"] * jnp.exp(u)}, u)


def test_a_move_that_is_not_symmetric_needs_its_ratio():
    kernel = Metropolis(jax.tree_util.Partial(scaling_move), made(Metropolis).evaluate)
    _, info = sample(kernel, FOUR_CHAINS)
    folded = np.asarray(info.history.kept)
    signs = np.random.default_rng(0).choice([-1.0, 1.0], size=folded.shape)  # e(x) = e(-x)
    assert (folded > 0).all()
    assert compare(folded * signs, HARMONIC, 2.0).deviation < STANDARD_ERRORS


def test_screening_saves_evaluations_and_its_steps_count():
    state, info = sample(made(DelayedAcceptance, DOUBLE_WELL), FOUR_CHAINS)
    steps = info.history.info
    assert float(np.mean(steps.evaluated)) < 0.3
    assert (np.isnan(steps.proposed_cost) == ~np.asarray(steps.evaluated)).all()
    assert not (np.asarray(steps.accepted) & ~np.asarray(steps.evaluated)).any()
    kept = np.asarray(info.history.kept)
    assert (np.diff(kept, axis=0) != 0)[~np.asarray(steps.accepted)[1:]].sum() == 0
    np.testing.assert_array_equal(state.counts.steps, [N_STEPS] * 4)
    assert int(state.counts.accepted.sum()) == int(np.sum(steps.accepted))
    assert int(state.counts.evaluated.sum()) == int(np.sum(steps.evaluated))


def test_effective_sample_sizes_of_known_chains():
    rng = np.random.default_rng(1)
    noise = rng.normal(size=(40_000, 2))
    assert effective_sample_size(noise) == pytest.approx(80_000, rel=0.05)
    slow = np.zeros_like(noise)
    for t in range(1, len(noise)):
        slow[t] = 0.9 * slow[t - 1] + noise[t]
    assert autocorrelation_time(slow) == pytest.approx(19.0, rel=0.15)  # (1 + a) / (1 - a)
    assert effective_sample_size(np.ones((50, 3))) == 3.0
    stuck = effective_sample_size(np.tile([0.0, 1.0, 2.0], (50, 1)))
    assert stuck < 7.0
