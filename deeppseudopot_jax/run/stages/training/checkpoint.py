"""training_checkpoint.npz: all that a training needs to go on, bit by bit."""

from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar, get_args

import jax
import numpy as np

from deeppseudopot_jax.eigensolvers.interface import FOR_GRADIENTS
from deeppseudopot_jax.errors import ResultsError
from deeppseudopot_jax.files.atomic import ResultsFolder
from deeppseudopot_jax.files.results.snapshots import (
    names_in,
    names_of,
    read_snapshot,
    write_snapshot,
)
from deeppseudopot_jax.observables.evaluation import Evaluation, carried, shapes_of_states
from deeppseudopot_jax.observables.hamiltonians import prepared as hamiltonians_of
from deeppseudopot_jax.parallel import on_host
from deeppseudopot_jax.parameters import Parameters
from deeppseudopot_jax.run.facts import training_facts
from deeppseudopot_jax.run.file_names import CHECKPOINT
from deeppseudopot_jax.run.preparation import Prepared
from deeppseudopot_jax.run.stages.training.history import Best, Costs
from deeppseudopot_jax.run.stages.training.tables import Kind
from deeppseudopot_jax.training.interface import TrainingState
from deeppseudopot_jax.training.loop import optimiser_of
from deeppseudopot_jax.training.trainable import split

Tree = TypeVar("Tree")


class Checkpoint(NamedTuple):
    """Where a training stood before one of its epochs; a pytree.

    `number` is that of the epoch, `state` what it looks at, `first` and `best` what the epochs
    before came to; `n_rows` says how long the tables of costs were then, `log_size` how long the
    log (bytes).
    """

    number: int
    state: TrainingState
    first: Costs
    best: Best
    n_rows: dict[str, int]
    log_size: int


class CheckpointFile(Generic[Tree]):
    """A tree in the results folder of a stage.

    Args:
        prepared: the stage.
        likes: trees as it may be, of the same shapes; with numbers of Python where these are wanted
            back.
    """

    def __init__(self, prepared: Prepared, *likes: Tree) -> None:
        self._facts = training_facts(prepared.plan, prepared.problem.precision)
        self._longest = prepared.plan.settings.max_epochs
        self._likes = likes

    def read(self, folder: Path) -> Tree | None:
        """What there is in a folder; None without a file.

        Raises:
            ResultsError: if it cannot be read or belongs to another run.
        """
        path = folder / CHECKPOINT
        if not path.exists():
            return None
        names = names_in(path)
        shapes = [jax.tree.map(_shape, like) for like in self._likes]
        which = next((i for i, tree in enumerate(shapes) if names_of(tree) == names), 0)
        found = read_snapshot(path, shapes[which], self._facts)
        tree: Tree = jax.tree.map(_as_in, self._likes[which], found)
        return tree

    def check_length(self, folder: Path, done: int) -> None:
        """Refuse to go on with a run that is longer than this one is to be.

        Raises:
            ResultsError: if more epochs are done.
        """
        if done > self._longest:
            raise ResultsError(
                f"{folder / CHECKPOINT} is that of {done} epochs, max_num_epochs = "
                f"{self._longest}: legal is {done} or more"
            )

    def write(self, folder: ResultsFolder | None, tree: Tree) -> None:
        """Replace the one in a folder, which the first process has; all have to call this."""
        whole = jax.tree.map(_whole, tree)
        if folder is not None:
            write_snapshot(folder.file(CHECKPOINT), whole, self._facts)


def checkpoint_file(prepared: Prepared, params: Parameters) -> CheckpointFile[Checkpoint]:
    """The file of a training that starts from `params`, or from others of these shapes."""
    plan, problem, cost, _ = prepared
    trainable, _ = split(params, plan.trained_channels)
    states = shapes_of_states(hamiltonians_of(problem, params), FOR_GRADIENTS)
    memory = optimiser_of(plan.settings, problem, cost, trainable).begin(trainable)
    start = TrainingState(trainable, memory)
    # What is known of the bands there: vectors to start from, or all of them.
    possible = (
        start._replace(carried=carried(states)),
        start._replace(evaluation=Evaluation(states, 0, False)),
    )
    first = Costs(0, 0.0, 0.0 if problem.holds_out else None)
    best = Best(0, 0.0, 0.0, params, memory)
    n_rows = dict.fromkeys(get_args(Kind), 0)
    likes = (Checkpoint(0, state, first, best, n_rows, 0) for state in possible)
    return CheckpointFile(prepared, *likes)


def check_log(folder: Path, size: int) -> None:
    """Refuse to go on where the log has lost what it had.

    Raises:
        ResultsError: if it is shorter than `size` bytes.
    """
    log = folder / "run.log"
    found = log.stat().st_size if log.exists() else 0
    if found < size:
        raise ResultsError(
            f"{log} has {found} bytes, but the run to resume had written {size}: put the file of "
            "that run back, or start the run anew"
        )


def _shape(leaf: Any) -> jax.ShapeDtypeStruct:
    array = leaf if hasattr(leaf, "dtype") else np.asarray(leaf)
    return jax.ShapeDtypeStruct(array.shape, array.dtype)


def _as_in(like: Any, found: jax.Array) -> Any:
    """An array, or a number of Python where `like` is one."""
    return found if hasattr(like, "dtype") else type(like)(found)


def _whole(leaf: Any) -> np.ndarray:
    return np.asarray(on_host(leaf) if isinstance(leaf, jax.Array) else leaf)
