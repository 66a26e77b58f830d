"""How the command line ends where it is told to: like Ctrl-C, with everything saved."""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from deeppseudopot_jax.files.interrupts import INTERRUPTS

_AGAIN = 0.02
"""Seconds after which a signal comes back that came where nothing can be raised."""

_SAVING = b"deeppseudopot: saving; once more ends at once\n"


class Terminated(KeyboardInterrupt):
    """SIGTERM, with which schedulers end jobs: an interrupt like any other."""

    exit_code = 128 + signal.SIGTERM


def exit_code(interrupt: KeyboardInterrupt) -> int:
    """What shells make of the signal."""
    return getattr(interrupt, "exit_code", 128 + signal.SIGINT)


def name_of(error: BaseException) -> str:
    """What has ended a run, in a word for its log."""
    return "SIGTERM" if isinstance(error, Terminated) else type(error).__name__


@contextmanager
def signals_raised() -> Iterator[None]:
    """SIGINT raises KeyboardInterrupt in the block, and SIGTERM Terminated; in the main thread.

    Only the first one does, since the block is saving afterwards. The second one is told so, and
    any more end the program at once, which leaves no file half written either. Signals that the
    program was started without (nohup, shells) stay ignored.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    ending = _Ending()
    handlers = {number: signal.getsignal(number) for number in INTERRUPTS}
    hook, sys.unraisablehook = sys.unraisablehook, ending.unraisable
    try:
        for number, handler in handlers.items():
            if handler is not signal.SIG_IGN:
                signal.signal(number, ending.told)
        yield
    finally:
        sys.unraisablehook = hook
        for number, handler in handlers.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)


class _Ending:
    """How many signals have come."""

    def __init__(self) -> None:
        self._others = sys.unraisablehook
        self._count = 0

    def told(self, number: int, _: FrameType | None) -> None:
        """What the signals call."""
        self._count += 1
        if self._count == 1:
            raise Terminated("SIGTERM") if number == signal.SIGTERM else KeyboardInterrupt
        if self._count == 2:
            os.write(2, _SAVING)  # whatever the program was printing
            return
        signal.signal(number, signal.SIG_DFL)
        signal.raise_signal(number)

    def unraisable(self, lost: "sys.UnraisableHookArgs") -> None:
        """An interrupt may come in a destructor or in a callback of the garbage collector."""
        if not isinstance(lost.exc_value, KeyboardInterrupt):
            self._others(lost)
            return
        self._count = 0
        again = threading.main_thread().ident, exit_code(lost.exc_value) - 128
        timer = threading.Timer(_AGAIN, signal.pthread_kill, again)
        timer.daemon = True
        timer.start()
