"""What the tests of several devices compute, as one process of a run or as the only one.

    python tests/parallel_worker.py FILE PART ...

The first process writes what all of them have found to FILE (.npz).
"""

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
from jax.sharding import PartitionSpec
from samples import bundle_of, random_system, states_of

from deeppseudopot_jax import build_problem, distribute, energies, energies_at, initial_params, loss
from deeppseudopot_jax.costs.bands import cost_of_bands
from deeppseudopot_jax.eigensolvers.iterative import Iterative
from deeppseudopot_jax.observables.fallback import largest_deviation, with_dense_fallback
from deeppseudopot_jax.observables.hamiltonians import prepared
from deeppseudopot_jax.parallel import REPLICA, on_host, placed
from deeppseudopot_jax.parameters import COLUMNS, trained_channels
from deeppseudopot_jax.problem import Problem
from deeppseudopot_jax.run.cluster import is_first, join, wait_for_all
from deeppseudopot_jax.training.interface import TrainingState
from deeppseudopot_jax.training.least_squares.levenberg_marquardt import least_squares
from deeppseudopot_jax.training.loop import train
from deeppseudopot_jax.training.trainable import split
from deeppseudopot_jax.types import Bundle

REPLICAS = 2
SIDES = ("residuals", "inputs", "parameters")
STEPS = 3


def sample() -> Bundle:
    """Two systems that share a group, 5 and 4 k-points, with long-range tails that are trained."""
    rng = np.random.default_rng(0)
    first = random_system(rng, max_kinetic_energy=3.0, n_k=5)
    second = random_system(rng, n_k=4, max_kinetic_energy=3.0, index=1, crystal=first.crystal)
    return bundle_of(
        rng, first, second, learning_rate=0.01, scheduler_gamma=0.5, scheduler_step=2,
        max_epochs=STEPS, plot_every=1, train_long_range=True,
    )  # fmt: skip


def calculate(arrange: Callable[[Problem], Problem] = lambda problem: problem) -> dict:
    """Energies, cost, gradient, fallback, training and replicas of problems so arranged."""
    bundle = sample()
    problem = arrange(build_problem(bundle))
    params = initial_params(bundle, problem)
    found = {"devices": 1 if problem.mesh is None else problem.mesh.size}
    for i, bands in enumerate(on_host(jax.jit(energies)(problem, params))):
        found[f"energies {i}"] = bands
    cost, gradient = jax.jit(jax.value_and_grad(loss, argnums=1))(problem, params)
    found["cost"] = float(cost)
    found |= {f"gradient {name}": np.asarray(gradient[name]) for name in COLUMNS}
    at = jax.jit(energies_at, static_argnums=2)
    found["elsewhere"] = np.asarray(at(problem, params, 1, sample().systems[0].k_points[:3] / 2))
    found |= _fallback(problem, params)
    for epoch in train(problem, params, bundle.settings):
        found[f"cost {epoch.number}"] = epoch.cost
        found[f"local {epoch.number}"] = np.asarray(epoch.params["local"])
    return found


def calculate_iteratively(arrange: Callable[[Problem], Problem] = lambda problem: problem) -> dict:
    """Costs of training with the iterative solver, where every k-point has its own waves."""
    bundle = sample()
    settings = bundle.settings.model_copy(update={"basis_sphere": "kG"})
    iterative = Iterative(spare=2, dense_up_to=0, dense_start_up_to=0)
    bundle = Bundle(**{**vars(bundle), "settings": settings})
    problem = arrange(build_problem(bundle, solver=iterative))
    epochs = train(problem, initial_params(bundle, problem), settings)
    return {f"iterated cost {epoch.number}": epoch.cost for epoch in epochs}


def calculate_least_squares(
    arrange: Callable[[Problem], Problem] = lambda problem: problem,
) -> dict:
    """The linearised cost on every side, and epochs of least squares."""
    bundle = sample()
    settings = bundle.settings.model_copy(update={"optimizer": "lm"})
    problem = arrange(build_problem(bundle))
    params = initial_params(bundle, problem)
    trainable, frozen = placed(
        problem.mesh, PartitionSpec(), split(params, trained_channels(settings))
    )
    optimiser = least_squares(problem, cost_of_bands(problem), trainable)
    state = TrainingState(trainable, optimiser.begin(trainable))
    found = {}
    for side in SIDES:
        _, seen = replace(optimiser, side=side).look(problem, frozen, state)
        found[f"normal {side}"] = on_host(seen.near.normal)
        found[f"gradient {side}"] = on_host(seen.near.gradient)
    for epoch in train(problem, params, settings):
        found[f"cost {epoch.number}"] = epoch.cost
        found[f"local {epoch.number}"] = np.asarray(epoch.params["local"])
    return found


def costs_of_replicas(replicas: int = 1) -> np.ndarray:
    """Costs of two sets of parameters, on one half of the devices each with two `replicas`."""
    bundle = sample()
    problem = build_problem(bundle)
    params = initial_params(bundle, problem)
    both = jax.tree.map(lambda leaf: np.stack([leaf, 1.1 * leaf]), params)
    if replicas > 1:
        problem = distribute(problem, replicas)
        both = placed(problem.mesh, PartitionSpec(REPLICA), both)
    costs = jax.vmap(loss, in_axes=(None, 0), spmd_axis_name=REPLICA)
    return on_host(jax.jit(costs)(problem, both))


def _fallback(problem: Problem, params: dict) -> dict:
    """Energies after some were spoilt, on different devices, and the size of the spoiling."""
    (states,) = states_of(problem, params)
    spoilt = states._replace(
        residuals=states.residuals.at[0, 1].set(1.0).at[1, 3].set(np.nan),
        energies=states.energies.at[0, 1].add(0.5).at[1, 3].set(np.nan),
    )
    everywhere = prepared(problem, params)
    (repaired,), count = with_dense_fallback(everywhere, (spoilt,))
    return {
        "fallbacks": count,
        "repaired": on_host(repaired.energies)[:, :4],
        "largest residual within 1e-10": float(on_host(repaired.residuals).max() < 1e-10),
        "deviation": largest_deviation(everywhere, (spoilt,), 1),
    }


PARTS = {
    "dense": lambda: calculate(distribute),
    "iterative": lambda: calculate_iteratively(distribute),
    "least squares": lambda: calculate_least_squares(distribute),
    "replicas": lambda: {"replicas": costs_of_replicas(REPLICAS)},
}

if __name__ == "__main__":
    join()
    results = {}
    for part in sys.argv[2:]:
        results |= PARTS[part]()
    if is_first():
        np.savez(Path(sys.argv[1]), **results)
    wait_for_all("results are written")
