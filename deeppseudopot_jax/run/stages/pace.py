"""How often a run saves what it has come to."""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager

_SECONDS_BETWEEN_SAVES = 30.0
"""At most, after the first one: a job of any length gets somewhere."""
_SHARE = 0.02
"""Of the time, at most, goes into saving."""


class Pace:
    """Says when to save: at once, then now and then, and never too often."""

    def __init__(self) -> None:
        """Nothing is saved yet."""
        self._due = self._earliest = -math.inf

    def is_due(self, wanted: bool = False) -> bool:
        """Whether it is time to save; earlier where it is `wanted`."""
        now = time.monotonic()
        return now >= self._due or (wanted and now >= self._earliest)

    @contextmanager
    def saving(self) -> Iterator[None]:
        """Around what saves; from its duration follows when the next time is."""
        begin = time.monotonic()
        yield
        end = time.monotonic()
        self._earliest = end + (end - begin) / _SHARE
        self._due = max(self._earliest, end + _SECONDS_BETWEEN_SAVES)
