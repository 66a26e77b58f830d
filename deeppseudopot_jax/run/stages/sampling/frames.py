"""mc_iter_<n>_*: bands and potentials on the way of a chain, which movies are made of."""

import jax
import jax.numpy as jnp
import numpy as np

from deeppseudopot_jax.montecarlo.chain import Running
from deeppseudopot_jax.parallel import on_host
from deeppseudopot_jax.parameters import Parameters
from deeppseudopot_jax.run.session import Session, Solved

_MOST = 50
"""Of a chain, however often plotEvery asks for one: each costs a band structure."""


class Frames:
    """Tables of the coldest replica at the ends of chunks, the first ones after equal distances.

    Nothing follows from them: the chain is the same with or without.

    Args:
        session: of the run.
        prefix: of all file names of the chain.
        start: whose wave functions to begin with.
        n_steps: of the whole chain.
    """

    def __init__(self, session: Session, prefix: str, start: Solved, n_steps: int) -> None:
        self._session, self._prefix, self._start = session, prefix, start
        asked = session.bundle.settings.plot_every
        self._every = None if asked is None else max(asked, -(-n_steps // _MOST))

    def after(self, running: Running, n_steps: int) -> None:
        """Write one behind a chunk of `n_steps` steps, where one is due."""
        done = int(running.state.step)
        if self._every is None or done // self._every == (done - n_steps) // self._every:
            return
        outputs, prefix = self._session.outputs, f"{self._prefix}mc_iter_{done}"
        solved = self._session.solved(coldest(running), near=self._start.carried)
        outputs.band_tables(prefix, solved.bands)
        outputs.potential_tables(prefix, solved.params, real_space=False)


def coldest(running: Running) -> Parameters:
    """Parameters of the replica on the coldest rung."""
    every, rungs = on_host((running.state.replicas.params, running.state.rungs))
    coldest = int(np.argmin(rungs))
    params: Parameters = jax.tree.map(lambda leaf: jnp.asarray(leaf[coldest]), every)
    return params
