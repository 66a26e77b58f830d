"""How the command line ends where it is told to: like Ctrl-C, with everything saved."""

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from deeppseudopot_jax.eigensolvers import lapack_ffi
from deeppseudopot_jax.files.interrupts import INTERRUPTS

_AGAIN = 0.02
"""Seconds after which a signal comes back that came where nothing can be raised."""


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

    def told(self, number: int, frame: FrameType | None) -> None:
        """What the signals call."""
        if self._count == 0 and _is_called_by_xla(frame):
            _again(number)
            return
        self._count += 1
        if self._count == 1:
            raise Terminated("SIGTERM") if number == signal.SIGTERM else KeyboardInterrupt
        if self._count == 2:
            print("deeppseudopot: saving; once more ends at once", file=sys.stderr, flush=True)
            return
        signal.signal(number, signal.SIG_DFL)
        signal.raise_signal(number)

    def unraisable(self, lost: "sys.UnraisableHookArgs") -> None:
        """An interrupt may come in a destructor or in a callback of the garbage collector."""
        if not isinstance(lost.exc_value, KeyboardInterrupt):
            self._others(lost)
            return
        self._count = 0
        _again(exit_code(lost.exc_value) - 128)


def _again(number: int) -> None:
    timer = threading.Timer(_AGAIN, signal.raise_signal, [number])
    timer.daemon = True
    timer.start()


def _is_called_by_xla(frame: FrameType | None) -> bool:
    """Whether an exception would end in C code, which makes an error of its own of it."""
    while frame is not None:
        if frame.f_globals.get("__name__") == lapack_ffi.__name__:
            return True
        frame = frame.f_back
    return False
