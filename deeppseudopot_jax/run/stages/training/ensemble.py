"""An ensemble of fits: starts, rounds, and what is kept of every member and of their spread."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from deeppseudopot_jax.errors import NumericalError, ResultsError
from deeppseudopot_jax.files.interrupts import uninterrupted
from deeppseudopot_jax.files.results.transform import real_space_potential
from deeppseudopot_jax.parallel import on_host
from deeppseudopot_jax.parameters import Parameters
from deeppseudopot_jax.potentials.networks import NetworkModel
from deeppseudopot_jax.run.file_names import CHECKPOINT
from deeppseudopot_jax.run.outputs import PDF_AND_PNG, Spread
from deeppseudopot_jax.run.preparation import Prepared
from deeppseudopot_jax.run.session import Session, Solved
from deeppseudopot_jax.run.signals import name_of
from deeppseudopot_jax.run.stages.initial import Initial, target_curves
from deeppseudopot_jax.run.stages.pace import Pace
from deeppseudopot_jax.run.stages.training.checkpoint import CheckpointFile, check_log
from deeppseudopot_jax.training.ensemble.members import fit_members, shapes_of_members
from deeppseudopot_jax.training.ensemble.rounds import Member
from deeppseudopot_jax.training.least_squares.coordinates import coordinates_of
from deeppseudopot_jax.training.regression import fit_many
from deeppseudopot_jax.training.trainable import Split, merge, split


class Rounds(NamedTuple):
    """The members after some rounds, and how long the log was then (bytes); a pytree."""

    number: int
    members: Member
    log_size: int


def check_ensemble(prepared: Prepared, params: Parameters, folder: Path) -> None:
    """Refuse to go on from the checkpoint in a folder, where there is one that does not fit.

    Raises:
        ResultsError: if it or the log belong to another run.
    """
    file = _checkpoint_file(prepared, params)
    found = file.read(folder)
    if found is not None:
        file.check_length(folder, int(found.members.updates.max()))
        check_log(folder, found.log_size)


def _checkpoint_file(prepared: Prepared, params: Parameters) -> CheckpointFile[Rounds]:
    plan, problem, cost, _ = prepared
    return CheckpointFile(
        prepared, Rounds(0, shapes_of_members(problem, params, plan.settings, cost), 0)
    )


def fit_ensemble(
    session: Session, start: Initial, initial: Solved, resume_from: Path | None = None
) -> Solved:
    """Fit all members; returns the best of them, by its held-out cost where something is held out.

    Where something ends it, the one of lowest cost is in best_*, and all are in a checkpoint.

    Args:
        session: of the run.
        start: of the first member.
        initial: the same with its bands.
        resume_from: a folder whose checkpoint the members go on from, where it has one.

    Raises:
        NumericalError: if no member has a finite cost.
        ResultsError: if the checkpoint belongs to another run.
    """
    settings, report, outputs = session.bundle.settings, session.report, session.outputs
    file, pace = _checkpoint_file(session.prepared, start.params), Pace()
    earlier = None if resume_from is None else file.read(resume_from)
    if earlier is not None:
        report.go_on_from(earlier.log_size, f"resumed after round {earlier.number}")
    done = earlier
    try:
        with report.progress("ensemble", settings.max_epochs) as counter:
            for done in _rounds(session, _starts(session, start), earlier):
                counter.update(int(on_host(done.members.updates).max()), _told(session, done))
                if pace.is_due():
                    with uninterrupted(), pace.saving():
                        _save(session, file, done)
        assert done is not None  # the starts at least
        with uninterrupted():
            _save(session, file, done)
    except BaseException as error:  # Ctrl-C too
        if done is not None:
            with uninterrupted(), suppress(ResultsError):  # there is an error to tell already
                kept = _saved(session, file, done)
                report.line(f"Ensemble was ended by {name_of(error)}{kept}")
        raise
    members = done.members
    updates, lowest = on_host((members.updates, members.lowest))
    known = lowest[np.isfinite(lowest)]
    found = _solved_members(session, members.best, members.lowest, initial)
    best = min(found, key=lambda member: _judged(session, found[member]))
    _write_members(session, found, updates)
    _write_spread(session, found, best)
    report.line(
        f"Ensemble: {len(found)} of {settings.ensemble_size} members, costs "
        f"{known.min():.6g} to {known.max():.6g} eV^2; the best is member {best}, which is exported"
    )
    outputs.parameters("best", found[best].params)
    return found[best]


def _rounds(session: Session, starts: Parameters, earlier: Rounds | None) -> Iterator[Rounds]:
    """Round after round, from the starts or after those that are done, with lines in the log."""
    settings, report = session.bundle.settings, session.report
    known, number = (None, 0) if earlier is None else (earlier.members, earlier.number + 1)
    for members in fit_members(session.problem, starts, settings, session.cost, known):
        rounds = Rounds(number, members, 0)
        report.log(f"round {number}: {_told(session, rounds)}")
        yield rounds._replace(log_size=report.size)
        number += 1


def _told(session: Session, rounds: Rounds) -> str:
    """What the members have come to."""
    members, largest = rounds.members, session.bundle.settings.max_epochs
    lowest, updates, done = on_host((members.lowest, members.updates, members.done))
    known = lowest[np.isfinite(lowest)]
    if not len(known):
        raise NumericalError("no member of the ensemble has a finite cost at its start")
    return (
        f"lowest cost {known.min():.6g}, median {np.median(known):.6g} eV^2, "
        f"{int((done | (updates >= largest)).sum())} of {len(done)} done"
    )


def _save(session: Session, file: CheckpointFile[Rounds], rounds: Rounds) -> str:
    """The member of lowest cost so far and, last, the checkpoint; returns what it says."""
    lowest, params = on_host((rounds.members.lowest, rounds.members.best))
    best = int(np.nanargmin(np.where(np.isfinite(lowest), lowest, np.nan)))
    session.outputs.parameters("best", jax.tree.map(jnp.asarray, _one(params, best)))
    file.write(session.outputs.folder, rounds)
    return f"; best_* hold member {best + 1}, cost {lowest[best]:.6g}"


def _saved(session: Session, file: CheckpointFile[Rounds], rounds: Rounds) -> str:
    """Save what there is, and say so."""
    if not np.isfinite(on_host(rounds.members.lowest)).any():
        return ""
    try:
        return _save(session, file, rounds) + f"; --resume goes on from {CHECKPOINT}"
    except ResultsError as error:
        return f"; it could not be saved: {error}"


def _starts(session: Session, start: Initial) -> Parameters:
    """The starts of all members, leaves with a leading axis; the first is that of a single fit."""
    settings, plan, params = session.bundle.settings, session.plan, start.params
    others = range(1, settings.ensemble_size)
    if plan.has_random_members:
        model = session.problem.local
        assert isinstance(model, NetworkModel)
        keys = [jax.random.key(settings.seed + i) for i in others]
        drawn = _stacked([model.init(key, session.problem.dtype) for key in keys])
        if plan.initial_fit is not None:
            curves, _ = target_curves(session, params)
            drawn, _ = fit_many(model, drawn, curves, settings)
        members = [params.updated({"local": _one(drawn, i - 1)}) for i in others]
    else:
        members = [_perturbed(session, params, i) for i in others]
    return _stacked([params, *members])


def _perturbed(session: Session, params: Parameters, member: int) -> Parameters:
    """Every trained number times 1 + ensemble_spread normal deviates; systems stay neutral."""
    settings, problem = session.bundle.settings, session.problem
    trainable, frozen = split(params, session.plan.trained_channels)
    coordinates = coordinates_of(problem.composition, trainable)
    values = coordinates.values(trainable)
    key = jax.random.fold_in(jax.random.key(settings.seed), member)
    step = settings.ensemble_spread * values * jax.random.normal(key, values.shape, values.dtype)
    return merge(Split(coordinates.moved(trainable, step), frozen))


def _solved_members(
    session: Session, params: Parameters, lowest: Array, near: Solved
) -> dict[int, Solved]:
    """The members with a finite cost, counted from 1, with bands as accurate as results are."""
    costs, params = on_host((lowest, params))
    chosen = np.flatnonzero(np.isfinite(costs))
    members = {int(i) + 1: jax.tree.map(jnp.asarray, _one(params, int(i))) for i in chosen}
    return {i: session.solved(member, near=near.carried) for i, member in members.items()}


def _judged(session: Session, solved: Solved) -> float:
    held_out = session.held_out(solved)
    return sum(session.terms(solved).values()) if held_out is None else held_out


def _write_members(session: Session, found: Mapping[int, Solved], updates: np.ndarray) -> None:
    """member_<i>_*, and ensemble.dat with their costs."""
    outputs, rows = session.outputs, []
    for member, solved in found.items():
        prefix, terms = f"member_{member}", session.terms(solved)
        outputs.parameters(prefix, solved.params)
        outputs.band_tables(prefix, solved.bands)
        outputs.potential_tables(prefix, solved.params, real_space=False)
        values, unseen = tuple(terms.values()), session.held_out(solved)
        rows.append((member, updates[member - 1], sum(values), *values, *_known(unseen)))
    columns = ("member", "updates", "cost", *session.cost.names)
    held_out = ("held_out",) if session.problem.holds_out else ()
    outputs.table("ensemble", rows, (*columns, *held_out))


def _known(value: float | None) -> tuple[float, ...]:
    return () if value is None else (value,)


def _write_spread(session: Session, found: Mapping[int, Solved], best: int) -> None:
    """ensemble.npz with bands and potentials of all members; figures of the best and the spread."""
    outputs = session.outputs
    v_q = np.stack([outputs.v_q(solved.params) for solved in found.values()])
    v_r = np.stack([real_space_potential(outputs.q, of_member, outputs.r) for of_member in v_q])
    bands = [
        np.stack(of_system) for of_system in zip(*(s.bands for s in found.values()), strict=True)
    ]
    arrays = {f"bands_sys{s.index}": b for s, b in zip(session.bundle.systems, bands, strict=True)}
    members = np.array(list(found))
    outputs.arrays("ensemble", {"member": members, "q": outputs.q, "v_q": v_q, **arrays})
    spread = Spread([b.std(axis=0) for b in bands], v_q.std(axis=0), v_r.std(axis=0))
    name = f"best of {len(found)}"
    curves = {name: found[best].bands}
    outputs.band_figure("ensemble", curves, PDF_AND_PNG, spread)
    potentials = {name: outputs.v_q(found[best].params)}
    outputs.potential_figure("ensemble", potentials, PDF_AND_PNG, spread)


def _stacked(trees: Sequence[Any]) -> Any:
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)


def _one(tree: Any, index: int) -> Any:
    return jax.tree.map(lambda leaf: leaf[index], tree)
