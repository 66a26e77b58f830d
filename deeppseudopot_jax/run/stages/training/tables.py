"""final_training_cost.dat and final_validation_cost.dat, which grow while a training goes on."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple, get_args

import numpy as np

from deeppseudopot_jax.files.results.streams import Stream, size_of_rows
from deeppseudopot_jax.run.outputs import Outputs

Kind = Literal["training", "validation"]
"""Of costs: those that gradients came with, and those of energies as accurate as results are."""

LABELS: dict[Kind, str] = {"training": "training", "validation": "re-evaluated"}
"""In figures: both are the cost of the fit, so that nothing held out is thought of."""

_HELD_OUT = "held_out"


class CostRow(NamedTuple):
    """The cost after so many epochs, what every term of it adds, and that of held-out levels.

    `held_out` is None where nothing is held out.
    """

    epoch: int
    cost: float
    terms: tuple[float, ...]
    held_out: float | None = None


class CostTables:
    """Rows `epoch cost`, what every term adds, and the held-out cost where something is held out.

    They are numbered from 0 in each table. All processes but the first write nothing.

    Args:
        outputs: of the session.
        terms: names of the terms of the cost.
        holds_out: whether something is held out.
    """

    def __init__(self, outputs: Outputs, terms: Sequence[str], holds_out: bool) -> None:
        self._outputs = outputs
        names = (*terms, _HELD_OUT) if holds_out else terms
        self._columns = {"epoch": "d"} | dict.fromkeys(("cost", *names), ".10e")
        self._streams: dict[str, Stream] = {}
        self._waiting: dict[str, list[CostRow]] = {kind: [] for kind in get_args(Kind)}
        self.n_rows: dict[str, int] = dict.fromkeys(get_args(Kind), 0)

    def begin(self) -> None:
        """Start both with their headers."""
        if self._outputs.folder is not None:
            self._streams = {
                kind: Stream(self._path(kind), "", self._columns) for kind in self._waiting
            }

    def check(self, folder: Path, n_rows: dict[str, int]) -> dict[str, int]:
        """The sizes of the tables in a folder up to these numbers of rows; nothing is written.

        Raises:
            ResultsError: if one has fewer, or is none of this training.
        """
        sizes = {}
        for kind, number in n_rows.items():
            path = folder / _file(kind)
            size = size_of_rows(path, number)
            Stream.check(path, size, "", self._columns)
            sizes[kind] = size
        return sizes

    def resume(self, folder: Path, n_rows: dict[str, int]) -> None:
        """Go on with the tables of a folder behind these numbers of rows."""
        if self._outputs.folder is not None:
            sizes = self.check(folder, n_rows)
            self._streams = {
                kind: Stream.reopened(self._path(kind), size, "", self._columns)
                for kind, size in sizes.items()
            }
        self.n_rows = dict(n_rows)

    def add(self, kind: Kind, row: CostRow) -> None:
        """Another row, which `write` brings to the disk."""
        self._waiting[kind].append(row)
        self.n_rows[kind] += 1

    def write(self) -> None:
        """Bring all rows to the disk."""
        for kind, stream in self._streams.items():
            stream.append([_numbers(row) for row in self._waiting[kind]])
            self._waiting[kind] = []

    def figure(self) -> None:
        """final_train_cost.pdf, from the tables."""
        if not self._streams:
            return
        found = {kind: np.loadtxt(self._path(kind), ndmin=2) for kind in self._streams}
        curves = {label: found[kind][:, :2] for kind, label in LABELS.items()}
        if _HELD_OUT in self._columns:
            curves["held out"] = found["training"][:, [0, -1]]
        self._outputs.cost_figure("final_train_cost", curves)

    def _path(self, kind: str) -> Path:
        return self._outputs.file(_file(kind))


def _file(kind: str) -> str:
    return f"final_{kind}_cost.dat"


def _numbers(row: CostRow) -> tuple[float, ...]:
    last = () if row.held_out is None else (row.held_out,)
    return (row.epoch, row.cost, *row.terms, *last)
