"""Steps of saving that nothing comes between."""

import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

INTERRUPTS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Ctrl-C and SIGTERM wait until the block has ended, whatever they do.

    Blocking them would not do: the system would give them to another thread, and Python's handler
    runs in the main one all the same. In other threads nothing needs to be done.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    arrived: list[int] = []
    try:
        with ExitStack() as handlers:
            for number in INTERRUPTS:
                before = signal.getsignal(number)
                # None is a handler that Python does not know and cannot put back.
                handlers.callback(signal.signal, number, before or signal.SIG_DFL)
                signal.signal(number, lambda number, _: arrived.append(number))
            yield
    finally:
        for missed in dict.fromkeys(arrived):
            signal.raise_signal(missed)
