"""How much memory and time a run needs: estimates, the second of them an order of magnitude."""

from collections.abc import Sequence

from deeppseudopot_jax.resources import spelled as spelled_bytes
from deeppseudopot_jax.run.checks.plan import RunPlan
from deeppseudopot_jax.run.checks.resources import available_memory, needs_of

_WARM = 0.5
"""Seconds of a solve that starts from the vectors of the step before, over one from scratch."""
_GRADIENT = 1.3
"""Of an update over its solve: expectation values, optimiser, cost."""
_JACOBIAN = 3.0
"""Of an update by least squares over its solve: trial steps, products with the Jacobian."""
_INITIAL_EPOCH = 1.5e-3
"""Seconds of an epoch of the initial fit of a network."""
_EVALUATIONS = 2
"""From scratch: bands of the start and of the outcome."""


def memory_in_words(plans: Sequence[RunPlan]) -> str:
    """The estimate of the neediest stage, and what there is."""
    return f"{needs_of(plans).memory}; this machine has {spelled_bytes(available_memory())} free"


def seconds_of(plans: Sequence[RunPlan], per_k_point: float) -> float:
    """Seconds of all stages without compiling and figures, an order of magnitude.

    Args:
        plans: of the stages.
        per_k_point: seconds of one solve from scratch, measured.
    """
    return sum(_of_stage(plan, per_k_point) for plan in plans)


def time_in_words(seconds: float) -> str:
    """Rounded to what an order of magnitude deserves."""
    for unit, size in (("days", 86400.0), ("hours", 3600.0), ("minutes", 60.0)):
        if seconds >= 1.5 * size:
            return f"{float(f'{seconds / size:.1g}'):g} {unit}"
    return f"{float(f'{max(seconds, 1.0):.1g}'):g} seconds"


def _of_stage(plan: RunPlan, per_k_point: float) -> float:
    solve = per_k_point * sum(len(system.k_points) for system in plan.bundle.systems)
    settings = plan.settings
    updates, each = 0, 0.0
    if plan.mode == "gradient":
        updates = settings.max_epochs * plan.members
        each = _JACOBIAN if settings.least_squares else _GRADIENT
    elif plan.mode == "monte_carlo":
        options = plan.bundle.monte_carlo_options if plan.samples_coefficients else ()
        steps = sum(o.total_iterations for o in options) or settings.mc_iterations or 0
        updates, each = steps * settings.mc_replicas, 1.0
    initial = _INITIAL_EPOCH * settings.init_epochs if plan.initial_fit is not None else 0.0
    return initial + solve * (_EVALUATIONS + updates * _WARM * each)
