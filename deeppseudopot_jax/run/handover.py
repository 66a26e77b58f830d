"""What a stage hands over to the next one: in memory, and in a file for a run that is resumed."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import Float

from deeppseudopot_jax.files.results.snapshots import read_snapshot, write_snapshot
from deeppseudopot_jax.parameters import Parameters
from deeppseudopot_jax.potentials.networks import NetworkModel
from deeppseudopot_jax.potentials.state_dict import to_state_dict
from deeppseudopot_jax.problem import Precision, Problem
from deeppseudopot_jax.run.checks.plan import RunPlan
from deeppseudopot_jax.run.facts import input_facts, option_facts, setting_facts
from deeppseudopot_jax.run.potential_files import coefficients_of
from deeppseudopot_jax.types import Bundle

FILE = "handed_over.npz"
"""The last file of a stage that others follow: where it is, the stage is complete."""


@dataclass(frozen=True, eq=False)
class Outcome:
    """The potential that a stage ends with, as the bundle of the next one holds it.

    Attributes:
        coefficients: a0 to a8 of every species.
        model_state: the weights in PyTorch's names; None where a0 to a3 are the local potential.
    """

    coefficients: Float[np.ndarray, "species 9"]
    model_state: dict[str, np.ndarray] | None


def outcome_of(bundle: Bundle, problem: Problem, params: Parameters) -> Outcome:
    """What final_* hold of a potential; every process knows it."""
    model = problem.local
    state = to_state_dict(model, params.local) if isinstance(model, NetworkModel) else None
    return Outcome(coefficients_of(bundle, problem, params), state)


def write_outcome(path: Path, outcome: Outcome, facts: dict[str, str]) -> None:
    """Write the outcome of a complete stage; `facts` are those of `stage_facts`."""
    write_snapshot(path, _tree(outcome), facts)


def read_outcome(path: Path, like: Outcome, facts: dict[str, str]) -> Outcome:
    """The outcome of a stage that an earlier run has completed.

    Args:
        path: the file.
        like: an outcome of the same shapes, such as the start of the stage.
        facts: of the stage as this run would do it.

    Raises:
        ResultsError: if the file cannot be read, or belongs to another stage.
    """
    found = jax.tree.map(np.asarray, read_snapshot(path, _tree(like), facts))
    return Outcome(found["coefficients"], found.get("model_state"))


def stage_facts(plan: RunPlan, precision: Precision) -> dict[str, str]:
    """Everything by name, as text, that the outcome of a stage follows from."""
    options = plan.bundle.monte_carlo_options if plan.samples_coefficients else ()
    facts = setting_facts(plan) | option_facts(options) | input_facts(plan)
    return facts | {"precision": precision}


def _tree(outcome: Outcome) -> dict[str, Any]:
    tree: dict[str, Any] = {"coefficients": outcome.coefficients}
    return tree if outcome.model_state is None else tree | {"model_state": outcome.model_state}
