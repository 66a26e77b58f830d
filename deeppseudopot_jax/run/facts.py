"""What numbers of a run follow from, by name and as text: a run that resumes must have the same.

Facts come from whole records: a new key or field is one, unless it is named here as one that only
outputs depend on.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np

from deeppseudopot_jax.problem import Precision
from deeppseudopot_jax.run.checks.idle import WHY_IDLE
from deeppseudopot_jax.run.checks.plan import RunPlan
from deeppseudopot_jax.settings import Settings
from deeppseudopot_jax.types import Bundle, MonteCarloOptions, SystemInput

OUTPUTS_ONLY = (
    "plot_every", "init_plot_every", "init_from", "movie", "n_q", "q_max", "n_r", "r_max",
    "log_memory", "log_runtime", "log_gradients", "init_log_gradients",
)  # fmt: skip
"""Settings that change files and log alone, or name what has facts of its own."""

_LEFT_OUT: dict[type, tuple[str, ...]] = {
    Bundle: ("folder", "notes", "sources", "settings", "monte_carlo_options"),
    SystemInput: ("name", "path_length", "plot_range", "labels"),
}
"""Fields of records that no number follows from; settings and options have facts of their own."""

_LENGTHS = ("total_iterations", "write_every")
"""Fields of mcOpts*.par that the chain of this very file may change."""

_SHOWN = 40  # characters of a fact; what is longer is told by its fingerprint


def chain_facts(
    plan: RunPlan, options: MonteCarloOptions | None, precision: Precision
) -> dict[str, str]:
    """What a Monte Carlo chain follows from: a later run may only make it longer.

    Args:
        plan: of the stage.
        options: the mcOpts*.par file of the chain; None where the mc_* keys say it all.
        precision: of the calculation.
    """
    facts = setting_facts(plan)
    facts.pop(str(Settings.model_fields["mc_iterations"].alias), None)
    every = plan.bundle.monte_carlo_options
    if options is not None:  # It starts from the best potential of the chains before.
        before = every[: [each.file for each in every].index(options.file)]
        facts |= option_facts(before)
        facts |= dict(_facts(options.file, options, _LENGTHS))
    return facts | input_facts(plan) | {"precision": precision}


def training_facts(plan: RunPlan, precision: Precision) -> dict[str, str]:
    """What a gradient training follows from: a later run may only make it longer.

    Args:
        plan: of the stage.
        precision: of the calculation.
    """
    facts = setting_facts(plan)
    facts.pop(str(Settings.model_fields["max_epochs"].alias), None)
    return facts | input_facts(plan) | {"precision": precision}


def setting_facts(plan: RunPlan) -> dict[str, str]:
    """Every key of NN_config.par that acts and is not at its default, as the file spells it."""
    given = plan.settings.changed()
    return {
        str(info.alias): given[str(info.alias)]
        for name, info in Settings.model_fields.items()
        if info.alias in given and name not in OUTPUTS_ONLY and not WHY_IDLE[name](plan)
    }


def option_facts(options: tuple[MonteCarloOptions, ...]) -> dict[str, str]:
    """Everything in mcOpts*.par files."""
    return {name: text for each in options for name, text in _facts(each.file, each)}


def input_facts(plan: RunPlan) -> dict[str, str]:
    """Everything else in the bundle of a plan: systems, start, targets, schedules."""
    unused = () if plan.restores_moments else ("optimizer_state",)
    return dict(_facts("", plan.bundle, unused))


def _facts(name: str, value: Any, left_out: tuple[str, ...] = ()) -> Iterator[tuple[str, str]]:
    """Name and text of all that a value holds, field by field and entry by entry."""
    if is_dataclass(value):
        for kind, names in _LEFT_OUT.items():
            left_out += names if isinstance(value, kind) else ()
        for field in fields(value):
            if field.name not in left_out:
                inner = f"{name} {field.name.replace('_', ' ')}".strip()
                yield from _facts(inner, getattr(value, field.name))
    elif isinstance(value, tuple) and any(map(is_dataclass, value)):
        for number, entry in enumerate(value):
            yield from _facts(f"{name} {number}", entry)
    else:
        text = _spelled(value)
        yield name, text if len(text) <= _SHOWN else f"fingerprint {_fingerprint(text.encode())}"


def _spelled(value: Any) -> str:
    """A text that is the same for the same value alone."""
    match value:
        case None | bool() | int() | float() | str() | Path():
            return str(value)
        case np.ndarray() | np.generic():
            return f"{value.dtype} {value.shape} {_fingerprint(np.asarray(value).tobytes())}"
        case dict():
            return f"{{{', '.join(f'{key}: {_spelled(part)}' for key, part in value.items())}}}"
        case tuple() | list():
            return f"({', '.join(map(_spelled, value))})"
    raise TypeError(f"no fact can be made of a {type(value).__name__}")  # it would pass unseen


def _fingerprint(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()[:16]
