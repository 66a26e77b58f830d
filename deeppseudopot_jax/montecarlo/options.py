"""From a bundle to samplers: temperatures, lengths and moves, checked before anything runs.

PPmodel = ZeroFunction moves its coefficients, one run per mcOpts*.par file (or one by the mc_* keys
where there is no such file); a network moves its weights, in one run by the mc_* keys.
"""

from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from jax.sharding import Mesh

from deeppseudopot_jax.batching import replicas_together
from deeppseudopot_jax.costs.interface import Cost
from deeppseudopot_jax.errors import InputError
from deeppseudopot_jax.montecarlo.coefficient_moves import step_sizes, uniform_steps
from deeppseudopot_jax.montecarlo.constraints import Constrained, spin_orbit_is_not_negative
from deeppseudopot_jax.montecarlo.delayed_acceptance import DelayedAcceptance
from deeppseudopot_jax.montecarlo.evaluation import BandEvaluation
from deeppseudopot_jax.montecarlo.interface import Kernel, Move
from deeppseudopot_jax.montecarlo.metropolis import Metropolis
from deeppseudopot_jax.montecarlo.network_moves import network_move
from deeppseudopot_jax.montecarlo.population import Keep
from deeppseudopot_jax.montecarlo.schedule import (
    Schedule,
    alternating,
    annealing,
    geometric,
    ladder,
)
from deeppseudopot_jax.montecarlo.screening import RitzScreen
from deeppseudopot_jax.montecarlo.tempering import Tempering, params_of
from deeppseudopot_jax.parameters import COLUMNS
from deeppseudopot_jax.problem import Problem
from deeppseudopot_jax.settings import Settings
from deeppseudopot_jax.types import Bundle, MonteCarloOptions

Number = TypeVar("Number", int, float)


@dataclass(frozen=True, eq=False)
class Plan:
    """One Monte Carlo run: its length in steps per replica, its temperatures, its kernel's kind.

    `options` is the mcOpts*.par file it comes from, None where the mc_* keys say it all.
    """

    n_steps: int
    schedule: Schedule
    swap_every: int
    burn_in: int
    delayed_acceptance: bool
    options: MonteCarloOptions | None = None

    @property
    def length_key(self) -> str:
        """The key that says `n_steps`, with its file where that is not NN_config.par."""
        return _length_key(self.options)


def plans(bundle: Bundle) -> tuple[Plan, ...]:
    """The runs that a bundle asks for, to be done one after the other.

    Raises:
        InputError: if temperatures are missing or contradict each other, or a length is not a
            whole number of swap intervals.
    """
    options = bundle.monte_carlo_options if bundle.settings.trains_coefficients else ()
    return tuple(_plan(bundle, each) for each in options or (None,))


def make_move(bundle: Bundle, options: MonteCarloOptions | None, problem: Problem) -> Move:
    """The move of a run, constrained to a5 >= 0 where there is spin-orbit.

    Raises:
        InputError: if nothing would move, steps are bad, or an a5 is negative at the start.
    """
    settings = bundle.settings
    move: Move
    if settings.trains_coefficients:
        if bundle.coefficients is None:
            raise InputError("the moves of the Zunger form need its coefficients")
        deforms = settings.strain and options is not None and options.fit_deformation
        sizes = step_sizes(
            bundle.coefficients, bundle.step_sizes, bundle.species, settings.spin_orbit, deforms
        )
        move = uniform_steps(sizes, problem.composition)
    else:
        eps = _required(settings.mc_fraction, "mc_percentage")
        mode = settings.mc_perturb_mode
        move = network_move(mode, eps, settings.spin_orbit, problem.dtype)
    if not settings.spin_orbit:
        return move
    if bundle.coefficients is None:
        return Constrained(move, (spin_orbit_is_not_negative,))
    a5 = bundle.coefficients[:, COLUMNS["spin_orbit"]]
    if (a5 < 0).any():
        raise InputError(
            f"a5 = {a5} of {', '.join(bundle.species)}: Monte Carlo moves "
            "need spin-orbit strengths that are not negative"
        )
    return Constrained(move, (spin_orbit_is_not_negative,))


def make_sampler(
    plan: Plan,
    problem: Problem,
    move: Move,
    cost: Cost,
    preconditioners: tuple[Any, ...],
    keep: Keep = params_of,
    mesh: Mesh | None = None,
) -> Tempering:
    """The sampler of a run.

    Args:
        plan: its length and temperatures.
        problem: from `build_problem`.
        move: from `make_move`.
        cost: from `monte_carlo_cost`.
        preconditioners: from `evaluation.start_of`, with the vectors of its start.
        keep: what its history holds of every step.
        mesh: devices to split the replicas over, where each has all systems and k-points.
    """
    evaluate = BandEvaluation(problem, cost, preconditioners)
    kernel: Kernel = Metropolis(move, evaluate)
    if plan.delayed_acceptance:
        kernel = DelayedAcceptance(move, evaluate, RitzScreen(problem, cost.of_bands))
    on_one_device = plan.schedule.n_rungs // (1 if mesh is None else mesh.size)
    together = replicas_together(problem.groups, on_one_device)
    return Tempering(kernel, plan.swap_every, plan.burn_in, keep, together, mesh)


def _plan(bundle: Bundle, options: MonteCarloOptions | None) -> Plan:
    settings = bundle.settings
    key = _length_key(options)
    n_steps = (
        _required(settings.mc_iterations, key) if options is None else options.total_iterations
    )
    swap_every = settings.mc_swap_every if settings.mc_replicas > 1 else 1
    if n_steps % swap_every:
        raise InputError(f"{key} = {n_steps} is no multiple of mc_swap_every = {swap_every}")
    if settings.mc_burn_in >= n_steps:
        raise InputError(f"mc_burn_in = {settings.mc_burn_in} leaves nothing of {key} = {n_steps}")
    schedule = _ladder(settings, options) if settings.mc_replicas > 1 else _walker(bundle, options)
    return Plan(
        n_steps,
        schedule,
        swap_every,
        settings.mc_burn_in,
        settings.mc_delayed_acceptance,
        options,
    )


def _length_key(options: MonteCarloOptions | None) -> str:
    return "mc_iter" if options is None else f"{options.file}: totalIter"


def _walker(bundle: Bundle, options: MonteCarloOptions | None) -> Schedule:
    if options is not None:
        return alternating(options.betas, options.steps_at_temperature, options.step_size_factors)
    rows = [] if bundle.beta_schedule is None else bundle.beta_schedule.tolist()
    return annealing(_required(bundle.settings.mc_beta, "mc_beta"), rows)


def _ladder(settings: Settings, options: MonteCarloOptions | None) -> Schedule:
    """Temperatures of all replicas; step factors follow those of mcOpts*.par in log(beta)."""
    n, betas = settings.mc_replicas, settings.mc_betas
    if options is not None:
        betas = betas or tuple(sorted(options.betas, reverse=True))
    if len(betas) not in (2, n):
        raise InputError(
            f"mc_replicas = {n} needs mc_betas: the betas of all replicas, or those of the coldest "
            f"and the hottest; found {len(betas)}"
        )
    every = list(betas) if len(betas) == n else geometric(betas[0], betas[-1], n)
    if options is None:
        return ladder(every)
    ends = sorted(zip(options.betas, options.step_size_factors, strict=True))
    known, factors = np.log(np.array(ends)).T
    return ladder(every, np.exp(np.interp(np.log(every), known, factors)).tolist())


def _required(value: Number | None, key: str) -> Number:
    if value is None:
        raise InputError(f"Monte Carlo needs the key {key}")
    return value
