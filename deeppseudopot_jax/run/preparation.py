"""What a run needs before it computes or writes anything, and whether its bundle fits together."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec

from deeppseudopot_jax.costs.bands import cost_of_bands
from deeppseudopot_jax.costs.choice import training_cost
from deeppseudopot_jax.costs.interface import Cost
from deeppseudopot_jax.initialise import initial_moments, initial_params
from deeppseudopot_jax.montecarlo.chain import Chain, chains
from deeppseudopot_jax.parallel import placed, replica_mesh
from deeppseudopot_jax.problem import (
    Precision,
    Problem,
    distribute,
    local_model,
    on_the_host,
    with_local,
)
from deeppseudopot_jax.run.checks.plan import RunPlan
from deeppseudopot_jax.types import Bundle


class Prepared(NamedTuple):
    """A plan with all that it needs, before anything is computed or written."""

    plan: RunPlan
    problem: Problem
    cost: Cost
    chains: tuple[Chain, ...]


def tables_of(bundle: Bundle, precision: Precision) -> tuple[Problem, Problem]:
    """The problem on the host and on all devices; all stages share their tables."""
    built = on_the_host(bundle, precision=precision)
    return built, distribute(built)


def prepare(plan: RunPlan, tables: tuple[Problem, Problem]) -> Prepared:
    """Everything of a plan that its bundle may turn out not to fit.

    Raises:
        InputError: if it does not.
    """
    bundle = plan.bundle
    built, problem = (with_local(each, local_model(bundle)) for each in tables)
    if plan.members > 1 and replica_mesh(plan.members) is not None:
        # Members have a device each, instead of sharing k-points.
        problem = jax.tree.map(jnp.asarray, built)
    params = initial_params(bundle, problem)
    if plan.restores_moments:
        initial_moments(bundle, problem, params)
    runs = chains(bundle, built, problem) if plan.mode == "monte_carlo" else ()
    cost = placed(problem.mesh, PartitionSpec(), _cost(plan, problem))
    return Prepared(plan, problem, cost, runs)


def _cost(plan: RunPlan, problem: Problem) -> Cost:
    """What the log calls the cost of a potential."""
    if plan.fits and not plan.samples_coefficients:
        return training_cost(plan.bundle, problem)
    return cost_of_bands(problem)
