"""Bands are counted with spin: without spin-orbit every level is listed twice."""

from collections.abc import Iterator

import numpy as np

from deeppseudopot_jax.parameters import COLUMNS
from deeppseudopot_jax.space_group import space_group
from deeppseudopot_jax.toolkit.doctor.examined import Examined, counting_levels
from deeppseudopot_jax.toolkit.doctor.remarks import Remark
from deeppseudopot_jax.toolkit.new.elements import valence_electrons
from deeppseudopot_jax.types import SystemInput

_EQUAL = 0.01
"""eV: levels of one pair differ by no more than the decimals of files."""
_ON_A_LATTICE = 1e-4
"""Fractions of the reciprocal vectors."""
_MOST_AT_GAMMA = 4
"""Bands of a level with spin-orbit: the largest double-valued representation of any point group."""
_UNSPLIT = 5e-4
"""eV: less than the splitting of diamond, which is 6 meV."""


def pairs_of_bands(examined: Examined) -> Iterator[Remark]:
    """Columns 0 and 1, 2 and 3, ... of the reference must be equal where one level gives both.

    Without spin-orbit that is everywhere; with it at k = -k up to a reciprocal vector, where time
    reversal pairs the states of any crystal (Kramers).
    """
    spin_orbit = examined.bundle.settings.spin_orbit
    for system in examined.bundle.systems:
        reference = system.reference_energies
        if reference is None or system.band_order is not None:
            continue
        rows = np.ones(len(reference), bool)
        if spin_orbit:
            twice = 2.0 * system.k_points
            rows = np.all(np.abs(twice - np.round(twice)) < _ON_A_LATTICE, axis=1)
        n_pairs = system.n_bands // 2
        counts = counting_levels(system)[: 2 * n_pairs]
        both = counts[0::2] & counts[1::2]
        pairs = reference[:, : 2 * n_pairs]
        apart = np.abs(pairs[:, 1::2] - pairs[:, 0::2]) * both * rows[:, None]
        n_apart = int((apart.max(axis=0, initial=0.0) > _EQUAL).sum())
        if not n_apart:
            continue
        k, pair = np.unravel_index(np.argmax(apart), apart.shape)
        where = f"at k-point {k} bands {2 * pair} and {2 * pair + 1} are {apart.max():.3g} eV apart"
        message = f"expBandStruct_{system.index}.par: {n_apart} of {int(both.sum())} pairs of "
        if spin_orbit:
            yield Remark(
                "Kramers pairs",
                "warning",
                f"{message}bands differ where time reversal makes them equal ({where})",
                "list every state of the spinor calculation, and drop deep bands in pairs; bands "
                "of a calculation without spin-orbit are listed twice",
            )
        else:
            yield Remark(
                "undoubled bands",
                "warning",
                f"{message}bands differ, but without spin-orbit one level gives both ({where})",
                "list every level twice, also in bandWeights, nBands, idxVB and idxCB; or fit with "
                "SObool = 1 where the energies have spin-orbit",
            )


def unsplit_levels(examined: Examined) -> Iterator[Remark]:
    """With spin-orbit no level at Gamma holds more than four bands; without, p states are six.

    In a cell of several primitive ones levels of other k-points meet there, so that nothing
    follows. A model whose spin-orbit coupling is and stays 0 may have such a reference.
    """
    bundle = examined.bundle
    rows = bundle.coefficients
    is_zero = rows is None or not rows[:, COLUMNS["spin_orbit"]].any()
    stays = not any(plan.settings.train_spin_orbit for plan in examined.plans)
    if not bundle.settings.spin_orbit or (is_zero and stays):
        return
    for system in bundle.systems:
        reference, k_points = system.reference_energies, system.k_points
        at_gamma = np.abs(k_points - np.round(k_points)).max(axis=1) < _ON_A_LATTICE
        if reference is None or not at_gamma.any() or not _is_primitive(system):
            continue
        k = int(np.argmax(at_gamma))
        levels = np.sort(reference[k][counting_levels(system)])
        widths = levels[_MOST_AT_GAMMA:] - levels[:-_MOST_AT_GAMMA]
        if not len(widths) or widths.min() > _UNSPLIT:
            continue
        energy = levels[int(np.argmin(widths))] + 0.0  # not -0
        yield Remark(
            "unsplit levels",
            "warning",
            f"expBandStruct_{system.index}.par: more than {_MOST_AT_GAMMA} bands are at "
            f"{energy:.4g} eV at k-point {k} (Γ), where spin-orbit coupling splits such a level",
            "take energies of a calculation with spin-orbit, or SObool = 0 for those of one "
            "without, every level listed twice",
        )


def _is_primitive(system: SystemInput) -> bool:
    crystal = system.crystal
    found = space_group(crystal.lattice, crystal.fractional_positions, crystal.symbols)
    return int((found.rotations == np.eye(3, dtype=int)).all(axis=(1, 2)).sum()) == 1


def band_edges(examined: Examined) -> Iterator[Remark]:
    """idxVB and idxCB are neighbours, belong to different levels, and count from 0 with spin."""
    for system in examined.bundle.systems:
        if found := list(_wrong_edges(system, examined.n_per_level)):
            yield Remark(
                "band edges",
                "warning",
                f"input_{system.index}.par: {'; '.join(found)}",
                "idxVB and idxCB count bands from 0, and every level twice for spin: with n "
                "electrons in the bands of the table idxVB = n - 1 and idxCB = n",
            )


def _wrong_edges(system: SystemInput, n_per_level: int) -> Iterator[str]:
    valence, conduction = system.valence_band, system.conduction_band
    if valence is None:
        return
    if n_per_level == 2 and valence % 2 == 0:
        yield f"idxVB = {valence} is the first band of a level that is listed twice, not its second"
    if conduction is not None and conduction != valence + 1:
        yield f"idxCB = {conduction} is not the band above idxVB = {valence}"
    reference = system.reference_energies
    if reference is not None and valence + 1 < system.n_bands:
        counts = counting_levels(system)
        gaps = reference[:, valence + 1] - reference[:, valence]
        if counts[valence] and counts[valence + 1] and np.abs(gaps).max() < _EQUAL:
            yield (
                f"bands {valence} and {valence + 1} of expBandStruct_{system.index}.par are the "
                "same level at every k-point, so there is no gap between them"
            )
    n = _outer_electrons(system)
    if n is None:
        return
    if valence + 1 == n // 2:
        yield f"{n} s and p electrons fill {n} bands, but idxVB = {valence} is that of {n // 2}"
    elif valence + 1 < n:
        yield (
            f"{n} s and p electrons fill bands 0 to {n - 1}, but idxVB = {valence}: are deep ones "
            "missing?"
        )
    elif valence == n:
        yield f"{n} s and p electrons fill bands 0 to {n - 1}, but idxVB = {valence}, as if from 1"


def surplus_levels(examined: Examined) -> Iterator[Remark]:
    """The lowest band of the model is the first column: semicore levels shift all the others.

    Weights do not matter, since levels without any are counted too.
    """
    for system in examined.bundle.systems:
        valence, n = system.valence_band, _outer_electrons(system)
        if valence is None or n is None:
            continue
        surplus = valence + 1 - n
        # One band is a count from 1, half a level a wrong idxVB: both are told as wrong edges.
        if surplus < 2 or surplus % examined.n_per_level:
            continue
        n_levels = surplus // examined.n_per_level
        yield Remark(
            "surplus levels",
            "warning",
            f"input_{system.index}.par: idxVB = {valence} fills {valence + 1} bands, but there are "
            f"{n} s and p electrons, {surplus} fewer: the others seem to be in semicore levels, "
            "which the model has not",
            f"leave them out: `convert qe --drop-lowest {n_levels}` (beside what was dropped; "
            f"--drop for levels between others), or without {surplus} columns of "
            f"expBandStruct_{system.index}.par, in bandWeights, nBands, idxVB and idxCB too",
        )


def _outer_electrons(system: SystemInput) -> int | None:
    """s and p electrons of a cell; None where those of an element are not known."""
    electrons = [valence_electrons(symbol) for symbol in system.crystal.symbols]
    known = [number for number in electrons if number is not None]
    return sum(known) if len(known) == len(electrons) else None
