"""What a user sees of a run: a log file of plain lines, and live progress on a terminal."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from deeppseudopot_jax.files.disk import append, writing
from deeppseudopot_jax.run.compilation import counted

_SECONDS_BETWEEN_PLAIN_LINES = 10.0


class Report:
    """Writes every line to the terminal and to a log file, or nowhere at all.

    Each line is in the log file when it is complete, or not at all.
    """

    def __init__(self, log_file: Path | None, goes_on: bool = False) -> None:
        """Start a new log, or go on with an old one, in a folder that exists.

        None is for all processes but the first.

        Raises:
            ResultsError: here and below, if the log cannot be written.
        """
        self.console = Console(highlight=False, quiet=log_file is None)
        self._path = log_file or Path(os.devnull)
        with writing(self._path):
            self._file = self._path.open("ab" if goes_on else "wb", buffering=0)
        self._start = time.perf_counter()

    def line(self, text: str) -> None:
        """One line (or several) for terminal and log."""
        self.console.print(text, markup=False, soft_wrap=True)
        self.log(text)

    def log(self, text: str) -> None:
        """A line for the log file alone, stamped with the seconds since the start."""
        elapsed = time.perf_counter() - self._start
        with writing(self._path):
            append(self._file, f"[{elapsed:9.2f} s] {text}\n".encode())

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
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeElapsedColumn(),
            TextColumn("remaining"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[remark]}"),
            console=self.console,
            disable=not self.console.is_terminal,
            transient=True,
        ) as bar:
            yield Counter(self, bar, title, total)

    def close(self) -> None:
        """Close the log file."""
        self._file.close()


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
