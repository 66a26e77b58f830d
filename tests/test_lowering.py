"""The programs of a run lower for accelerators that this machine does not have."""

import dataclasses
from functools import partial

import jax
import pytest

from deeppseudopot_jax import build_problem, energies, initial_params, read_bundle, training_cost
from deeppseudopot_jax.eigensolvers.interface import FOR_GRADIENTS
from deeppseudopot_jax.montecarlo.chain import chains
from deeppseudopot_jax.observables.evaluation import shapes_of_states
from deeppseudopot_jax.observables.hamiltonians import prepared
from deeppseudopot_jax.observables.states import first_guesses, solve
from deeppseudopot_jax.parameters import trained_channels
from deeppseudopot_jax.training.descent import differentiated
from deeppseudopot_jax.training.least_squares.damped import first_damping
from deeppseudopot_jax.training.least_squares.geodesic import geodesic_step
from deeppseudopot_jax.training.least_squares.levenberg_marquardt import least_squares
from deeppseudopot_jax.training.least_squares.linearised import linearised
from deeppseudopot_jax.training.trainable import split

ALWAYS = (
    ("silicon", "float64"),
    ("indium_phosphide_soc", "float64"),
    ("indium_phosphide_soc", "float32"),
)
CASES = [
    pytest.param(
        (name, precision),
        marks=() if (name, precision) in ALWAYS else pytest.mark.exhaustive,
    )
    for name in ("silicon", "gallium_arsenide", "indium_phosphide_soc")
    for precision in ("float64", "float32")
]
PLATFORMS = ("cuda", "tpu")
MONTE_CARLO = {
    "model": "ZeroFunction", "max_epochs": 0, "monte_carlo": True, "mc_iterations": 10,
    "mc_fraction": 0.1, "mc_beta": 1.0, "mc_delayed_acceptance": True,
}  # fmt: skip


@pytest.fixture(scope="module", params=CASES)
def case(request, configs):
    name, precision = request.param
    bundle = read_bundle(configs / name)
    problem = build_problem(bundle, precision=precision)
    return bundle, problem, initial_params(bundle, problem)


def lowers(function, *arguments) -> None:
    for platform in PLATFORMS:
        exported = jax.export.export(function, platforms=[platform])(*arguments)
        assert platform in exported.platforms and "custom_call" in exported.mlir_module()


def test_evaluation(case):
    _, problem, params = case
    lowers(jax.jit(energies), problem, params)


def test_solve_and_gradient_step(case):
    bundle, problem, params = case
    everywhere = prepared(problem, params)
    states = shapes_of_states(everywhere, FOR_GRADIENTS)
    lowers(jax.jit(first_guesses), everywhere)
    lowers(jax.jit(partial(solve, accuracy=FOR_GRADIENTS)), everywhere, states)
    trainable, frozen = split(params, trained_channels(bundle.settings))
    cost = training_cost(bundle, problem)
    exported = [
        jax.export.export(differentiated, platforms=[platform])(
            cost, problem, frozen, trainable, states
        )
        for platform in PLATFORMS
    ]
    assert len(exported) == 2


@pytest.mark.parametrize("side", ["residuals", "inputs", "parameters"])
def test_step_of_least_squares(case, side):
    bundle, problem, params = case
    states = shapes_of_states(prepared(problem, params), FOR_GRADIENTS)
    trainable, frozen = split(params, trained_channels(bundle.settings))
    optimiser = least_squares(problem, training_cost(bundle, problem), trainable)
    parts = (
        optimiser.cost, problem, frozen, trainable, optimiser.coordinates, optimiser.columns, states
    )  # fmt: skip
    _, _, near = jax.eval_shape(partial(linearised, side=side), *parts)
    damping = first_damping(len(near.gradient))
    for platform in PLATFORMS:
        jax.export.export(linearised, platforms=[platform])(*parts, side=side)
        jax.export.export(geodesic_step, platforms=[platform])(*parts[:5], near, damping)


def test_chunk_of_a_monte_carlo_run(case):
    bundle, problem, params = case
    settings = bundle.settings.model_copy(update=MONTE_CARLO)
    bundle = dataclasses.replace(bundle, settings=settings)
    problem = build_problem(bundle, precision=problem.precision)
    params = initial_params(bundle, problem)
    (chain,) = chains(bundle, problem)
    states = shapes_of_states(prepared(problem, params), FOR_GRADIENTS)
    sampler, state = chain.shapes(params, states)
    lowers(jax.jit(lambda sampler, state: sampler.step(jax.random.key(1), state)), sampler, state)
