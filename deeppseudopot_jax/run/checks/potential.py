"""The evaluation of a potential: that of the inputs, or one taken from the results of a run."""

from pathlib import Path

import jax.numpy as jnp
import numpy as np

from deeppseudopot_jax.errors import InputError
from deeppseudopot_jax.files.bundle.potential import Potential, potential_of
from deeppseudopot_jax.files.bundle.reader import read_bundle
from deeppseudopot_jax.files.bundle.text import read_document, read_table
from deeppseudopot_jax.files.findings import Findings
from deeppseudopot_jax.initialise import initial_params
from deeppseudopot_jax.parameters import Parameters
from deeppseudopot_jax.potentials.compose import v_of_q
from deeppseudopot_jax.problem import Problem
from deeppseudopot_jax.run.checks.plan import RunPlan, plan_of
from deeppseudopot_jax.types import Bundle

_SAME = 1e-4
"""Of the largest |v(q)|; single precision and the decimals of the table are below it."""


def evaluation_of(
    inputs: Path | str, results: Path | str | None = None
) -> tuple[RunPlan, Potential | None]:
    """The plan of an evaluation, and the potential that it takes from the results of a run.

    Raises:
        BundleError: listing everything wrong with the inputs, or with that potential.
    """
    bundle = read_bundle(inputs, purpose="eval", potential=results)
    if results is None:
        return plan_of(bundle, "eval"), None
    return plan_of(bundle, "eval"), potential_of(Path(results))


def parameters_of(bundle: Bundle, problem: Problem, taken: Potential | None) -> Parameters:
    """The parameters of an evaluation, checked against the run that they come from.

    Args:
        bundle: of the plan that `evaluation_of` gives.
        problem: made of that bundle.
        taken: what `evaluation_of` gives beside the plan.

    Raises:
        InputError: as `check_same_potential` does, or if weights do not fit the model.
    """
    if taken is not None:
        check_same_potential(bundle, problem, taken)
    return initial_params(bundle, problem)


def check_same_potential(bundle: Bundle, problem: Problem, potential: Potential) -> None:
    """Refuse settings under which the files of a run mean another v(q) than they did there.

    Looked at is final_qSpace_pot.dat; a run that has not come to its end has none.

    Raises:
        InputError: saying where they differ.
        BundleError: if that table is damaged.
    """
    path = potential.folder / f"{potential.prefix}_qSpace_pot.dat"
    if potential.prefix != "final" or not path.is_file():
        return
    findings = Findings()
    document = read_document(path, findings)
    columns = sorted(potential.species)
    table = document and read_table(document, 1 + len(columns), f"q v(q) of {' '.join(columns)}")
    findings.raise_if_any(str(potential.folder))
    assert table
    q = table.values[:, 0]
    expected = table.values[:, [1 + columns.index(symbol) for symbol in bundle.species]]
    params = initial_params(bundle, problem)
    gamma = problem.channels.long_range_gamma
    found = np.asarray(v_of_q(problem.local, params, jnp.asarray(q, problem.dtype), gamma))
    difference = np.abs(found - expected)
    if not np.nanmax(difference) > _SAME * np.abs(expected).max():
        return
    row, column = np.unravel_index(np.nanargmax(difference), difference.shape)
    raise InputError(
        f"with this NN_config.par the {potential.prefix}_* files of {potential.folder} are another "
        f"potential than they were in that run: v(q) of {bundle.species[int(column)]} at q = "
        f"{q[row]:.3g} is {found[row, column]:.4g}, in {path.name} {expected[row, column]:.4g} Ha "
        "Bohr^3; PPmodel, its PPmodel_* keys and LRgamma must be those of the run"
    )
