"""The Monte Carlo stage: chains of steps with their files, and the best potential of them."""

import math
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from deeppseudopot_jax.errors import InputError, NumericalError, ResultsError
from deeppseudopot_jax.files.interrupts import uninterrupted
from deeppseudopot_jax.montecarlo.chain import Chain, Running
from deeppseudopot_jax.montecarlo.diagnostics import rates
from deeppseudopot_jax.parallel import on_host
from deeppseudopot_jax.parameters import Parameters
from deeppseudopot_jax.run.outputs import PDF_AND_PNG
from deeppseudopot_jax.run.session import Session, Solved
from deeppseudopot_jax.run.signals import name_of
from deeppseudopot_jax.run.stages.sampling.files import files_of
from deeppseudopot_jax.run.stages.sampling.frames import Frames, coldest
from deeppseudopot_jax.run.stages.sampling.rows import RowMaker, Rows

_STEPS_PER_CHUNK = 50
_SECONDS_BETWEEN_ROWS = 2.0
_SECONDS_BETWEEN_CHECKPOINTS = 30.0
"""After the first one, which follows the first chunk: a job of any length gets somewhere."""
_STEPS_BETWEEN_SAMPLES = 10


def sample(session: Session, initial: Solved, resume_from: Path | None = None) -> Solved:
    """All Monte Carlo runs of the bundle, each from the best of the one before; the last best.

    Args:
        session: of the run.
        initial: the start.
        resume_from: a folder whose checkpoints the runs go on from, where it has any.

    Raises:
        NumericalError: if the start has no finite cost.
        ResultsError: if a checkpoint belongs to another run.
    """
    best = initial
    for index, chain in enumerate(session.chains):
        best = _Run(session, chain, index).go(best, resume_from)
    return best


@dataclass
class _Progress:
    """How far a chain is: its state, and the rows up to there that are not in its tables yet."""

    running: Running
    maker: RowMaker
    rows: Rows

    def add(self, running: Running, rows: Rows) -> None:
        """Another chunk."""
        self.running, self.rows = running, _joined(self.rows, rows)


class _Run:
    """One chain with its files."""

    def __init__(self, session: Session, chain: Chain, index: int) -> None:
        self._session, self._chain, self._index = session, chain, index
        self._files = files_of(session.plan, session.outputs, chain, len(session.chains))
        self._prefix = self._files.prefix
        self._written = float("inf")  # lowest cost in best_*
        self._failures = 0

    def go(self, start: Solved, resume_from: Path | None) -> Solved:
        """All steps; whatever ends them, what was found so far is in the results folder."""
        progress = self._begun(start, resume_from)
        try:
            self._advance(progress, start)
        except BaseException as error:  # Ctrl-C too
            with uninterrupted(), suppress(ResultsError):  # there is an error to tell already
                kept = self._saved(progress)
                self._session.report.line(f"Monte Carlo was ended by {name_of(error)}{kept}")
            raise
        running = progress.running
        self._tell(running)
        found, _ = _best(running)
        solved = self._export(found)
        self._files.figures(np.asarray(on_host(running.state.schedule.betas))[-1])
        return solved

    def _saved(self, progress: _Progress) -> str:
        """Save what there is, and say what a run that is resumed will find."""
        failed = ""
        try:
            self._checkpoint(progress)
        except ResultsError as error:
            failed = f"; it could not be saved: {error}"
        saved = self._files.saved
        return failed + (f"; --resume goes on from {saved}" if saved else "")

    def _begun(self, start: Solved, resume_from: Path | None) -> _Progress:
        report, plan = self._session.report, self._chain.plan
        seed = self._session.bundle.settings.seed
        key = jax.random.fold_in(jax.random.key(seed), self._index)
        try:
            running = self._chain.begin(key, start.params, start.carried)
        except InputError as error:
            raise NumericalError(str(error)) from error
        name = f" by {plan.options.file}" if plan.options else ""
        report.line(
            f"Monte Carlo{name}: {plan.n_steps} steps of {plan.schedule.n_rungs} "
            f"replica{'s' if plan.schedule.n_rungs > 1 else ''} from cost "
            f"{float(on_host(running.state.replicas.cost)[0]):.6g} eV^2{self._meaning}"
        )
        resumed = None if resume_from is None else self._files.resume(resume_from, running)
        every = (plan.options and plan.options.write_every) or _STEPS_BETWEEN_SAMPLES
        if resumed is not None:
            report.line(f"resumed after step {int(resumed.state.step)}")
            return _Progress(resumed, RowMaker(resumed, every), {})
        self._files.begin()
        maker = RowMaker(running, every)
        kept = on_host(jax.jit(jax.vmap(self._chain.keep))(running.state.replicas))
        return _Progress(running, maker, maker.start(running, kept))

    @property
    def _meaning(self) -> str:
        """What the cost of coefficients is, which differs from that of a training."""
        if not self._session.plan.samples_coefficients:
            return ""
        options = self._chain.plan.options
        of = "gaps" if options and options.optimize_gaps else "bands"
        others = "".join(f", {name}" for name in self._chain.cost.names[1:])
        return f" (mean squares of {of}{others})"

    def _advance(self, progress: _Progress, start: Solved) -> None:
        """Chunk after chunk; rows and checkpoints are written now and then, and at the end."""
        plan, report, maker = self._chain.plan, self._session.report, progress.maker
        frames = Frames(self._session, self._prefix, start, plan.n_steps)
        last_rows, last_checkpoint = time.monotonic(), -math.inf
        done = int(progress.running.state.step)
        with report.progress("Monte Carlo", plan.n_steps) as counter:
            for n_steps in _chunks(done, plan.n_steps, plan.swap_every):
                moved, chunk = self._chain.advance(progress.running, n_steps)
                info = on_host(chunk.info.history.info)
                self._failures += int((info.evaluated & np.isnan(info.proposed_cost)).sum())
                if chunk.missed_levels:
                    report.log("a spot check missed a level: all replicas are solved anew")
                now = time.monotonic()
                with uninterrupted():
                    progress.add(moved, maker.of(chunk.info))
                    if now - last_rows > _SECONDS_BETWEEN_ROWS:
                        self._write_rows(progress)
                        last_rows = now
                    if now - last_checkpoint > _SECONDS_BETWEEN_CHECKPOINTS:
                        self._checkpoint(progress)
                        last_checkpoint = now
                frames.after(moved, n_steps)
                done += n_steps
                counter.update(done, f"lowest cost {maker.lowest:.6g} eV^2")
        with uninterrupted():
            self._checkpoint(progress)

    def _write_rows(self, progress: _Progress) -> None:
        if progress.rows:
            self._files.append(progress.rows)
            progress.rows = {}

    def _checkpoint(self, progress: _Progress) -> None:
        """Rows first, so that the checkpoint never knows of rows that are not there."""
        self._write_rows(progress)
        self._files.save(progress.running)
        outputs, prefix = self._session.outputs, self._prefix
        outputs.parameters(f"{prefix}mc_checkpoint", coldest(progress.running))
        found, cost = _best(progress.running)
        if cost < self._written:
            outputs.parameters(f"{prefix}best", found, suffix="dat")
            self._written = cost

    def _export(self, params: Parameters) -> Solved:
        """best_*: bands, potentials and figures of the lowest cost."""
        session, prefix = self._session, f"{self._prefix}best"
        outputs = session.outputs
        solved = session.solved(params)
        session.report_errors("Best potential", solved)
        outputs.band_tables(prefix, solved.bands)
        outputs.band_figure(prefix, {"best": solved.bands}, PDF_AND_PNG)
        outputs.potential_tables(prefix, params)
        outputs.potential_figure(prefix, {"best": outputs.v_q(params)}, PDF_AND_PNG)
        return solved

    def _tell(self, running: Running) -> None:
        """What the steps came to, rung by rung."""
        report, state = self._session.report, running.state
        counts = on_host(state.counts)
        _, cost = _best(running)
        found = rates(counts)
        steps, evaluated = int(counts.steps.sum()), int(counts.evaluated.sum())
        text = f"Monte Carlo: {steps} proposals, lowest cost {cost:.6g} eV^2"
        if self._chain.plan.delayed_acceptance:
            saved = 100.0 * (1.0 - evaluated / max(steps, 1))
            text += f"; delayed acceptance saved {saved:.0f} % of the exact evaluations"
        report.line(text)
        if self._failures:
            report.line(f"{self._failures} proposals had no converged energies and were rejected")
        betas = on_host(state.schedule.betas)
        for rung, acceptance in enumerate(found.acceptance):
            line = f"  beta {' '.join(f'{beta:.4g}' for beta in betas[:, rung])}: "
            line += f"{100.0 * acceptance:.1f} % accepted"
            if rung < len(found.swaps):
                line += f", {100.0 * found.swaps[rung]:.1f} % of swaps with the next"
            report.line(line)
        if len(found.swaps):
            trips = " ".join(map(str, counts.round_trips))
            report.line(f"  round trips of the replicas: {trips}")


def _best(running: Running) -> tuple[Parameters, float]:
    """Parameters and cost of the best that any replica has met."""
    every = on_host(running.state.best)
    lowest = int(np.argmin(every.cost))
    params: Parameters = jax.tree.map(lambda leaf: jnp.asarray(leaf[lowest]), every.params)
    return params, float(every.cost[lowest])


def first_chunk(chain: Chain) -> int:
    """Steps of the first chunk of a run from its start."""
    return next(_chunks(0, chain.plan.n_steps, chain.plan.swap_every))


def _chunks(first: int, last: int, swap_every: int) -> Iterator[int]:
    """Lengths of chunks of whole windows; all but the last are equal, whatever the length."""
    length = max(1, _STEPS_PER_CHUNK // swap_every) * swap_every
    while first < last:
        n_steps = min(length - first % length, last - first)
        yield n_steps
        first += n_steps


def _joined(rows: Rows, more: Rows) -> Rows:
    return {name: [*rows.get(name, ()), *found] for name, found in more.items()}
