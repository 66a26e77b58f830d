"""Every move through one contract, what each one does, and the constraints."""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from deeppseudopot_jax.montecarlo.coefficient_moves import step_sizes, uniform_steps
from deeppseudopot_jax.montecarlo.constraints import (
    Constrained,
    neutral_directions,
    spin_orbit_is_not_negative,
)
from deeppseudopot_jax.montecarlo.interface import Move
from deeppseudopot_jax.montecarlo.network_moves import MODES, network_move
from deeppseudopot_jax.parameters import Parameters, from_channels
from deeppseudopot_jax.potentials.networks import NetworkModel

EPS = 0.1
COMPOSITION = jnp.asarray([[1.0, 3.0, 1.0]])
SIZES = np.random.default_rng(0).uniform(0.01, 0.3, size=(3, 9))
CHANNELS = ("local", "long_range", "spin_orbit", "nonlocal", "strain")
ONE = jnp.asarray(1.0)
KEYS = jax.random.split(jax.random.key(5), 4000)


def coefficients(dtype="float64") -> Parameters:
    shapes = {"local": (3, 4), "long_range": (3,), "spin_orbit": (3,), "nonlocal": (3, 2)}
    rng = np.random.default_rng(1)
    params = {name: rng.uniform(1.0, 2.0, size=shape) for name, shape in shapes.items()}
    params = from_channels(params | {"strain": np.ones(3)})
    return jax.tree.map(lambda x: jnp.asarray(x, dtype), params)


@cache
def network(dtype="float64") -> Parameters:
    """Initialised without compiling flax's initialisers."""
    model = NetworkModel("Net_relu_bn", (7, 5), 3)
    shapes = jax.eval_shape(lambda key: model.init(key, jnp.dtype(dtype)), jax.random.key(0))
    rng = np.random.default_rng(2)
    variables = jax.tree.map(lambda x: jnp.asarray(rng.normal(size=x.shape), x.dtype), shapes)
    return coefficients(dtype).updated({"local": variables})


def network_case(mode: int) -> tuple:
    return network, lambda dtype: network_move(mode, EPS, True, jnp.dtype(dtype)), set(MODES[mode])


def uniform(dtype) -> Move:
    return uniform_steps(SIZES, COMPOSITION.astype(dtype))


MOVES = {
    "uniform": (coefficients, uniform, set(CHANNELS)),
    "constrained": (
        coefficients,
        lambda dtype: Constrained(uniform(dtype), (spin_orbit_is_not_negative,)),
        set(CHANNELS),
    ),
    **{f"mode {mode}": network_case(mode) for mode in MODES},
}


@jax.jit
def many(move: Move, keys: jax.Array, params: Parameters, step_factor: jax.Array):
    """One proposal per key."""
    return jax.vmap(lambda key: move(key, params, step_factor))(keys)


@pytest.fixture(params=MOVES)
def case(request):
    start, move, channels = MOVES[request.param]
    return start, move, channels


def test_the_contract_of_a_move(case):
    start, build, channels = case
    params, move = start("float64"), build("float64")
    assert isinstance(move, Move)
    found = many(move, KEYS, params, ONE)
    assert jax.tree.structure(found.params) == jax.tree.structure(params)
    assert (found.log_ratio == 0.0).all()
    moved = {name for name in CHANNELS if largest_change(found.params[name], params[name]) > 0.0}
    assert moved == channels
    if isinstance(params["local"], dict):
        for collection in ("params", "batch_stats"):
            change = largest_change(found.params["local"][collection], params["local"][collection])
            assert (change > 0.0) == (collection == "params" and "local" in channels)
    jax.tree.map(assert_array_equal, many(move, KEYS, params, ONE), found)
    flat = np.concatenate(
        [np.reshape(x, (len(KEYS), -1)) for x in jax.tree.leaves(found.params)], axis=1
    )
    assert len(np.unique(flat, axis=0)) > 0.8 * len(KEYS)  # a coefficient may stay where it is
    still = many(move, KEYS, params, 0.0 * ONE)
    assert largest_change(still.params, params) == 0.0


def largest_change(found, start) -> float:
    """Over many proposals from the same start."""
    pairs = zip(jax.tree.leaves(found), jax.tree.leaves(start), strict=True)
    return max(float(np.abs(np.asarray(new) - np.asarray(old)).max()) for new, old in pairs)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_move_keeps_shapes_and_dtypes(case, dtype):
    start, build, _ = case
    params, factor = start(dtype), jnp.asarray(1.0, dtype)
    found = jax.eval_shape(build(dtype), jax.random.key(0), params, factor)
    assert found.log_ratio.dtype == dtype
    for new, old in zip(jax.tree.leaves(found.params), jax.tree.leaves(params), strict=True):
        assert (new.shape, new.dtype) == (old.shape, old.dtype)


def draws(move: Move, params: Parameters) -> dict:
    """The results of many proposals from the same place."""
    return many(move, KEYS, params, ONE).params


def kernels_of(params: Parameters) -> list:
    return [np.asarray(x) for x in jax.tree.leaves(params["local"]["params"])]


def test_uniform_steps_are_uniform_and_within_their_size():
    params = coefficients()
    found = draws(uniform("float64"), params)
    local = (np.asarray(found["local"]) - np.asarray(params["local"])) / SIZES[:, :4]
    assert np.abs(local).max() <= 1.0 and np.abs(local).max() > 0.999
    assert_allclose(local.mean(axis=0), 0.0, atol=4.5 / np.sqrt(3 * 4000))
    assert_allclose((local**2).mean(axis=0), 1.0 / 3.0, atol=0.02)
    change = np.asarray(found["nonlocal"]) - np.asarray(params["nonlocal"])
    assert np.abs(change).max() <= SIZES[:, 6:8].max()


def changes(mode: int, weights: float, coefficient: float = 2.0) -> tuple[list, np.ndarray]:
    """(w' - w) of a network whose weights are all the same, and of its a5, over many draws."""
    local = network()["local"]
    same = jax.tree.map(lambda x: jnp.full_like(x, weights), local["params"])
    params = network().updated(
        {"local": local | {"params": same}, "spin_orbit": jnp.full(3, coefficient)}
    )
    found = draws(network_move(mode, EPS, True, jnp.dtype("float64")), params)
    spin_orbit = np.asarray(found["spin_orbit"]) - coefficient
    return [leaf - weights for leaf in kernels_of(found)], spin_orbit


def test_mode_1_multiplies():
    weights, spin_orbit = changes(1, -3.0)
    for leaf in weights:
        assert 0.29 < np.abs(leaf).max() <= 0.3 and abs(leaf.mean()) < 0.02
    assert 0.0019 < np.abs(spin_orbit).max() <= 0.002


@pytest.mark.parametrize(
    ("weight", "low", "high"),
    [(30.0, -3.0, 0.0), (-30.0, 0.0, 3.0), (0.005, -0.005, 0.005), (2.0, -0.2, 0.2)],
)
def test_mode_2_looks_at_the_magnitude(weight, low, high):
    weights, spin_orbit = changes(2, weight)
    for leaf in weights:
        assert low <= leaf.min() + 1e-12 and leaf.max() <= high + 1e-12
        assert np.ptp(leaf) > 0.95 * (high - low)
    assert 0.00019 < np.abs(spin_orbit).max() <= 0.0002


def test_mode_3_shifts_a_random_half_by_the_spread():
    params = network()
    found = draws(network_move(3, EPS, True, jnp.dtype("float64")), params)
    for new, old in zip(kernels_of(found), kernels_of(params), strict=True):
        change = new - old
        if old.size == 1:
            assert not change.any()
            continue
        shifted = change != 0.0
        assert shifted.mean() == pytest.approx(0.5, abs=0.02)
        assert np.std(change[shifted]) == pytest.approx(EPS * np.std(old), rel=0.03)


@pytest.mark.parametrize(("mode", "size", "small"), [(4, EPS, EPS / 1000), (5, EPS / 10, EPS)])
def test_modes_4_and_5_add_to_drawn_tensors_and_coefficients(mode, size, small):
    weights, spin_orbit = changes(mode, 1.0)
    for leaf in weights:
        assert 0.99 * size < np.abs(leaf).max() <= size * (1.0 + 1e-9)
        flat = leaf.reshape(len(leaf), -1)
        drawn = (flat != 0.0).any(axis=1)
        assert_array_equal((flat != 0.0).all(axis=1), drawn)  # a whole tensor or nothing of it
        assert drawn.mean() == pytest.approx(0.6, abs=0.04)
    assert (spin_orbit != 0.0).mean() == pytest.approx(0.6, abs=0.03)
    assert 0.99 * small < np.abs(spin_orbit).max() <= small * (1.0 + 1e-9)


@pytest.mark.parametrize(("mode", "channel"), [(6, "spin_orbit"), (7, "nonlocal")])
def test_modes_6_and_7_move_one_kind_of_coefficient(mode, channel):
    params = network()
    change = np.asarray(draws(network_move(mode, EPS, True, jnp.dtype("float64")), params)[channel])
    change = change - np.asarray(params[channel])
    assert (change != 0.0).mean() == pytest.approx(0.6, abs=0.03)
    assert 0.99 * EPS < np.abs(change).max() <= EPS * (1.0 + 1e-9)


@pytest.mark.parametrize("mode", [1, 4])
def test_without_spin_orbit_its_coefficients_stay(mode):
    move = network_move(mode, EPS, False, jnp.dtype("float64"))
    params = network()
    found = move(jax.random.key(0), params, ONE).params
    for name in ("spin_orbit", "nonlocal"):
        assert_array_equal(found[name], params[name])


@pytest.mark.parametrize(
    ("composition", "free"),
    [([[1, 3, 1]], 2), ([[1, 1, 0], [0, 1, 1]], 1), ([[1, 0, 1], [0, 1, 1], [1, 1, 1]], 0)],
)
def test_every_system_stays_neutral(composition, free):
    composition = jnp.asarray(composition, float)
    params = coefficients()
    move = uniform_steps(SIZES, composition)
    assert np.linalg.matrix_rank(move.neutral, tol=1e-12) == free
    for key in jax.random.split(jax.random.key(0), 20):
        found = move(key, params, ONE).params
        charge = composition @ (found["long_range"] - params["long_range"])
        assert_allclose(charge, 0.0, atol=1e-14)
        params = found
    moved = np.abs(params["long_range"] - coefficients()["long_range"]).max()
    assert (moved > 1e-3) == (free > 0)


def test_a_species_without_a_step_keeps_its_charge():
    sizes = np.array([0.0, 0.1, 1e-3])
    directions = neutral_directions(sizes, np.array([[1.0, 3.0, 1.0]]))
    assert not directions[0].any()
    assert np.abs(directions[1]).sum() > 1e-5
    corners = np.array([[1, 1, 1], [1, 1, -1], [1, -1, 1], [-1, 1, 1]]) @ directions.T
    assert (np.abs(corners).max(axis=0) <= np.sqrt(3.0) * sizes + 1e-15).all()
    assert_allclose(np.array([1.0, 3.0, 1.0]) @ directions, 0.0, atol=1e-15)


def test_negative_spin_orbit_is_forbidden():
    params = coefficients().updated({"spin_orbit": jnp.asarray([0.0, 1.0, 2.0])})
    sizes = np.where(np.arange(9) == 5, np.array([[0.0], [1.5], [0.1]]), 0.0)
    move = Constrained(uniform_steps(sizes, COMPOSITION), (spin_orbit_is_not_negative,))
    found = many(move, KEYS, params, ONE)
    negative = np.asarray(found.params["spin_orbit"]).min(axis=1) < 0.0
    assert_array_equal(np.asarray(found.log_ratio), np.where(negative, -np.inf, 0.0))
    assert negative.mean() == pytest.approx(1.0 / 6.0, abs=0.04)


def test_steps_are_a_hundredth_of_what_acts():
    values = np.arange(18.0).reshape(2, 9) - 4.0
    everything = step_sizes(values, None, ("A", "B"), True, True)
    assert_allclose(everything, np.abs(values) / 100.0)
    local_only = step_sizes(values, None, ("A", "B"), False, False)
    assert not local_only[:, 5:].any() and (local_only[:, :4] == everything[:, :4]).all()
    given = np.ones((2, 9))
    assert_array_equal(step_sizes(values, given, ("A", "B"), True, False)[:, 8], 0.0)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (np.ones((1, 9)), r"shape \(1, 9\): nine are needed for each of A, B"),
        (np.ones((2, 5)), r"shape \(2, 5\)"),
        (-np.ones((2, 9)), "numbers >= 0"),
        (np.full((2, 9), np.nan), "numbers >= 0"),
        (np.where(np.arange(9) < 5, 0.0, np.ones((2, 1))), "nothing would move"),
    ],
)
def test_bad_steps_are_refused(given, message):
    with pytest.raises(ValueError, match=message):
        step_sizes(np.ones((2, 9)), given, ("A", "B"), False, False)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((8, 0.1, True), "mc_perturb_mode = 8: legal are 1 to 7"),
        ((1, 0.0, True), "mc_percentage = 0"),
        ((6, 0.1, False), "SObool is 0"),
    ],
)
def test_bad_network_moves_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        network_move(*arguments, jnp.dtype("float64"))
