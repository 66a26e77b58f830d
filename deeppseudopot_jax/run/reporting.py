"""What a user sees of a run: a log file of plain lines, and live progress on a terminal."""

import os
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, TextIO

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Column

from deeppseudopot_jax.files.disk import append, writing
from deeppseudopot_jax.run.compilation import counted
from deeppseudopot_jax.run.timing import StageTime, measured

_SECONDS_BETWEEN_PLAIN_LINES = 10.0
_NOWHERE = Path(os.devnull)
_CUT_OFF = "_interrupted"
_LOGGED = "the traceback is in "
_BAR = 30


class Report:
    """Writes every line to the terminal and to a log file, or nowhere at all.

    Each line is in the log file when it is complete, or not at all. `stages` has the times of the
    parts of the run that have ended.
    """

    def __init__(self, log_file: Path | None, goes_on: bool = False) -> None:
        """Start a new log, or go on with an old one, in a folder that exists.

        None is for all processes but the first.

        Raises:
            ResultsError: here and below, if the log cannot be written.
        """
        stdout: Any = sys.stdout and _Losable(sys.stdout)
        self.console = Console(file=stdout, highlight=False, quiet=log_file is None)
        self._path = log_file or _NOWHERE
        with writing(self._path):
            self._file = self._path.open("ab" if goes_on else "wb", buffering=0)
        self._start = time.perf_counter()
        self._rehearsed: list[str] | None = None
        self.stages: list[StageTime] = []

    def line(self, text: str) -> None:
        """One line (or several) for terminal and log."""
        self.log(text)
        self.console.print(text, markup=False, soft_wrap=True)

    def log(self, text: str) -> None:
        """A line for the log file alone, stamped with the seconds since the start."""
        if self._rehearsed is not None:
            self._rehearsed.append(f"{text}\n")
            return
        elapsed = time.perf_counter() - self._start
        with writing(self._path):
            append(self._file, f"[{elapsed:9.2f} s] {text}\n".encode())

    def failure(self, error: BaseException, name: str) -> None:
        """What ends the run, with its traceback; `logged_in` finds out where that is."""
        text = "".join(traceback.format_exception(error))
        self._rehearsed = None
        self.log(f"ended by {name}\n{text}")
        if self._path != _NOWHERE:
            error.add_note(f"{_LOGGED}{self._path}")

    @property
    def size(self) -> int:
        """Bytes of the log file so far."""
        return 0 if self._path == _NOWHERE else self._file.seek(0, os.SEEK_END)

    def rehearse(self) -> None:
        """Until `go_on_from` the log stays as it is: it has what follows from an earlier run."""
        self._rehearsed = []

    def go_on_from(self, size: int, text: str) -> None:
        """Log again, behind the first `size` bytes.

        What was behind them, and what was rehearsed, goes to *_interrupted.log.

        Args:
            size: of the log when the state was saved that the run goes on from.
            text: a line for the terminal, and for that other file.
        """
        self.console.print(text, markup=False, soft_wrap=True)
        rehearsed, self._rehearsed = self._rehearsed or [], None
        if self._path == _NOWHERE:
            return
        aside = self._path.with_name(f"{self._path.stem}{_CUT_OFF}{self._path.suffix}")
        lines = "".join([*rehearsed, f"{text}\n"]).encode()
        with writing(aside), aside.open("ab", buffering=0) as file:
            append(file, self._path.read_bytes()[size:] + lines, to_disk=True)
        with writing(self._path):
            self._file.truncate(size)

    def stage(self, name: str) -> AbstractContextManager[None]:
        """A part of the run, whose time and memory are noted in `stages` when it ends."""
        return measured(name, self.stages)

    @contextmanager
    def first_time(self, what: str) -> Iterator[None]:
        """Something that has to be compiled before it is done; says so while it lasts."""
        self.log(f"compiling: {what}")
        with counted() as compiled, self.console.status(f"compiling: {what}"):
            yield
        self.log(f"{what}: {compiled}")

    @contextmanager
    def progress(self, title: str, total: int) -> Iterator["Counter"]:
        """A counter of `total` steps: a live bar on a terminal, plain lines in the log."""
        with Progress(
            *_columns(self.console.width, title, total),
            console=self.console,
            disable=not self.console.is_terminal,
            transient=True,
        ) as bar:
            yield Counter(self, bar, title, total)

    def close(self) -> None:
        """Close the log file."""
        self._file.close()


def _columns(width: int, title: str, total: int) -> list[ProgressColumn]:
    """What of a counter fits on a line: first how far it is, then what matters less."""
    digits = 2 * len(str(total)) + 1
    found: list[tuple[int, ProgressColumn]] = []
    for place, size, make in (
        (2, digits, MofNCompleteColumn),
        (4, len("100:00:00"), TimeRemainingColumn),
        (0, len(title), partial(TextColumn, "{task.description}")),
        (5, len("left"), partial(TextColumn, "left")),
        (6, len("lowest cost 0.0123456 eV^2"), partial(TextColumn, "{task.fields[remark]}")),
        (3, len("1000.0 s each"), partial(TextColumn, "{task.fields[rate]}")),
        (1, _BAR, partial(BarColumn, _BAR)),
        (7, len("100:00:00"), TimeElapsedColumn),
    ):
        if size > width:
            break
        width -= size + 1
        found.append((place, make(table_column=Column(width=size, no_wrap=True))))
    return [column for _, column in sorted(found, key=lambda each: each[0])]


def logged_in(error: BaseException) -> str | None:
    """The log that has the traceback of an error; None where no run had begun."""
    notes = [note for note in getattr(error, "__notes__", ()) if note.startswith(_LOGGED)]
    return notes[0].removeprefix(_LOGGED) if notes else None


class _Losable:
    """The standard output, which a run does without where nobody reads it any more.

    A pipe can be closed, a terminal hung up, a disk full: what follows is in the log alone.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write text, or lose it."""
        try:
            return self._stream.write(text)
        except OSError:
            return self._lost(len(text))

    def flush(self) -> None:
        """Write what is pending, or lose it."""
        try:
            self._stream.flush()
        except OSError:
            self._lost(0)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def _lost(self, size: int) -> int:
        # Whatever Python still holds for the stream must find a place when it ends.
        with suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)
        return size


class Counter:
    """Counts steps of one stage and knows its rate."""

    def __init__(self, report: Report, bar: Progress, title: str, total: int) -> None:
        """Start counting at zero."""
        self._report, self._bar, self._title, self._total = report, bar, title, total
        self._task = bar.add_task(title, total=total, rate="", remark="")
        self._start = self._last_line = time.perf_counter()
        self._first: int | None = None

    def update(self, done: int, remark: str = "") -> None:
        """Show that `done` steps are done; the log gets a line now and then."""
        now = time.perf_counter()
        if self._first is None:
            # Compilation happens before the first step is done: the rate starts after it.
            self._first, self._start = done, now
        elapsed = now - self._start
        rate = (done - self._first) / elapsed if elapsed > 0 else 0.0
        shown = f"{rate:.2f}/s" if rate >= 1 else f"{1 / rate:.1f} s each" if rate > 0 else ""
        self._bar.update(self._task, completed=done, rate=shown, remark=remark)
        if now - self._last_line >= _SECONDS_BETWEEN_PLAIN_LINES or done == self._total:
            self._last_line = now
            remaining = f", {(self._total - done) / rate:.0f} s remaining" if rate > 0 else ""
            text = f"{self._title}: {done}/{self._total} {shown}{remaining} {remark}".rstrip()
            self._report.log(text)
            if not self._report.console.is_terminal:
                self._report.console.print(text, markup=False, soft_wrap=True)
