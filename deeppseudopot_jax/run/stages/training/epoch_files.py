"""epoch_<N>_* and preEpoch_<N>_*: a training on its way, as tables and figures."""

import re

import numpy as np

from deeppseudopot_jax.parameters import Parameters
from deeppseudopot_jax.run.outputs import ON_THE_WAY, Outputs
from deeppseudopot_jax.run.session import Session, Solved
from deeppseudopot_jax.training.loop import Epoch

_PREFIX = re.compile(r"((?:epoch|preEpoch)_\d+)_qSpace_pot\.dat")
_FIGURES = ("plotBS.pdf", "plotBS.png", "plotPP.pdf", "plotPP.png")


def epoch_files(session: Session, epoch: Epoch, solved: Solved) -> None:
    """epoch_<N>_*: parameters, bands and potentials of an epoch."""
    prefix = f"epoch_{epoch.number}"
    session.outputs.parameters(prefix, epoch.params, epoch.optimizer_state)
    _tables_and_figures(session.outputs, prefix, solved)


def pre_epoch_files(session: Session, number: int, params: Parameters, epoch: Epoch) -> None:
    """preEpoch_<N>_*: bands and potentials after a move before epoch 0, which is `epoch`."""
    near = None if epoch.state is None else epoch.state.nearby
    _tables_and_figures(session.outputs, f"preEpoch_{number}", session.solved(params, near=near))


def missing_figures(outputs: Outputs) -> None:
    """Figures that a killed run had still to draw, from the tables that it has left."""
    if outputs.folder is None:
        return
    there = {path.name for path in outputs.folder.path.iterdir()}
    for prefix in sorted(match[1] for match in map(_PREFIX.fullmatch, there) if match):
        if not {f"{prefix}_{name}" for name in _FIGURES} <= there:
            bands = [
                np.loadtxt(outputs.file(f"{prefix}_BS_sys{system.index}.dat"), ndmin=2)[:, 1:]
                for system in outputs.bundle.systems
            ]
            table = np.loadtxt(outputs.file(f"{prefix}_qSpace_pot.dat"), ndmin=2)
            if len(table) == len(outputs.q) and np.allclose(table[:, 0], outputs.q):
                _figures(outputs, prefix, bands, table[:, 1:])


def _tables_and_figures(outputs: Outputs, prefix: str, solved: Solved) -> None:
    outputs.band_tables(prefix, solved.bands)
    outputs.potential_tables(prefix, solved.params, real_space=False)
    _figures(outputs, prefix, solved.bands, outputs.v_q(solved.params))


def _figures(outputs: Outputs, prefix: str, bands: list[np.ndarray], v_q: np.ndarray) -> None:
    name = prefix.replace("_", " ").replace("preEpoch", "before epoch 0, move")
    outputs.band_figure(prefix, {name: bands}, ON_THE_WAY)
    outputs.potential_figure(prefix, {name: v_q}, ON_THE_WAY)
