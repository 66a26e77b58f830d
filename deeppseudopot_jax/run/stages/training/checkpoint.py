"""training_checkpoint.npz: all that a training needs to go on, bit by bit."""

from pathlib import Path
from typing import Any, NamedTuple, get_args

import jax
import numpy as np

from deeppseudopot_jax.eigensolvers.interface import FOR_GRADIENTS
from deeppseudopot_jax.errors import ResultsError
from deeppseudopot_jax.files.atomic import ResultsFolder
from deeppseudopot_jax.files.results.snapshots import read_snapshot, write_snapshot
from deeppseudopot_jax.initialise import initial_params
from deeppseudopot_jax.observables.evaluation import shapes_of_states
from deeppseudopot_jax.observables.hamiltonians import prepared as hamiltonians_of
from deeppseudopot_jax.parallel import on_host
from deeppseudopot_jax.parameters import Parameters
from deeppseudopot_jax.run.facts import training_facts
from deeppseudopot_jax.run.file_names import CHECKPOINT
from deeppseudopot_jax.run.outputs import Outputs
from deeppseudopot_jax.run.preparation import Prepared
from deeppseudopot_jax.run.stages.training.history import Best, Costs
from deeppseudopot_jax.run.stages.training.tables import CostTables, Kind
from deeppseudopot_jax.training.interface import TrainingState, placed_state
from deeppseudopot_jax.training.loop import optimiser_of
from deeppseudopot_jax.training.trainable import split


class Checkpoint(NamedTuple):
    """Where a training stood before one of its epochs; a pytree.

    `number` is that of the epoch, `state` what it looks at, `history` what the epochs before came
    to; `n_rows` says how long the tables of costs were then, `log_size` how long the log (bytes).
    """

    number: int
    state: TrainingState
    first: Costs
    best: Best
    n_rows: dict[str, int]
    log_size: int


class CheckpointFile:
    """The checkpoint in a results folder.

    Args:
        prepared: the stage.
        params: of its start, or others of these shapes.
    """

    def __init__(self, prepared: Prepared, params: Parameters) -> None:
        self._prepared, self._params = prepared, params

    def read(self, folder: Path) -> Checkpoint | None:
        """What there is in a folder; None without a file.

        Raises:
            ResultsError: if it cannot be read or belongs to another run, or if this run is to have
                fewer epochs than are done.
        """
        path = folder / CHECKPOINT
        if not path.exists():
            return None
        like = self._shapes()
        found = read_snapshot(path, jax.tree.map(_shape, like), self._facts)
        checkpoint: Checkpoint = jax.tree.map(_as_in, like, found)
        largest = self._prepared.plan.settings.max_epochs
        if checkpoint.number > largest:
            raise ResultsError(
                f"{path} is that of {checkpoint.number} epochs, max_num_epochs = {largest}: "
                f"legal is {checkpoint.number} or more"
            )
        return checkpoint._replace(state=placed_state(self._prepared.problem, checkpoint.state))

    def write(self, folder: ResultsFolder | None, checkpoint: Checkpoint) -> None:
        """Replace the one in a folder, which the first process has; all have to call this."""
        whole = jax.tree.map(_whole, checkpoint)
        if folder is not None:
            write_snapshot(folder.file(CHECKPOINT), whole, self._facts)

    @property
    def _facts(self) -> dict[str, str]:
        return training_facts(self._prepared.plan, self._prepared.problem.precision)

    def _shapes(self) -> Checkpoint:
        """A checkpoint of the same training, as shapes alone."""
        plan, problem, cost, _ = self._prepared
        trainable, _ = split(self._params, plan.trained_channels)
        states = shapes_of_states(hamiltonians_of(problem, self._params), FOR_GRADIENTS)
        state = optimiser_of(plan.settings, problem, cost, trainable).shapes(trainable, states)
        first = Costs(0, 0.0, 0.0 if problem.holds_out else None)
        best = Best(0, 0.0, 0.0, self._params, state.optimizer_state)
        return Checkpoint(0, state, first, best, dict.fromkeys(get_args(Kind), 0), 0)


def check_training(prepared: Prepared, outputs: Outputs, folder: Path) -> None:
    """Refuse to go on from the checkpoint in a folder, where there is one that does not fit.

    Raises:
        ResultsError: if it, a table of costs or the log belong to another run.
    """
    if prepared.plan.mode != "gradient":
        return
    params = initial_params(prepared.plan.bundle, prepared.problem)
    found = CheckpointFile(prepared, params).read(folder)
    if found is None:
        return
    tables = CostTables(outputs, prepared.cost.names, prepared.problem.holds_out)
    tables.check(folder, found.n_rows)
    log = folder / "run.log"
    size = log.stat().st_size if log.exists() else 0
    if size < found.log_size:
        raise ResultsError(
            f"{log} has {size} bytes, but the run to resume had written {found.log_size}: put the "
            "file of that run back, or start the run anew"
        )


def _shape(leaf: Any) -> jax.ShapeDtypeStruct:
    array = leaf if hasattr(leaf, "dtype") else np.asarray(leaf)
    return jax.ShapeDtypeStruct(array.shape, array.dtype)


def _as_in(like: Any, found: jax.Array) -> Any:
    """An array, or a number of Python where `like` is one."""
    return found if hasattr(like, "dtype") else type(like)(found)


def _whole(leaf: Any) -> np.ndarray:
    return np.asarray(on_host(leaf) if isinstance(leaf, jax.Array) else leaf)
