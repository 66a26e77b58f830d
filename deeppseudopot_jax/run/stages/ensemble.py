"""An ensemble of fits: starts, rounds, and what is kept of every member and of their spread."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

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
from deeppseudopot_jax.run.outputs import PDF_AND_PNG, Spread
from deeppseudopot_jax.run.session import Session, Solved
from deeppseudopot_jax.run.signals import name_of
from deeppseudopot_jax.run.stages.initial import Initial, target_curves
from deeppseudopot_jax.training.ensemble.members import fit_members
from deeppseudopot_jax.training.ensemble.rounds import Member
from deeppseudopot_jax.training.least_squares.coordinates import coordinates_of
from deeppseudopot_jax.training.regression import fit_many
from deeppseudopot_jax.training.trainable import Split, merge, split


def fit_ensemble(session: Session, start: Initial, initial: Solved) -> Solved:
    """Fit all members; returns the best of them, by its held-out cost where something is held out.

    Where something ends it, the one of lowest cost is in best_*.

    Raises:
        NumericalError: if no member has a finite cost.
    """
    settings, report, outputs = session.bundle.settings, session.report, session.outputs
    starts = _starts(session, start)
    rounds = fit_members(session.problem, starts, settings, session.cost)
    members: Member | None = None
    try:
        with report.progress("ensemble", settings.max_epochs) as counter:
            for number, members in enumerate(rounds):
                lowest, updates, done = on_host((members.lowest, members.updates, members.done))
                known = lowest[np.isfinite(lowest)]
                if not len(known):
                    raise NumericalError("no member of the ensemble has a finite cost at its start")
                text = (
                    f"lowest cost {known.min():.6g}, median {np.median(known):.6g} eV^2, "
                    f"{int(done.sum())} of {len(done)} done"
                )
                report.log(f"round {number}: {text}")
                counter.update(int(updates.max()), text)
    except BaseException as error:  # Ctrl-C too
        if members is not None:
            with uninterrupted(), suppress(ResultsError):  # there is an error to tell already
                report.line(f"Ensemble was ended by {name_of(error)}{_saved(session, members)}")
        raise
    assert members is not None  # the starts at least
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


def _saved(session: Session, members: Member) -> str:
    """Save the member of lowest cost so far, and say so."""
    lowest, params = on_host((members.lowest, members.best))
    if not np.isfinite(lowest).any():
        return ""
    best = int(np.nanargmin(np.where(np.isfinite(lowest), lowest, np.nan)))
    try:
        session.outputs.parameters("best", jax.tree.map(jnp.asarray, _one(params, best)))
    except ResultsError as error:
        return f"; it could not be saved: {error}"
    return f"; best_* hold member {best + 1}, cost {lowest[best]:.6g}"


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
    return {i: session.solved(member, near=near) for i, member in members.items()}


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
