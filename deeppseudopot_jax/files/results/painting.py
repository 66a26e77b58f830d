"""The process beside a run that draws its figures; `painter.Beside` starts it."""

import pickle
import signal
import sys

from deeppseudopot_jax.files.interrupts import INTERRUPTS
from deeppseudopot_jax.files.results.painter import Here


def serve() -> None:
    """Draw what comes in through the standard input, and say what went wrong, until it ends."""
    for number in INTERRUPTS:
        signal.signal(number, signal.SIG_IGN)  # they are for the one who asks
    questions, answers = sys.stdin.buffer, sys.stdout.buffer
    sys.stdout = sys.stderr
    while True:
        try:
            drawing = pickle.load(questions)
        except EOFError:
            return
        error = None
        try:
            Here().paint(drawing)
        except Exception as found:
            error = found
        pickle.dump(error, answers)
        answers.flush()


if __name__ == "__main__":
    serve()
