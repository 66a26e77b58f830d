"""Derivatives of band energies: every parameter, k and strain, at generic and degenerate points."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose
from samples import bands_at, bundle_of, cost_and_gradient, random_system, slope, zinc_blende

from deeppseudopot_jax import build_problem, energies, energies_at, initial_params
from deeppseudopot_jax.parameters import COLUMNS, from_channels
from deeppseudopot_jax.problem import Problem

GAMMA_POINT = [[0.0, 0.0, 0.0]]
# A smooth activation: finite differences across the kinks of relu or celu say little.
NETWORK = {
    "model": "Net_sigmoid_xavier_decayGaussian", "hidden_layers": (5, 4), "gaussian_std": 2.0,
}  # fmt: skip
CASES = {  # name: (system, strain tensor, whether levels are degenerate, settings)
    "generic": (lambda rng: random_system(rng), 0.02, False, {"spin_orbit": True, "strain": True}),
    "generic network": (lambda rng: random_system(rng), 0.02, False, {"strain": True, **NETWORK}),
    "zinc blende": (
        lambda rng: zinc_blende(("Ga", "As"), GAMMA_POINT),
        0.0,
        True,
        {"spin_orbit": True, "strain": True},
    ),
    "diamond network": (
        lambda rng: zinc_blende(("Si", "Si"), GAMMA_POINT, 18),
        0.0,
        True,
        {"strain": True, **NETWORK},
    ),
}


def cost(problem: Problem, inputs: dict) -> jax.Array:
    """sum w (E - E_ref)^2 of system 0 at `k_points` in the crystal deformed by `deformation`.

    The degenerate systems have equal weights and references, so their cost is symmetric in the
    levels of a multiplet and has a derivative where those cross.
    """
    params = from_channels({name: inputs[name] for name in COLUMNS})
    found = energies_at(problem, params, 0, inputs["k_points"], inputs["deformation"])
    target = problem.targets[0]
    return jnp.sum(target.weights * (found - target.reference) ** 2)


value = jax.jit(cost)
value_and_gradient = jax.jit(jax.value_and_grad(cost, argnums=1))
forward = jax.jit(
    lambda problem, inputs, changes: jax.jvp(lambda x: cost(problem, x), (inputs,), (changes,))[1]
)


def random_like(rng: np.random.Generator, tree: dict) -> dict:
    """A random direction in the space of `tree`."""
    return jax.tree.map(lambda leaf: jnp.asarray(rng.normal(size=leaf.shape)), tree)


@pytest.fixture(scope="module", params=list(CASES))
def case(request) -> tuple[Problem, dict, dict]:
    """Problem, inputs of `cost` and its gradient there."""
    make_system, size, degenerate, settings = CASES[request.param]
    rng = np.random.default_rng(21)
    system = make_system(rng)
    bundle = bundle_of(rng, system, **settings)
    problem = build_problem(bundle)
    params = initial_params(bundle, problem)
    inputs = {name: params[name] for name in COLUMNS}
    inputs["k_points"] = jnp.asarray(system.k_points)
    inputs["deformation"] = jnp.asarray(rng.normal(scale=size, size=(3, 3)))
    if degenerate:  # more than the pairs of spin and time reversal
        levels = np.asarray(bands_at(problem, params, system_index=0))
        assert np.sum(np.abs(np.diff(levels[0])) < 1e-10) > len(levels[0]) // 2
    return problem, inputs, value_and_gradient(problem, inputs)[1]


@pytest.mark.parametrize("name", [*COLUMNS, "k_points", "deformation"])
def test_gradient_is_the_finite_difference(case, name):
    problem, inputs, gradient = case
    rng = np.random.default_rng(sum(map(ord, name)))
    change = random_like(rng, inputs[name])

    def along(distance: float) -> jax.Array:
        moved = jax.tree.map(lambda x, d: x + distance * d, inputs[name], change)
        return value(problem, {**inputs, name: moved})

    expected = slope(along, 1e-4 if name in ("k_points", "deformation") else 1e-3)
    products = jax.tree.map(lambda g, d: jnp.vdot(g, d), gradient[name], change)
    found = float(sum(jax.tree.leaves(products)))
    assert found == pytest.approx(expected, rel=1e-7, abs=1e-7)
    without_effect = {
        "spin_orbit": not problem.channels.separable,
        "nonlocal": not problem.channels.separable,
        "strain": not inputs["deformation"].any(),
        "k_points": not inputs["k_points"].any(),  # time reversal: E(k) = E(-k)
    }
    assert (abs(found) < 1e-7) == without_effect.get(name, False)


def test_gradient_is_finite_and_forward_mode_agrees(case):
    problem, inputs, gradient = case
    assert all(bool(jnp.all(jnp.isfinite(leaf))) for leaf in jax.tree.leaves(gradient))
    changes = random_like(np.random.default_rng(3), inputs)
    products = jax.tree.map(jnp.vdot, gradient, changes)
    reverse = sum(jax.tree.leaves(products))
    assert_allclose(forward(problem, inputs, changes), reverse, rtol=1e-11)


@pytest.mark.parametrize("settings", [{}, {"tail_start": 1.0, "tail_strength": 0.3, **NETWORK}])
def test_gradient_of_the_loss_of_two_systems(settings):
    rng = np.random.default_rng(2)
    order = np.array([[1, 0, 2, 3, 5, 4]] * 2)
    systems = [random_system(rng), random_system(rng, ("As",), 0.8, band_order=order)]
    systems[1] = dataclasses.replace(systems[1], relative_band=3)
    bundle = bundle_of(rng, *systems, **settings)
    problem = build_problem(bundle)
    params = initial_params(bundle, problem)
    change = random_like(rng, params)
    _, gradient = cost_and_gradient(problem, params)

    def along(distance: float) -> jax.Array:
        moved = jax.tree.map(lambda x, d: x + distance * d, params, change)
        return cost_and_gradient(problem, moved)[0]

    found = float(sum(jax.tree.leaves(jax.tree.map(jnp.vdot, gradient, change))))
    assert found == pytest.approx(slope(along), rel=1e-8)


def test_one_energy_of_a_generic_point_moves_with_its_own_force():
    rng = np.random.default_rng(8)
    bundle = bundle_of(rng, random_system(rng), spin_orbit=True)
    problem = build_problem(bundle)
    params = initial_params(bundle, problem)
    changes = random_like(rng, params)

    @jax.jit
    def along(distance: float) -> jax.Array:
        moved = jax.tree.map(lambda x, d: x + distance * d, params, changes)
        return energies(problem, moved)[0]

    forces = np.asarray(jax.jacrev(along)(0.0))
    for k, n in ((0, 0), (1, 3), (1, 5)):
        expected = slope(lambda distance, k=k, n=n: along(distance)[k, n])
        assert forces[k, n] == pytest.approx(expected, rel=1e-8)


@pytest.mark.parametrize(
    "outer_and_inner",
    [
        (jax.jacfwd, jax.jacfwd),
        (jax.jacrev, jax.jacfwd),
        (jax.jacfwd, jax.jacrev),
        (jax.jacrev, jax.jacrev),
    ],
)
def test_second_derivatives_are_refused(outer_and_inner):
    outer, inner = outer_and_inner
    rng = np.random.default_rng(9)
    bundle = bundle_of(rng, random_system(rng, n_k=1, n_bands=2))
    problem = build_problem(bundle)
    params = initial_params(bundle, problem)
    with pytest.raises(NotImplementedError, match="perturbation theory"):
        outer(inner(lambda k: energies_at(problem, params, 0, k)[0, 0]))(jnp.zeros((1, 3)))
