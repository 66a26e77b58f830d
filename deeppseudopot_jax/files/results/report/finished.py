"""The tables of a results folder, read back; what a run has not written is None or empty."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

INITIAL = "initZunger"
"""Prefix of the files of the potential that a run starts from."""

_EPOCH = re.compile(r"epoch_(\d+)_qSpace_pot\.dat")
_COUNTS = "['running'].state.counts."
_BETAS = "['running'].state.schedule.betas"
"""Where snapshots of Monte Carlo runs have what a report shows."""


@dataclass(frozen=True, eq=False)
class History:
    """A table with named columns, one row per epoch or iteration."""

    columns: tuple[str, ...]
    rows: Float[np.ndarray, "row column"]

    def __getitem__(self, column: str) -> np.ndarray:
        return self.rows[:, self.columns.index(column)]


@dataclass(frozen=True)
class Finished:
    """The results folder of a run or an evaluation; `prefix` is that of its outcome.

    A file that is damaged raises whatever its reader does: ValueError, OSError or KeyError.
    """

    folder: Path
    prefix: str

    @classmethod
    def of_run(cls, folder: Path) -> "Finished":
        """A run and its last tables: of its outcome, or of an epoch where it was interrupted.

        Early on, its start is all that there is.
        """
        if (folder / "final_qSpace_pot.dat").exists():
            return cls(folder, "final")
        found = (_EPOCH.fullmatch(path.name) for path in folder.iterdir())
        last = max((int(match[1]) for match in found if match), default=None)
        return cls(folder, INITIAL if last is None else f"epoch_{last}")

    @property
    def is_run(self) -> bool:
        """Whether the outcome is that of a run."""
        return self.prefix != "eval"

    def bands(self, prefix: str, system: int) -> np.ndarray | None:
        """Energies (eV) of <prefix>_BS_sys<X>.dat, (kpt, band)."""
        path = self.folder / f"{prefix}_BS_sys{system}.dat"
        return np.loadtxt(path, ndmin=2)[:, 1:] if path.exists() else None

    def form_factors(self, prefix: str) -> np.ndarray | None:
        """<prefix>_qSpace_pot.dat: columns q (Bohr^-1) and v(q) (Ha Bohr^3) of every species."""
        path = self.folder / f"{prefix}_qSpace_pot.dat"
        return np.loadtxt(path, ndmin=2) if path.exists() else None

    def history(self, name: str) -> History | None:
        """<name>.dat, whose columns the last of the comments above its rows names."""
        path = self.folder / f"{name}.dat"
        if not path.exists():
            return None
        lines = path.read_text(encoding="utf-8").splitlines()
        data = [line for line in lines if not line.startswith("#")]
        columns = tuple(lines[len(lines) - len(data) - 1].lstrip("# ").split())
        rows = np.loadtxt(data, ndmin=2) if data else np.empty((0, len(columns)))
        return History(columns, rows)

    def arrays(self, name: str) -> Mapping[str, np.ndarray] | None:
        """<name>.npz, whose arrays are read when they are asked for."""
        path = self.folder / f"{name}.npz"
        return np.load(path, allow_pickle=False) if path.exists() else None

    def document(self, name: str) -> dict[str, Any]:
        """<name>.json; empty where it is absent."""
        path = self.folder / f"{name}.json"
        return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}

    def log(self) -> str:
        """run.log or eval.log."""
        path = self.folder / ("run.log" if self.is_run else "eval.log")
        return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""

    def chains(self) -> Iterator[str]:
        """The prefixes of the Monte Carlo runs that have left their costs."""
        for path in sorted(self.folder.glob("*final_mc_cost.dat")):
            yield path.name.removesuffix("final_mc_cost.dat")

    def counts(self, chain: str) -> dict[str, np.ndarray]:
        """What the checkpoint of a chain has counted, and `betas`; empty without a checkpoint."""
        arrays = self.arrays(f"{chain}mc_checkpoint")
        if arrays is None:
            return {}
        found = {
            name.removeprefix(_COUNTS): arrays[name] for name in arrays if name.startswith(_COUNTS)
        }
        return found | {"betas": arrays[_BETAS]}
