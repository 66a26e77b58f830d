"""The process beside a run that draws its figures; `painter.Beside` starts it."""

import os
import pickle
import signal
import sys

from deeppseudopot_jax.files.interrupts import INTERRUPTS
from deeppseudopot_jax.files.results.painter import Here


def serve() -> None:
    """Draw what comes in through the standard input, and say what went wrong, until it ends."""
    for number in INTERRUPTS:
        signal.signal(number, signal.SIG_IGN)  # they are for the one who asks
    questions = sys.stdin.buffer
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb", buffering=0)  # nothing left to flush
    sys.stdout = sys.stderr
    while True:
        try:
            drawing = pickle.load(questions)
        except EOFError:
            return
        error = made = None
        try:
            made = Here().make(drawing)
        except Exception as found:
            error = found
        try:
            answers.write(pickle.dumps((error, made)))
        except BrokenPipeError:  # the one who asks was killed
            return


if __name__ == "__main__":
    serve()
