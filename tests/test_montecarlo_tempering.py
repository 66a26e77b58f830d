"""Swaps by exact enumeration, schedules, and the ladder's adaptation."""

from itertools import product

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from toy_sampling import HARMONIC, START, evaluate, uniform_step, x_of

from deeppseudopot_jax.montecarlo.metropolis import Metropolis
from deeppseudopot_jax.montecarlo.schedule import alternating, annealing, geometric, ladder
from deeppseudopot_jax.montecarlo.swaps import adapted, swap, swap_probability
from deeppseudopot_jax.montecarlo.tempering import Tempering, run_chunk

COSTS = np.array([0.04, 0.81, 0.25])  # of the three states of a discrete model
BETAS = jnp.asarray([3.0, 1.2])
STATES = list(product(range(3), repeat=2))  # (on the cold rung, on the hot rung)


def boltzmann(beta: float) -> np.ndarray:
    weights = np.exp(-beta * np.sqrt(COSTS))
    return weights / weights.sum()


def metropolis_matrix(beta: float) -> np.ndarray:
    """Transition matrix of the exact rule with uniform proposals among the other states."""
    energies = np.sqrt(COSTS)
    matrix = 0.5 * np.minimum(1.0, np.exp(-beta * (energies[None, :] - energies[:, None])))
    np.fill_diagonal(matrix, 0.0)
    return matrix + np.diag(1.0 - matrix.sum(axis=1))


def swap_matrix() -> np.ndarray:
    """Transition matrix of a swap on the nine joint states, from the code's own probability."""
    matrix = np.zeros((9, 9))
    for row, (cold, hot) in enumerate(STATES):
        p = float(swap_probability(BETAS, jnp.asarray(COSTS[[cold, hot]]))[0])
        matrix[row, STATES.index((hot, cold))] += p
        matrix[row, row] += 1.0 - p
    return matrix


def test_swaps_leave_the_joint_density_of_two_replicas_as_it_is():
    joint = np.kron(*(boltzmann(float(beta)) for beta in BETAS))
    local = np.kron(*(metropolis_matrix(float(beta)) for beta in BETAS))
    swaps = swap_matrix()
    assert_allclose(joint @ local, joint, atol=1e-15)
    assert_allclose(joint @ swaps, joint, atol=1e-15)
    flow = joint[:, None] * swaps
    assert_allclose(flow, flow.T, atol=1e-16)  # detailed balance, not just stationarity
    window = local @ swaps
    values, vectors = np.linalg.eig(window.T)
    stationary = np.real(vectors[:, np.argmax(values.real)])
    assert_allclose(stationary / stationary.sum(), joint, atol=1e-13)


@jax.jit
def swapped(keys, costs, rungs, event):
    """The outcome of many draws of the same swap."""
    return jax.vmap(lambda key: swap(key, BETAS, costs, rungs, event))(keys)


@pytest.mark.parametrize("rungs", [[0, 1], [1, 0]])
def test_drawn_swaps_have_the_enumerated_probability(rungs):
    keys = jax.random.split(jax.random.key(3), 4000)
    for cold, hot in STATES:
        costs = jnp.asarray(COSTS[[cold, hot]])[jnp.asarray(rungs)]
        after, info = swapped(keys, costs, jnp.asarray(rungs), jnp.asarray(0))
        p = float(swap_probability(BETAS, jnp.asarray(COSTS[[cold, hot]]))[0])
        exchanged = np.asarray(after)[:, 0] != rungs[0]
        assert_array_equal(exchanged, info.accepted[:, 0])
        assert abs(exchanged.mean() - p) <= 4.5 * np.sqrt(p * (1.0 - p) / 4000)
        none, info = swapped(keys[:50], costs, jnp.asarray(rungs), jnp.asarray(1))
        assert_array_equal(none, np.tile(rungs, (50, 1)))
        assert not np.asarray(info.tried).any()


def test_even_and_odd_pairs_take_turns_and_rungs_stay_a_permutation():
    betas = jnp.asarray([5.0, 4.0, 3.0, 2.0, 1.0])
    rungs = jnp.asarray([2, 0, 4, 1, 3])
    worse_when_cold = jnp.asarray([3.0, 5.0, 1.0, 4.0, 2.0])  # every pair wants to swap
    for event, expected in ((0, [3, 1, 4, 0, 2]), (1, [1, 0, 3, 2, 4])):
        after, info = swap(jax.random.key(0), betas, worse_when_cold, rungs, jnp.asarray(event))
        assert_array_equal(after, expected)
        assert_array_equal(info.tried, np.arange(4) % 2 == event)
        assert_array_equal(info.accepted, info.tried)


def test_the_gaps_of_a_ladder_follow_the_swap_rates():
    betas = jnp.asarray(geometric(50.0, 1.0, 4))
    found = adapted(betas, jnp.asarray([0.9, 0.3, 0.3]), jnp.asarray(0))
    gaps = -np.diff(np.log(found))
    assert float(found[0]) == float(betas[0]) and float(found[-1]) == float(betas[-1])
    assert gaps[0] > np.log(50.0) / 3.0 > gaps[1] == pytest.approx(gaps[2])
    assert_allclose(adapted(betas, jnp.full(3, 0.4), jnp.asarray(5)), betas, rtol=1e-14)
    pair = jnp.asarray([2.0, 1.0])
    assert_array_equal(adapted(pair, jnp.asarray([0.1]), jnp.asarray(0)), pair)
    assert_array_equal(adapted(pair[:1], jnp.zeros(0), jnp.asarray(0)), pair[:1])


def test_burning_in_evens_the_swap_rates_out_and_then_stops():
    move = jax.tree_util.Partial(uniform_step, jnp.asarray(1.0))
    kernel = Metropolis(move, jax.tree_util.Partial(evaluate, 20.0 * HARMONIC))
    crooked = ladder([10.0, 9.0, 1.0, 0.1])
    rates = []
    for burn_in in (0, 10_000):
        sampler = Tempering(kernel, 5, burn_in, x_of, 1)
        state = sampler.init(jax.random.key(1), START, START["x"], crooked)
        state, info = run_chunk(sampler, state, 20_000)
        rates.append(np.asarray(info.swaps.probability)[2000:].mean(axis=0))
        betas = np.asarray(info.betas)
        assert (betas[2000:] == betas[2000]).all()
        assert (np.diff(betas[1000]) < 0).all()
    assert np.ptp(rates[0]) > 0.4
    assert np.ptp(rates[1]) < 0.15


def test_levels_of_schedules():
    def betas_of(schedule, steps):
        temperature = jax.vmap(schedule.temperature, in_axes=(0, None))(jnp.asarray(steps), 0)
        return list(zip(temperature.beta.tolist(), temperature.step_factor.tolist(), strict=True))

    back_and_forth = alternating([100.0, 1.0], [2, 3], [1.0, 0.5])
    expected = [(100.0, 1.0)] * 2 + [(1.0, 0.5)] * 3
    assert betas_of(back_and_forth, range(12)) == (expected * 3)[:12]
    anneal = annealing(7.0, [[2, 5.0], [4, 1.0]])
    assert [beta for beta, _ in betas_of(anneal, range(7))] == [7, 7, 5, 5, 1, 1, 1]
    assert [beta for beta, _ in betas_of(annealing(7.0, [[0, 3.0]]), [0, 9])] == [3, 3]
    assert [beta for beta, _ in betas_of(annealing(7.0, []), [0, 9])] == [7, 7]
    three = ladder([4.0, 2.0, 1.0], [1.0, 2.0, 4.0])
    assert three.n_rungs == 3
    assert float(three.temperature(jnp.asarray(17), jnp.asarray(2)).step_factor) == 4.0
    assert_allclose(geometric(100.0, 1.0, 3), [100.0, 10.0, 1.0], rtol=1e-14)
    assert geometric(5.0, 5.0, 1) == [5.0]


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: ladder([1.0, 0.0]), "betas 1 0: every one must be positive"),
        (lambda: ladder([]), "there are no betas"),
        (lambda: ladder([1.0, 2.0]), "betas 1 2: a ladder descends"),
        (lambda: ladder([2.0, 1.0], [1.0]), "2 betas and 1 step factors"),
        (lambda: alternating([], [], []), "there are no steps"),
        (lambda: alternating([1.0, 2.0], [3], [1.0, 1.0]), "2 betas, 1 numbers of steps"),
        (lambda: alternating([1.0, 2.0], [3, 0], [1.0, 1.0]), "steps 3 0: every one must be"),
        (lambda: alternating([1.0, -2.0], [3, 1], [1.0, 1.0]), "betas 1 -2"),
        (lambda: alternating([1.0, 2.0], [3, 1], [1.0, 0.0]), "step factors 1 0"),
        (lambda: annealing(-1.0, []), "betas -1"),
        (lambda: annealing(1.0, [[3, 1.0], [3, 2.0]]), "must ascend"),
        (lambda: geometric(1.0, 2.0, 0), "0 replicas: at least one is needed"),
        (lambda: geometric(1.0, 2.0, 1), "one replica cannot be at 1 and at 2"),
        (lambda: geometric(0.0, 2.0, 3), "ends 0 2"),
    ],
)
def test_bad_temperatures_are_refused(build, message):
    with pytest.raises(ValueError, match=message):
        build()
