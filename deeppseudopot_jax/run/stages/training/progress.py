"""How far a training is, and what of it is in its files: costs, best potential, checkpoint."""

from collections.abc import Mapping
from pathlib import Path

from deeppseudopot_jax.errors import ResultsError
from deeppseudopot_jax.files.interrupts import uninterrupted
from deeppseudopot_jax.parameters import Parameters
from deeppseudopot_jax.run.file_names import CHECKPOINT
from deeppseudopot_jax.run.session import Session, Solved
from deeppseudopot_jax.run.stages.pace import Pace
from deeppseudopot_jax.run.stages.training.checkpoint import Checkpoint, checkpoint_file
from deeppseudopot_jax.run.stages.training.history import Best, History
from deeppseudopot_jax.run.stages.training.tables import CostRow, CostTables
from deeppseudopot_jax.training.interface import TrainingState, placed_state
from deeppseudopot_jax.training.loop import Epoch


class Progress:
    """The epochs so far with their files.

    Args:
        session: of the run.
        params: of the start.
    """

    def __init__(self, session: Session, params: Parameters) -> None:
        self._session = session
        self._file = checkpoint_file(session.prepared, params)
        self.tables = CostTables(session.outputs, session.cost.names, session.problem.holds_out)
        self.history = History()
        self._checkpoint: Checkpoint | None = None
        self._saved: Checkpoint | None = None
        self._in_files: Best | None = None
        self._solved: tuple[int, Solved] | None = None
        self._pace = Pace()
        self._resumed: int | None = None

    def begin(self) -> None:
        """Start the tables of costs."""
        self.tables.begin()

    def resume(self, folder: Path) -> TrainingState | None:
        """Go on with the checkpoint of a folder and its tables; None where there is none.

        Raises:
            ResultsError: if one of them does not belong to this training.
        """
        found = self._file.read(folder)
        if found is None:
            return None
        self._file.check_length(folder, found.number)
        self.tables.resume(folder, found.n_rows)
        self.history = History(found.first, None, found.best)
        self._resumed = found.number
        text = f"resumed before epoch {found.number}"
        self._session.report.go_on_from(found.log_size, text)
        return placed_state(self._session.problem, found.state)

    def is_told(self, epoch: Epoch) -> bool:
        """Whether the log of the run before has the remarks of an epoch."""
        return epoch.number == self._resumed

    def add(self, epoch: Epoch) -> None:
        """Take note of an epoch, and of where the training stands before it."""
        first, best = self.history.first, self.history.best
        if first is not None and best is not None and epoch.state is not None:
            n_rows, log_size = dict(self.tables.n_rows), self._session.report.size
            self._checkpoint = Checkpoint(epoch.number, epoch.state, first, best, n_rows, log_size)
        self.history = self.history.after(epoch)
        self.tables.add("training", _row(epoch.number, epoch.cost, epoch.terms, epoch.held_out))

    def validated(self, epoch: Epoch) -> Solved:
        """Bands of an epoch as accurate as results are, whose cost is a row of the table."""
        number = epoch.number
        if self._solved is None or self._solved[0] != number:
            near = None if epoch.state is None else epoch.state.nearby
            solved = self._session.solved(epoch.params, near=near)
            terms, held_out = self._session.terms(solved), self._session.held_out(solved)
            self.tables.add("validation", _row(number, sum(terms.values()), terms, held_out))
            self._solved = number, solved
        return self._solved[1]

    def best_solved(self) -> Solved:
        """The best potential with its bands."""
        best = self.history.best
        assert best is not None  # an epoch that is not the best one has not failed
        if self._solved is not None and self._solved[0] == best.number:
            return self._solved[1]
        return self._session.solved(best.params)

    def save_now_and_then(self, wanted: bool) -> None:
        """Save where it is time, or `wanted` and not too often; always before any checkpoint is."""
        if self._saved is None or self._pace.is_due(wanted):
            with uninterrupted(), self._pace.saving():
                self.save()

    def save(self) -> None:
        """best_*, the costs and, last, the checkpoint that counts on them."""
        best, outputs = self.history.best, self._session.outputs
        if best is not None and best is not self._in_files:
            outputs.parameters("best", best.params, best.optimizer_state)
            self._in_files = best
        self.tables.write()
        if self._checkpoint is not None and self._checkpoint is not self._saved:
            self._file.write(outputs.folder, self._checkpoint)
            self._saved = self._checkpoint

    def save_what_there_is(self) -> str:
        """Save after a failure, and say what there is now."""
        failed = ""
        try:
            self.save()
        except ResultsError as error:
            failed = f"; not all of it could be saved: {error}"
        known, best = self._in_files, self.history.best
        text = ""
        if known is not None:
            is_best = known is best
            text = ", which best_* hold" if is_best else f"; best_* hold epoch {known.number}"
        return text + failed + (f"; --resume goes on from {CHECKPOINT}" if self._saved else "")


def _row(number: int, cost: float, terms: Mapping[str, float], held_out: float | None) -> CostRow:
    return CostRow(number, cost, tuple(terms.values()), held_out)
