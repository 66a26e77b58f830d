"""Whether a training can go on from its checkpoint, before anything is written."""

from pathlib import Path

from deeppseudopot_jax.initialise import initial_params
from deeppseudopot_jax.run.outputs import Outputs
from deeppseudopot_jax.run.preparation import Prepared
from deeppseudopot_jax.run.stages.training.checkpoint import check_log, checkpoint_file
from deeppseudopot_jax.run.stages.training.ensemble import check_ensemble
from deeppseudopot_jax.run.stages.training.tables import CostTables


def check_training(prepared: Prepared, outputs: Outputs, folder: Path) -> None:
    """Refuse to go on from the checkpoint in a folder, where there is one that does not fit.

    Raises:
        ResultsError: if it, a table of costs or the log belong to another run.
    """
    if prepared.plan.mode != "gradient":
        return
    params = initial_params(prepared.plan.bundle, prepared.problem)
    if prepared.plan.members > 1:
        check_ensemble(prepared, params, folder)
        return
    file = checkpoint_file(prepared, params)
    found = file.read(folder)
    if found is None:
        return
    file.check_length(folder, found.number)
    tables = CostTables(outputs, prepared.cost.names, prepared.problem.holds_out)
    tables.check(folder, found.n_rows)
    check_log(folder, found.log_size)
