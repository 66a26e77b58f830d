"""movie_BS.* and movie_PP.*: bands and potentials on the way of a fit, from the tables of the run.

Tables are complete where figures may still be waited for, and a run that is resumed has those of
the run before it; so all frames are alike.
"""

from typing import Any

import numpy as np

from deeppseudopot_jax.files.results.movies import Made
from deeppseudopot_jax.files.results.painter import Drawing
from deeppseudopot_jax.files.results.plots import BandPlot, PotentialPlot
from deeppseudopot_jax.files.results.transform import real_space_potential
from deeppseudopot_jax.run.file_names import frames
from deeppseudopot_jax.run.outputs import Outputs, band_plot
from deeppseudopot_jax.run.session import Session

_MOST_FRAMES = 120
"""Of a movie, a quarter of a minute; more are thinned out."""
_CURVE = "fit"


def movies(session: Session) -> None:
    """Both movies, by the first process; none where `movie` is 0 or there are no two frames.

    Raises:
        ResultsError: if they cannot be written.
    """
    outputs = session.outputs
    if not session.bundle.settings.movie or outputs.folder is None:
        return
    found = [prefix for prefix in frames(outputs.folder.path) if _is_complete(outputs, prefix)]
    if len(found) < 2:
        return
    chosen = _thinned(found)
    names = [_name(prefix) for prefix in chosen]
    bands = dict(zip(names, (_bands(outputs, prefix) for prefix in chosen), strict=True))
    potentials = [
        _potential(outputs, prefix, name) for prefix, name in zip(chosen, names, strict=True)
    ]
    grids = outputs.q, outputs.r, outputs.problem.species
    arguments: dict[str, tuple[str, tuple[Any, ...]]] = {
        "movie_BS": ("band_pictures", (bands,)),
        "movie_PP": ("potential_pictures", (*grids, potentials)),
    }
    n_frames = f"{len(chosen)}" + ("" if len(chosen) == len(found) else f" of {len(found)}")
    for name, (drawn_by, given) in arguments.items():
        path = outputs.file(f"{name}.mp4")
        made: Made = outputs.painter.make(Drawing(drawn_by, given, (path,), saved_by="save_movie"))
        why = f" ({made.failure})" if made.failure else ""
        session.report.line(f"{made.path.name}: {n_frames} frames, {made.kind}{why}")


def _is_complete(outputs: Outputs, prefix: str) -> bool:
    """Whether all tables of a frame are there."""
    tables = [_potential_table(prefix), *_band_tables(outputs, prefix)]
    return all(outputs.file(name).exists() for name in tables)


def _band_tables(outputs: Outputs, prefix: str) -> list[str]:
    return [f"{prefix}_BS_sys{system.index}.dat" for system in outputs.bundle.systems]


def _potential_table(prefix: str) -> str:
    return f"{prefix}_qSpace_pot.dat"


def _bands(outputs: Outputs, prefix: str) -> list[BandPlot]:
    tables = zip(outputs.bundle.systems, _band_tables(outputs, prefix), strict=True)
    return [
        band_plot(system, {_CURVE: np.loadtxt(outputs.file(name), ndmin=2)[:, 1:]})
        for system, name in tables
    ]


def _potential(outputs: Outputs, prefix: str, name: str) -> PotentialPlot:
    q, *columns = np.loadtxt(outputs.file(_potential_table(prefix)), ndmin=2, unpack=True)
    v_q = np.stack(columns, axis=1)
    return PotentialPlot(name, v_q, real_space_potential(q, v_q, outputs.r))


def _thinned(prefixes: list[str]) -> list[str]:
    """As many as a movie may have, at equal distances, the first and the last among them."""
    n_frames = min(len(prefixes), _MOST_FRAMES)
    chosen = np.linspace(0, len(prefixes) - 1, n_frames).round().astype(int)
    return [prefixes[i] for i in chosen]


def _name(prefix: str) -> str:
    """What is written on a frame."""
    return prefix.replace("initZunger", "start").replace("mc_iter", "iteration").replace("_", " ")
