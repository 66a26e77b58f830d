"""Who draws figures: this process at once, or one beside it while the work goes on.

A figure takes up to a second and holds Python's lock, which the calculation needs as well; another
process does not. It is asked through its standard input, one drawing after the other, and ends
with the process that started it. matplotlib is imported where the drawing is done.
"""

import os
import pickle
import subprocess
import sys
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple, Protocol

_FIGURES = "deeppseudopot_jax.files.results.figures"
_WORKER = "deeppseudopot_jax.files.results.painting"

_ONE_AT_A_TIME = Lock()
"""Threads of a process share matplotlib's settings."""
_NICENESS = 10
"""The calculation comes first: figures may wait for a core that has nothing else to do."""


class Drawing(NamedTuple):
    """A figure to make, by the name of its function in `figures`, and the files to write it to.

    A page is made in the same way, by another module with such functions and a `save`; `saved_by`
    names the function that saves.
    """

    figure: str
    arguments: tuple[Any, ...]
    paths: tuple[Path, ...]
    module: str = _FIGURES
    saved_by: str = "save"


class Painter(Protocol):
    """Somebody who draws."""

    def paint(self, drawing: Drawing) -> None:
        """Draw at once or later."""
        ...

    def make(self, drawing: Drawing) -> Any:
        """What has saved this one returns; what goes wrong with it is raised here alone."""
        ...

    def wait(self) -> None:
        """Return when everything is drawn; raises what has gone wrong."""
        ...

    def close(self) -> None:
        """The same, and let go of whoever draws beside. Painting may go on."""
        ...

    def drop(self) -> None:
        """Forget what is not begun, and return when the rest is done."""
        ...


class Here:
    """Draws at once, in this process."""

    def paint(self, drawing: Drawing) -> None:
        """Return when the files are there."""
        self.make(drawing)

    def make(self, drawing: Drawing) -> Any:
        """The same; what has saved the last file returns."""
        figures, made = import_module(drawing.module), None
        with _ONE_AT_A_TIME:
            figure = getattr(figures, drawing.figure)(*drawing.arguments)
            for path in drawing.paths:
                made = getattr(figures, drawing.saved_by)(figure, path)
        return made

    def wait(self) -> None:
        """Nothing is left to do."""

    def close(self) -> None:
        """Nothing is left to do."""

    def drop(self) -> None:
        """Nothing is left to do."""


class Beside:
    """Draws in a process of its own, which begins with the first drawing.

    Where that process cannot be had, or ends, drawings are made here instead; and here too, by
    turns, while somebody waits for the last of them.
    """

    def __init__(self) -> None:
        """Nothing is started yet."""
        self._queue = ThreadPoolExecutor(1, "painter")
        self._drawn: list[Future] = []
        self._waiting: list[tuple[Drawing, Future]] = []
        self._process: subprocess.Popen | None = None

    def paint(self, drawing: Drawing) -> None:
        """Take note of a drawing, whose arguments must not change any more."""
        future = self._queue.submit(self._paint, drawing)
        self._drawn.append(future)
        self._waiting = [each for each in self._waiting if not each[1].done()]
        self._waiting.append((drawing, future))

    def make(self, drawing: Drawing) -> Any:
        """Draw it behind those that are waiting, by the same process."""
        return self._queue.submit(self._paint, drawing).result()

    def wait(self) -> None:
        """Make or wait for all drawings; raises the first error of those made beside, or here."""
        late = (drawing for drawing, future in reversed(self._waiting) if future.cancel())
        errors = [error for error in map(_error_of, late) if error is not None]
        drawn, self._drawn, self._waiting = self._drawn, [], []
        for future in drawn:
            if not future.cancelled():
                future.result()
        if errors:
            raise errors[0]

    def close(self) -> None:
        """Wait, and end the other process."""
        try:
            self.wait()
        finally:
            self._finish()

    def drop(self) -> None:
        """Forget all drawings but the one under way."""
        self._finish(cancel=True)

    def _finish(self, cancel: bool = False) -> None:
        """End the queue, and begin another one."""
        self._drawn, self._waiting = [], []
        self._queue.shutdown(wait=True, cancel_futures=cancel)
        self._queue = ThreadPoolExecutor(1, "painter")
        self._end()

    def _paint(self, drawing: Drawing) -> Any:
        try:
            error, made = self._asked(drawing)
        except (OSError, EOFError, pickle.UnpicklingError):
            self._end()
            return Here().make(drawing)
        if error is not None:
            raise error
        return made

    def _end(self) -> None:
        """Let the other process go, if there is one."""
        process, self._process = self._process, None
        if process is not None and process.stdin is not None and process.stdout is not None:
            with suppress(BrokenPipeError):
                process.stdin.close()
            process.wait()
            process.stdout.close()

    def _asked(self, drawing: Drawing) -> tuple[Exception | None, Any]:
        """What went wrong in the other process, and what was made."""
        if self._process is None:
            self._process = _started()
        questions, answers = self._process.stdin, self._process.stdout
        assert questions is not None and answers is not None
        pickle.dump(drawing, questions)
        questions.flush()
        answer: tuple[Exception | None, Any] = pickle.load(answers)
        return answer


def _error_of(drawing: Drawing) -> Exception | None:
    """What goes wrong when a drawing is made here."""
    try:
        Here().paint(drawing)
    except Exception as error:
        return error
    return None


def _started() -> subprocess.Popen:
    command = [sys.executable, "-m", _WORKER]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    if hasattr(os, "setpriority"):
        os.setpriority(os.PRIO_PROCESS, process.pid, _NICENESS)
    return process
