"""Whole fits by Levenberg-Marquardt: minima that are known, and how a fit ends."""

import dataclasses
from collections.abc import Callable
from itertools import pairwise
from typing import ClassVar

import bundle_samples
import jax
import jax.numpy as jnp
import numpy as np
import optimistix
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from samples import OfParameters, bands, bundle_of, random_system, zinc_blende

from deeppseudopot_jax import build_problem, energies, initial_params, read_bundle, training_cost
from deeppseudopot_jax.costs.bands import cost_of_bands
from deeppseudopot_jax.costs.interface import Cost, Evaluated, Needs
from deeppseudopot_jax.eigensolvers.dense import dense
from deeppseudopot_jax.parameters import Parameters
from deeppseudopot_jax.problem import Problem
from deeppseudopot_jax.records import record, static
from deeppseudopot_jax.run.checks.idle import remarks
from deeppseudopot_jax.run.checks.plan import plan_of
from deeppseudopot_jax.run.workflows import run
from deeppseudopot_jax.training.loop import Epoch, train
from deeppseudopot_jax.types import Bundle

LM = {"optimizer": "lm", "plot_every": 1000}
SOME_K = [[0.0, 0.0, 0.0], [0.5, 0.5, 0.0], [0.5, 0.5, 0.5], [0.3, 0.1, 0.2]]
NETWORK = {
    "model": "Net_celu_HeInit_decayGaussian", "hidden_layers": (6,), "gaussian_std": 2.0
}  # fmt: skip
PENALTIES = {
    "tail_start": 1.0, "tail_strength": 0.1, "magnitude_threshold": 0.1, "magnitude_strength": 0.1
}  # fmt: skip


def epochs_of(bundle: Bundle, cost: Cost | None = None, **options: object) -> list[Epoch]:
    """All epochs of the training that a bundle asks for, from its own coefficients."""
    problem = build_problem(bundle, **options)
    cost = cost or training_cost(bundle, problem)
    return list(train(problem, initial_params(bundle, problem), bundle.settings, cost=cost))


def with_coefficients(bundle: Bundle, local: np.ndarray) -> Bundle:
    """The bundle with other a0 to a3."""
    rows = bundle.coefficients.copy()
    rows[:, :4] = local
    return dataclasses.replace(bundle, coefficients=rows)


def with_references(bundle: Bundle, errors: np.ndarray | float = 0.0) -> Bundle:
    """The bundle with its own bands as references of its first system, but for some errors (eV)."""
    problem = build_problem(bundle, solver=dense)
    found = np.asarray(bands(problem, initial_params(bundle, problem))[0])
    first, *others = bundle.systems
    first = dataclasses.replace(first, reference_energies=np.sort(found + errors, axis=1))
    return dataclasses.replace(bundle, systems=(first, *others))


def silicon() -> Bundle:
    """Four numbers, and levels that no potential of this form has: the cost stays above 0."""
    rng = np.random.default_rng(1)
    crystal = zinc_blende(("Si", "Si"), SOME_K)
    bundle = bundle_of(rng, crystal, max_epochs=60, **LM)
    exact = np.array([[-18.0, 2.1, 2.6, 0.5]])
    errors = np.repeat(rng.normal(scale=0.05, size=(4, 4)), 2, axis=1)  # the same for both spins
    bundle = with_references(with_coefficients(bundle, exact), errors)
    return with_coefficients(bundle, exact * [1.1, 0.93, 0.95, 1.1])


def assert_falls(epochs: list[Epoch]) -> None:
    """The number of every epoch counts steps that were accepted."""
    costs = [epoch.cost for epoch in epochs]
    assert all(after < before for before, after in pairwise(costs))
    assert [epoch.number for epoch in epochs] == list(range(len(epochs)))
    assert not any(epoch.stopped for epoch in epochs[:-1])


def test_the_minimum_is_that_of_optimistix():
    bundle = silicon()
    epochs = epochs_of(bundle, solver=dense)
    assert_falls(epochs)
    assert epochs[-1].stopped.startswith("converged")
    problem = build_problem(bundle, solver=dense)
    cost, start = cost_of_bands(problem), initial_params(bundle, problem)

    def residuals(local: jax.Array, given: tuple) -> jax.Array:
        problem, cost, start = given
        params = start.updated({"local": local})
        return cost.terms[0].residuals(problem, params, Evaluated(energies(problem, params)))

    solver = optimistix.LevenbergMarquardt(rtol=1e-12, atol=1e-12)
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        found = optimistix.least_squares(
            residuals, solver, start.local, (problem, cost, start), max_steps=200
        )
    lowest = float(jnp.sum(residuals(found.value, (problem, cost, start)) ** 2))
    assert 0.01 < lowest == pytest.approx(epochs[-1].cost, rel=1e-10)
    assert_allclose(epochs[-1].params.local, found.value, rtol=1e-6)


@pytest.fixture(scope="module")
def recovery(configs) -> Bundle:
    """The bundle of scripts/make_recovery_bundle.py with its solution as coefficients."""
    bundle = read_bundle(configs / "silicon_monte_carlo")
    changes = {"monte_carlo": False, "max_epochs": 100, **LM}
    bundle = dataclasses.replace(bundle, settings=bundle.settings.model_copy(update=changes))
    solution = bundle.coefficients[:, :4] / [1.2, 1.2, 0.8, 0.8]  # its start is 20 % off
    return with_references(with_coefficients(bundle, solution))


@pytest.mark.parametrize("seed", range(5))
def test_coefficients_20_per_cent_off_are_recovered(recovery, seed):
    solution = recovery.coefficients[:, :4]
    signs = np.random.default_rng(seed).choice([-1.0, 1.0], 4)
    epochs = epochs_of(with_coefficients(recovery, solution * (1.0 + 0.2 * signs)))
    assert_falls(epochs)
    assert epochs[0].cost > 100 and len(epochs) < 30
    assert epochs[-1].stopped.startswith("converged")
    assert_allclose(epochs[-1].params.local, solution, rtol=1e-8)


@pytest.mark.parametrize("settings", [{}, NETWORK | PENALTIES], ids=["zunger", "network"])
def test_cost_falls_from_epoch_to_epoch(settings):
    rng = np.random.default_rng(3)
    crystal = zinc_blende(("Ga", "As"), SOME_K)
    bundle = bundle_of(rng, crystal, max_epochs=15, **LM, **settings)
    epochs = epochs_of(bundle)
    assert_falls(epochs)
    assert (epochs[-1].number, epochs[-1].stopped) == (15, "max_num_epochs reached")
    assert epochs[-1].cost < 0.5 * epochs[0].cost
    if settings:
        assert set(epochs[-1].terms) == {"bands", "tail", "magnitude"}
        assert min(epochs[-1].terms.values()) > 0


@record
class Residuals:
    """A term made of a function of a0 of the first species alone."""

    name: ClassVar[str] = "invented"
    needs: ClassVar[Needs] = "parameters"
    function: Callable = static()

    def residuals(self, problem: Problem, params: Parameters, evaluated: Evaluated) -> jax.Array:
        return self.function(params.local[0, :1])


def of_a0(function: Callable, **settings: object) -> list[Epoch]:
    """Epochs that know of a0 = 1 alone."""
    rng = np.random.default_rng(0)
    bundle = bundle_of(rng, random_system(rng, ("Ga",), n_k=1, n_bands=2), **LM, **settings)
    start = np.array([[1.0, 2.0, 3.0, 0.4]])
    return epochs_of(with_coefficients(bundle, start), Cost((Residuals(function),)))


def test_steps_to_where_the_cost_is_no_number_are_rejected():
    # The minimum, a0 = 2, is beyond the first step, and there is no cost beyond a0 = 2.5.
    epochs = of_a0(lambda a0: jnp.where(a0 < 2.5, 4.0 - a0**2, jnp.nan), max_epochs=30)
    assert_falls(epochs)
    assert not any(epoch.failed for epoch in epochs)
    assert epochs[-1].stopped.startswith("converged")
    assert_allclose(epochs[-1].params.local[0, 0], 2.0, rtol=1e-7)


def test_a_minimum_and_a_wall_are_told_apart():
    wall = of_a0(lambda a0: jnp.where(a0 < 1.5, 4.0 - a0**2, jnp.nan), max_epochs=50)
    assert_falls(wall)
    assert wall[-1].stopped == "stalled: no trial step lowered the cost"
    assert 1.4 < float(wall[-1].params.local[0, 0]) < 1.5
    # 3 remains in any case
    minimum = of_a0(lambda a0: jnp.concatenate([2.0 - a0, 3.0 + 0.0 * a0]), max_epochs=50)
    assert minimum[-1].stopped.startswith("converged")
    assert minimum[-1].cost == pytest.approx(9.0, rel=1e-12)


def test_a_cost_that_is_no_number_at_the_start_ends_the_training():
    (epoch,) = of_a0(lambda a0: jnp.where(a0 < 0.5, a0, jnp.nan), max_epochs=5)
    assert epoch.failed and "the term invented of the cost is nan" in epoch.stopped


def test_a_penalty_alone_is_lowered():
    """Its curvature is not known: there is no residual, and no scale of the coordinates."""
    rng = np.random.default_rng(0)
    bundle = bundle_of(rng, random_system(rng, n_k=1, n_bands=2), max_epochs=20, **LM)
    far = jax.tree.map(jnp.asarray, bundle.coefficients[:, :4] + 1.0)
    penalty = OfParameters(lambda params: jnp.sum((params.local - far) ** 2))
    epochs = epochs_of(bundle, Cost((), (penalty,)))
    assert_falls(epochs)
    assert epochs[-1].cost < 1e-3 * epochs[0].cost


def test_patience_goes_by_what_is_held_out():
    held_out = np.array([False, False, True, True])
    crystal = zinc_blende(("Si", "Si"), SOME_K, held_out=held_out)
    bundle = bundle_of(np.random.default_rng(2), crystal, max_epochs=60, patience=2, **LM)
    # Only what is fitted moves away from the start.
    epochs = epochs_of(with_references(bundle, 0.5 * ~held_out[:, None]))
    assert_falls(epochs)
    assert epochs[0].held_out < 1e-12 < epochs[1].held_out
    why = "no lower held-out cost within patience"
    assert (epochs[-1].number, epochs[-1].stopped) == (2, why)


def test_training_goes_on_as_if_it_had_not_stopped():
    bundle = silicon()
    whole = epochs_of(bundle)
    problem, middle = build_problem(bundle), whole[4]
    again = list(
        train(
            problem, middle.params, bundle.settings, lambda _: middle.optimizer_state,
            training_cost(bundle, problem),
        )
    )  # fmt: skip
    assert_allclose(again[3].cost, whole[7].cost, rtol=1e-9)
    assert_allclose(again[3].params.local, whole[7].params.local, rtol=1e-6)


def test_rates_are_not_needed_and_named_where_they_are_given():
    rng = np.random.default_rng(0)
    system = random_system(rng)
    rates = {"learning_rate": 0.1, "scheduler_gamma": 0.5, "scheduler_step": 3}

    def about(**settings: object) -> list[str]:
        found = remarks(plan_of(bundle_of(rng, system, max_epochs=3, **LM, **settings)))
        return [remark for remark in found if "optimizer" in remark or "scheduler" in remark]

    keys = "optimizer_lr, scheduler_gamma, schedulerStep"
    why = "optimizer = lm finds the length of its steps"
    assert about() == []
    assert about(**rates) == [f"no effect of {keys}: {why}."]


CONFIG = "nSystem = 1\nnQGrid = 64\nnRGrid = 32\noptimizer = lm\nmax_num_epochs = 3\n"


def test_a_run_tells_numbers_and_levels(tmp_path):
    network = "PPmodel = Net_celu_HeInit_decayGaussian\nPPmodel_gaussian_std = 2\n"
    config = CONFIG + network + "hiddenLayers = 4\nplotEvery = 10\n"
    inputs = bundle_samples.write(tmp_path / "inputs", NN_config=config)
    run(inputs, tmp_path / "results")
    log = (tmp_path / "results" / "run.log").read_text()
    # 1 * 4 + 4 weights, 4 * 2 + 2 weights; two k-points of four bands, of which two are the same
    assert "note: 18 numbers are trained on 8 fitted levels: data alone do not" in log
    assert "epoch 3: cost" in log
    costs = np.loadtxt(tmp_path / "results" / "final_training_cost.dat")[:, 1]
    assert_array_equal(costs, np.sort(costs)[::-1])


def test_a_fit_without_references_is_refused_before_anything_runs(tmp_path):
    config = CONFIG + "PPmodel = ZeroFunction\nplotEvery = 10\n"
    inputs = bundle_samples.write(
        tmp_path / "inputs", NN_config=config, expBandStruct_0=None, bandWeights_0=None
    )
    with pytest.raises(Exception, match=r"expBandStruct_0\.par"):
        run(inputs, tmp_path / "results")
    assert not (tmp_path / "results").exists()
