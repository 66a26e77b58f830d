"""Which part of a matrix is drawn: plane waves of the rows and columns, and their spins."""

import re
from typing import NamedTuple

import numpy as np

from deeppseudopot_jax.errors import InputError

SPINS = ("up", "down")
_FIRST = 30
_RANGE = r"(\d+):(\d+)"
_BLOCK = re.compile(rf"{_RANGE}(?:,{_RANGE})?")
_LEGAL = "START:STOP for rows and columns alike, or START:STOP,START:STOP for rows, columns"


class Block(NamedTuple):
    """First plane wave and the one behind the last, of rows and columns; spin of both (0 up)."""

    rows: tuple[int, int]
    columns: tuple[int, int]
    spins: tuple[int, int] = (0, 0)

    @property
    def waves(self) -> np.ndarray:
        """The plane waves of rows and columns, each once."""
        return np.union1d(np.arange(*self.rows), np.arange(*self.columns))

    def of(self, matrix: np.ndarray, n_spin: int) -> np.ndarray:
        """The block of a matrix among `waves`, which has `n_spin` components."""
        n, waves = matrix.shape[0] // n_spin, self.waves
        chosen = [
            spin * n + np.searchsorted(waves, np.arange(*span))
            for spin, span in zip(self.spins, (self.rows, self.columns), strict=True)
        ]
        return matrix[np.ix_(*chosen)]


def block_of(text: str | None, spins: str, n_waves: int, n_spin: int) -> Block:
    """The block that a command line asks for.

    Args:
        text: START:STOP or START:STOP,START:STOP; the first 30 waves, or all of fewer, where None.
        spins: of rows and columns, "up-down".
        n_waves: of the basis.
        n_spin: 1 where the basis has no spin.

    Raises:
        InputError: if it is another text, or the basis has no such block.
    """
    pair = tuple(SPINS.index(spin) for spin in spins.split("-") if spin in SPINS)
    if len(pair) != 2 or (n_spin == 1 and pair != (0, 0)):
        legal = "up-up, up-down, down-up, down-down" if n_spin == 2 else "up-up, without SObool = 1"
        raise InputError(f"--spin: found '{spins}'; legal: {legal}")
    both = pair[0], pair[1]
    if text is None:
        all_of_few = 0, min(_FIRST, n_waves)
        return Block(all_of_few, all_of_few, both)
    match = _BLOCK.fullmatch(text)
    if match is None:
        raise InputError(f"--block: found '{text}'; legal: {_LEGAL}")
    numbers = [int(number) for number in match.groups() if number is not None]
    rows, columns = (numbers[0], numbers[1]), (numbers[-2], numbers[-1])
    for start, stop in (rows, columns):
        if not start < stop <= n_waves:
            raise InputError(
                f"--block: found {start}:{stop}; legal: a range of waves out of 0:{n_waves}"
            )
    return Block(rows, columns, both)
