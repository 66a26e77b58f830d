"""Contracts of kernels, windows and chunks: exact reverts, exact resumption, few compilations."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_array_equal
from toy_sampling import HARMONIC, KERNELS, START, evaluate, made, schedule_of, x_of

from deeppseudopot_jax.montecarlo.constraints import Constrained
from deeppseudopot_jax.montecarlo.interface import Kernel, Proposal, Temperature
from deeppseudopot_jax.montecarlo.metropolis import Metropolis
from deeppseudopot_jax.montecarlo.schedule import alternating, ladder
from deeppseudopot_jax.montecarlo.tempering import Tempering, best, run_chunk

Partial = jax.tree_util.Partial
LEVEL = Temperature(jnp.asarray(2.0), jnp.asarray(1.0))


def plain(tree):
    """A pytree as NumPy arrays, keys as their data."""
    return jax.tree.map(
        lambda leaf: np.asarray(
            jax.random.key_data(leaf) if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) else leaf
        ),
        tree,
    )


def assert_identical(one, other):
    jax.tree.map(assert_array_equal, plain(one), plain(other))


def stepped(kernel: Kernel, seed: int):
    """Replica, attempt and outcome of one step from the start."""
    keys = jax.random.split(jax.random.key(seed))
    replica = kernel.init(START, START["x"], LEVEL)
    attempt = kernel.attempt(keys[0], replica)
    return replica, attempt, kernel.settle(keys[1], replica, attempt)


@pytest.mark.parametrize("kind", KERNELS)
def test_the_contract_of_a_kernel(kind):
    kernel = made(kind, width=2.5)
    assert isinstance(kernel, Kernel)
    outcomes = set()
    run = jax.jit(stepped)
    for seed in range(40):
        replica, attempt, (after, info) = run(kernel, seed)
        assert jax.tree.structure(after) == jax.tree.structure(replica)
        assert jax.tree.map(jnp.shape, after) == jax.tree.map(jnp.shape, replica)
        assert float(attempt.log_screen) <= 0.0
        if info.accepted:
            assert_identical(after.params, attempt.params)
            exact = jax.jit(evaluate)(HARMONIC, after.params, None)[0]
            assert float(after.cost) == float(info.cost) == float(info.proposed_cost)
            assert float(after.cost) == pytest.approx(float(exact), rel=1e-14)
        else:
            assert_identical(after, replica)
        outcomes.add((bool(attempt.promising), bool(info.accepted)))
    assert {(True, True), (True, False)} <= outcomes
    assert_identical(run(kernel, 3), run(kernel, 3))


def undefined_beyond(limit, params, aux):
    """A cost that is no number on one side, infinite far out on the other, and negative beyond."""
    x = params["x"]
    cost = jnp.where(x > limit, jnp.nan, jnp.where(x < -limit, jnp.inf, 0.25 * x**4))
    return jnp.where(x < -2 * limit, -1.0, cost), x


def undefined_screen(limit, params, aux):
    return undefined_beyond(0.7 * limit, params, aux)[0]


@pytest.mark.parametrize("kind", KERNELS)
def test_what_has_no_cost_is_rejected(kind):
    limit = Partial(undefined_beyond, jnp.asarray(0.5))
    kernel = made(kind, width=3.0).replace(evaluate=limit)
    if "screen" in vars(kernel):
        kernel = kernel.replace(screen=Partial(undefined_screen, jnp.asarray(0.5)))
    sampler = Tempering(kernel, 1, 0, x_of, 1)
    state = sampler.init(jax.random.key(0), START, START["x"], schedule_of([0.1]))
    _, info = run_chunk(sampler, state, 300)
    accepted = np.asarray(info.history.info.accepted)
    kept = np.asarray(info.history.kept)
    assert accepted.any() and not accepted.all()
    assert np.abs(kept).max() <= 0.5
    costs = np.asarray(info.history.info.cost)
    np.testing.assert_allclose(costs, 0.25 * kept**4, rtol=1e-13)


def test_forbidden_proposals_are_not_evaluated():
    kernel = made(Metropolis, width=1.0)
    kernel = kernel.replace(move=Constrained(kernel.move, (right_of_zero,)))
    sampler = Tempering(kernel, 1, 0, x_of, 1)
    state = sampler.init(jax.random.key(0), START, START["x"], schedule_of([1.0]))
    state, info = run_chunk(sampler, state, 300)
    assert np.asarray(info.history.kept).min() >= 0.0
    evaluated = np.asarray(info.history.info.evaluated)
    assert 0.5 < evaluated.mean() < 0.95
    assert int(state.counts.evaluated[0]) == evaluated.sum()


def right_of_zero(params):
    return params["x"] >= 0.0


@pytest.mark.parametrize("kind", KERNELS)
def test_a_run_resumes_bit_by_bit(kind):
    sampler = Tempering(made(kind), 5, 60, x_of, 1)
    start = sampler.init(jax.random.key(7), START, START["x"], ladder([8.0, 4.0, 2.0, 1.0]))
    whole, info = run_chunk(sampler, start, 80)
    middle, first = run_chunk(sampler, start, 40)
    data = plain(middle)  # as a checkpoint holds it
    restored = jax.tree.map(jnp.asarray, data)._replace(key=jax.random.wrap_key_data(data.key))
    end, second = run_chunk(sampler, restored, 40)
    assert_identical(end, whole)
    parts = jax.tree.map(lambda a, b: np.concatenate([a, b]), plain(first), plain(second))
    assert_identical(parts, info)
    assert not np.array_equal(whole.schedule.betas, start.schedule.betas)  # it has adapted
    found, cost = best(whole)
    lowest = np.nanmin(info.history.info.proposed_cost)
    assert float(cost) == min(lowest, float(start.replicas.cost[0]))
    assert float(evaluate(HARMONIC, found, None)[0]) == pytest.approx(float(cost), rel=1e-14)


@pytest.mark.parametrize("kind", KERNELS)
def test_a_chunk_is_compiled_once_per_length(kind):
    traces = []

    def counted(params, aux):
        traces.append(1)
        return evaluate(HARMONIC, params, aux)

    sampler = Tempering(made(kind).replace(evaluate=Partial(counted)), 2, 0, x_of, 1)
    state = sampler.init(jax.random.key(0), START, START["x"], ladder([2.0, 1.0]))
    state, _ = run_chunk(sampler, state, 8)
    once = len(traces)
    assert once <= 4
    for _ in range(3):
        state, _ = run_chunk(sampler, state, 8)
    other = Tempering(made(kind, width=0.1).replace(evaluate=Partial(counted)), 2, 0, x_of, 1)
    run_chunk(other, state, 8)
    assert len(traces) == once


def test_the_alternating_schedule_of_one_walker():
    schedule = alternating([1e9, 1e-9], [3, 2], [1.0, 0.5])
    sampler = Tempering(made(Metropolis), 1, 0, x_of, 1)
    state = sampler.init(jax.random.key(0), {"x": jnp.asarray(3.0)}, jnp.asarray(3.0), schedule)
    state, info = run_chunk(sampler, state, 400)
    steps = info.history.info
    before = np.concatenate([[3.0], np.asarray(info.history.kept)[:-1, 0]])
    moved = np.abs(np.asarray(info.history.kept)[:, 0] - before)
    uphill = np.asarray(steps.proposed_cost)[:, 0] > np.array([*evaluate_all(before)])
    accepted = np.asarray(steps.accepted)[:, 0]
    cold = np.arange(400) % 5 < 3
    assert_array_equal(accepted[cold], ~uphill[cold])  # downhill only
    assert accepted[~cold].all()
    assert moved[~cold].max() < 0.75 < 1.0 < moved[cold].max() <= 1.5
    assert int(state.counts.round_trips[0]) == 0


def evaluate_all(x):
    return np.polyval(np.asarray(HARMONIC), x) ** 2


def test_a_start_without_a_cost_is_refused():
    def nothing(params, aux):
        return jnp.nan * params["x"], aux

    sampler = Tempering(made(Metropolis).replace(evaluate=Partial(nothing)), 1, 0, x_of, 1)
    with pytest.raises(ValueError, match="no finite cost"):
        sampler.init(jax.random.key(0), START, START["x"], ladder([1.0]))


def test_chunks_are_whole_windows():
    sampler = Tempering(made(Metropolis), 5, 0, x_of, 1)
    state = sampler.init(jax.random.key(0), START, START["x"], ladder([2.0, 1.0]))
    with pytest.raises(ValueError, match="12 steps are no whole windows of 5"):
        run_chunk(sampler, state, 12)


def test_proposals_carry_a_ratio():
    proposal = made(Metropolis).move(jax.random.key(0), START, jnp.asarray(1.0))
    assert isinstance(proposal, Proposal) and float(proposal.log_ratio) == 0.0
