"""The observables that a bundle defines, of the potential that a run or an evaluation ends with."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby

import numpy as np

from deeppseudopot_jax.observables.band_numbers import band_numbers
from deeppseudopot_jax.observables.edge_masses import edge_masses
from deeppseudopot_jax.observables.evaluation import prepared
from deeppseudopot_jax.observables.measured import coupling_observables, deformation_observables
from deeppseudopot_jax.observables.observable import Observable, known, unknown
from deeppseudopot_jax.run.outputs import Spread
from deeppseudopot_jax.run.session import Session, Solved
from deeppseudopot_jax.types import SystemInput

_SHOWN = ("masses", "deformation potentials", "couplings")
"""Groups that the terminal shows; gaps are told with the errors, the others are in the log."""

_SPELLED = 12
"""Observables of a group that are spelled out; more are summarised."""


def observables(
    session: Session, prefix: str, solved: Solved, spread: Spread | None = None
) -> None:
    """Compute, write and tell them; what cannot be computed is told in words and ends nothing.

    Args:
        session: of the run; all its processes have to call this.
        prefix: of the files.
        solved: the potential.
        spread: its error bars.
    """
    report, bundle = session.report, session.bundle
    with report.first_time("observables"):
        found = [_of_system(session, solved, i, spread) for i in range(len(bundle.systems))]
    session.outputs.observables(prefix, found)
    if not any(found):
        report.log("Observables: none, no input_X.par names band edges (idxVB, idxCB)")
    for system, of_system in zip(bundle.systems, found, strict=True):
        for group, members in groupby(of_system, key=lambda one: one.group):
            tell = report.line if group in _SHOWN else report.log
            tell(f"  {system.name}, {group}: {_spelled(list(members))}")


def _of_system(
    session: Session, solved: Solved, index: int, spread: Spread | None
) -> list[Observable]:
    """All of one system, group by group."""
    problem, params, bundle = solved.problem, solved.params, session.bundle
    system, bands = bundle.systems[index], np.asarray(solved.bands[index], np.float64)
    of_numbers = spread.numbers[index] if spread and spread.numbers else ()
    of_rows = (
        spread.deformation_potentials[index] if spread and spread.deformation_potentials else ()
    )
    found = [*_with_sigmas(band_numbers(system, bands), of_numbers), *_misplaced(system)]
    found += edge_masses(prepared(problem, params), index, system, bands)
    if system.deformation_targets:
        rows = deformation_observables(problem, params, index, system, bands)
        found += _with_sigmas(rows, of_rows)
    if system.coupling_targets:
        found += coupling_observables(problem, bundle.settings, params, system)
    return sorted(found, key=lambda one: _ORDER.index(one.group))


def _with_sigmas(found: Sequence[Observable], sigmas: Sequence[float]) -> list[Observable]:
    """The same with an error bar each; as they are where there are no error bars."""
    if not sigmas:
        return list(found)
    return [
        replace(one, sigma=None if one.value is None else known(sigma))
        for one, sigma in zip(found, sigmas, strict=True)
    ]


_ORDER = ("gaps", "edges", "splittings", *_SHOWN)


def _misplaced(system: SystemInput) -> Iterator[Observable]:
    """The gap at `idxGap` where an evaluation has other k-points than the fit."""
    k_point = system.gap_k_point
    if k_point is not None and k_point >= len(system.k_points):
        note = f"idxGap is none of the {len(system.k_points)} k-points of this evaluation"
        yield unknown("gaps", f"gap at k-point {k_point}", "eV", note)


def _spelled(members: Sequence[Observable]) -> str:
    """The observables of one group in one line; inverse masses are in the files alone."""
    numbers = [one for one in members if one.unit != "1/m_e"]
    if len(numbers) > _SPELLED:
        return _summary(numbers)
    return ", ".join(map(_with_reference, numbers))


def _with_reference(one: Observable) -> str:
    if one.value is None:
        return f"{one.name} unknown ({one.note})"
    text = f"{one.name} {one.value:.4f}"
    if one.sigma is not None:
        text += f" +- {one.sigma:.4f}"
    text += f" {one.unit}"
    return text if one.reference is None else f"{text} (reference {one.reference:.4f})"


def _summary(members: Sequence[Observable]) -> str:
    values = [one.value for one in members if one.value is not None]
    text = f"{len(members)} numbers"
    if values:
        text += f", {min(values):.4f} to {max(values):.4f} {members[0].unit}"
    errors = [one.difference for one in members if one.difference is not None]
    if errors:
        size = np.sqrt(np.mean(np.square(errors)))
        text += f", root mean square error {size:.4f} {members[0].unit}"
    failed = [one for one in members if one.value is None]
    return f"{text}, {len(failed)} unknown ({failed[0].note})" if failed else text
