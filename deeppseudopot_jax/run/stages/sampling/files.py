"""The files of one Monte Carlo run, streamed while it goes on; a resumed run continues them.

Rows may be ahead of the checkpoint. A run that resumes removes those and writes them again.
"""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import jax
import numpy as np

from deeppseudopot_jax.errors import ResultsError
from deeppseudopot_jax.files.results.snapshots import read_snapshot, write_snapshot
from deeppseudopot_jax.files.results.streams import Stream
from deeppseudopot_jax.montecarlo.chain import Chain, Running
from deeppseudopot_jax.parallel import on_host
from deeppseudopot_jax.run.checks.plan import RunPlan
from deeppseudopot_jax.run.facts import chain_facts
from deeppseudopot_jax.run.outputs import PDF_AND_PNG, Outputs
from deeppseudopot_jax.run.stages.sampling.rows import Rows

_COSTS = {"iter": "d", "newLoss": ".10e", "accept": "d", "bestLoss": ".10e", "currLoss": ".10e"}
_COSTS_HEADER = (
    "the coldest replica; newLoss is nan where nothing was evaluated (eV^2); behind currLoss what "
    "every term of the cost adds to it"
)
_WALKS_HEADER = "every replica between swaps: its rung (0 is the coldest) and its cost (eV^2)"
_SAMPLES_HEADER = "the coldest replica: cost (eV^2), beta (1/eV), coefficients"


class ChainFiles:
    """Tables, checkpoint and figures of a run; all processes but the first write nothing.

    Args:
        outputs: of the session.
        chain: the run.
        prefix: of all file names; empty where there is one run only.
        facts: what must be the same in a run that resumes from its checkpoint, by name.
    """

    def __init__(
        self, outputs: Outputs, chain: Chain, prefix: str, facts: Mapping[str, str]
    ) -> None:
        self._outputs, self._chain = outputs, chain
        self._facts, self.prefix = dict(facts), prefix
        self._checkpoint = f"{prefix}mc_checkpoint.npz"
        self._n = chain.plan.schedule.n_rungs
        first = 0 if outputs.bundle.settings.trains_coefficients else 4
        species = outputs.problem.species
        names = [f"{symbol}_a{i}" for symbol in species for i in range(first, 9)]
        samples = {"iter": "d", "cost": ".10e", "beta": ".6g"} | dict.fromkeys(names, ".16e")
        walks = {"iter": "d"} | {f"rung_{i}": "d" for i in range(self._n)}
        walks |= {f"cost_{i}": ".10e" for i in range(self._n)}
        self._tables: dict[str, tuple[str, dict[str, str]]] = {
            "final_mc_cost": (_COSTS_HEADER, _COSTS | dict.fromkeys(chain.cost.names, ".10e")),
            "iterations": (_SAMPLES_HEADER, samples),
        }
        if self._n > 1:
            self._tables["final_mc_replicas"] = (_WALKS_HEADER, walks)
        self._streams: dict[str, Stream] = {}

    def begin(self) -> None:
        """Start every table with its header."""
        if self._outputs.folder is not None:
            self._streams = {
                name: Stream(self._path(f"{name}.dat"), *table)
                for name, table in self._tables.items()
            }

    def check(self, folder: Path, like: Running) -> None:
        """What `resume` raises; nothing is written. `like` may be shapes alone."""
        self._found(folder, like)

    def resume(self, folder: Path, like: Running) -> Running | None:
        """The state in the checkpoint of a folder, its tables cut back to it; None without one.

        Raises:
            ResultsError: if the checkpoint or a table does not belong to this run, or if that has
                fewer steps than are done.
        """
        found = self._found(folder, like)
        if found is None:
            return None
        running, sizes = found
        if self._outputs.folder is not None:
            self._streams = {
                name: Stream.reopened(self._path(f"{name}.dat"), sizes[name], *table)
                for name, table in self._tables.items()
            }
        key = jax.random.wrap_key_data(running.state.key)
        return self._chain.placed(running._replace(state=running.state._replace(key=key)))

    def _found(self, folder: Path, like: Running) -> tuple[Running, dict[str, int]] | None:
        """The state in the checkpoint, and how long the tables were then."""
        path = folder / self._checkpoint
        if not path.exists():
            return None
        sizes = dict.fromkeys(self._tables, np.int64(0))
        tree = {"running": jax.eval_shape(_without_key_type, like), "sizes": sizes}
        found = read_snapshot(path, tree, self._facts)
        done, plan = int(found["running"].state.step), self._chain.plan
        if done > plan.n_steps:
            raise ResultsError(
                f"{path} is that of {done} steps, {plan.length_key} = {plan.n_steps}: "
                f"legal is {done} or more"
            )
        known = {name: int(found["sizes"][name]) for name in self._tables}
        if self._outputs.folder is not None:
            for name, table in self._tables.items():
                Stream.check(folder / f"{self.prefix}{name}.dat", known[name], *table)
        return found["running"], known

    @property
    def saved(self) -> str:
        """The name of the checkpoint, if there is one."""
        here = self._outputs.folder
        exists = here is not None and (here.path / self._checkpoint).exists()
        return self._checkpoint if exists else ""

    def append(self, rows: Rows) -> None:
        """Write rows to the disk: those of all tables or, where that fails, none."""
        sizes = {name: stream.size for name, stream in self._streams.items()}
        try:
            for name, stream in self._streams.items():
                stream.append(rows[name])
        except BaseException:
            with suppress(ResultsError):  # there is an error to tell already
                for name, stream in self._streams.items():
                    stream.cut_back(sizes[name])
            raise

    def save(self, running: Running) -> None:
        """mc_checkpoint.npz: all that the run needs to go on bit by bit."""
        whole = on_host(_without_key_type(running))
        if self._streams:
            sizes = {name: np.int64(stream.size) for name, stream in self._streams.items()}
            path = self._outputs.file(self._checkpoint)
            write_snapshot(path, {"running": whole, "sizes": sizes}, self._facts)

    def figures(self, betas: np.ndarray) -> None:
        """final_mc_cost.* and, of several replicas, final_mc_replicas.*, from the tables."""
        if not self._streams:
            return
        costs = np.loadtxt(self._path("final_mc_cost.dat"), ndmin=2)
        curves = costs[:, 0].astype(int), costs[:, 4], costs[:, 3]
        name = f"{self.prefix}final_mc_cost"
        self._outputs.save("monte_carlo_figure", curves, name, PDF_AND_PNG)
        if self._n > 1:
            walks = np.loadtxt(self._path("final_mc_replicas.dat"), ndmin=2).astype(int)
            rungs = walks[:, 1 : 1 + self._n]
            arguments = walks[:, 0], rungs, betas
            name = f"{self.prefix}final_mc_replicas"
            self._outputs.save("temperature_walk_figure", arguments, name, PDF_AND_PNG)

    def _path(self, name: str) -> Path:
        return self._outputs.file(self.prefix + name)


def files_of(plan: RunPlan, outputs: Outputs, chain: Chain, n_chains: int) -> ChainFiles:
    """The files of a chain, named after its options where there are several chains."""
    options = chain.plan.options
    prefix = f"{Path(options.file).stem}_" if options and n_chains > 1 else ""
    facts = chain_facts(plan, options, chain.problem.precision)
    return ChainFiles(outputs, chain, prefix, facts)


def _without_key_type(running: Running) -> Any:
    """With the numbers of the random key in its place."""
    data = jax.random.key_data(running.state.key)
    return running._replace(state=running.state._replace(key=data))
