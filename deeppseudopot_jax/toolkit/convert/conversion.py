"""The columns of a bundle made of the levels of a source."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from deeppseudopot_jax.errors import InputError
from deeppseudopot_jax.k_path import straight_pieces
from deeppseudopot_jax.toolkit.convert.checks import check_numbers
from deeppseudopot_jax.toolkit.convert.edges import BandEdges, electrons_left, find_edges
from deeppseudopot_jax.toolkit.convert.options import VALENCE_TOP, ConversionOptions
from deeppseudopot_jax.toolkit.convert.source import SourceBands
from deeppseudopot_jax.toolkit.convert.spin import check_spin
from deeppseudopot_jax.toolkit.convert.window import Window, window_of
from deeppseudopot_jax.toolkit.new.elements import valence_electrons

_CROSSING = 1e-6
"""eV."""


@dataclass(frozen=True, eq=False)
class Conversion:
    """The bands of a bundle, and how they came about.

    Attributes:
        source: what they were made of.
        rows: the k-points of the source that are kept.
        energies: eV, columns counted with spin; those of missing levels are 0.
        n_missing: columns of missing levels, the lowest ones.
        edges: of the bands; None where the electrons are not known, or fill no whole bands.
        done: what was done to levels, k-points and energies, a sentence each.
        to_check: what the user should look at.
    """

    source: SourceBands
    rows: Int[np.ndarray, " kpt"]
    energies: Float[np.ndarray, "kpt band"]
    n_missing: int
    edges: BandEdges | None
    done: tuple[str, ...]
    to_check: tuple[str, ...]


def converted(source: SourceBands, options: ConversionOptions) -> Conversion:
    """The bands of a bundle as `options` ask for them.

    Raises:
        InputError: if its numbers make no sense, if levels are counted otherwise than the source
            says, if it has not the levels that are asked for, or if a change of the energies needs
            band edges that are not known.
    """
    check_numbers(source)
    check_spin(source)
    window = window_of(source, options)
    rows = _rows(source, options.every)
    copies = source.states_per_level
    levels = source.energies[rows][:, window.taken]
    n_missing = copies * window.n_missing
    bands = np.repeat(levels, copies, axis=1)
    electrons = electrons_left(source, options.n_dropped)
    raised, scissor = _raised(bands, find_edges(bands, n_missing, electrons)[0], n_missing, options)
    edges, why_none = find_edges(raised, n_missing, electrons)
    shift, zero = _shift(edges, options)
    return Conversion(
        source,
        rows,
        np.hstack([np.zeros((len(rows), n_missing)), raised + shift]),
        n_missing,
        None if edges is None else edges.moved(shift),
        (*_counted(source, window, rows, options), *scissor, zero),
        (
            *source.remarks,
            *window.to_check(source, rows),
            *_semicore(source, electrons, options),
            *why_none,
        ),
    )


def _semicore(
    source: SourceBands, electrons: float | None, options: ConversionOptions
) -> list[str]:
    """Where more electrons are left than those of outer s and p shells, or fewer."""
    numbers = [valence_electrons(symbol) for symbol in source.crystal.symbols]
    known = [number for number in numbers if number is not None]
    if electrons is None or len(known) < len(numbers) or round(electrons) == sum(known):
        return []
    surplus = electrons - sum(known)
    if surplus < 0:
        return [f"{electrons:g} electrons are left, fewer than the {sum(known)} of s and p shells"]
    n_levels = surplus / source.states_per_level
    return [
        f"{electrons:g} electrons are left, {sum(known)} of them in outer s and p shells: the "
        f"others fill {n_levels:g} levels, which the model has not; if they are the lowest, leave "
        f"them out with --drop-lowest {options.drop_lowest + n_levels:g}, those between others "
        "with --drop"
    ]


def _rows(source: SourceBands, every: int) -> np.ndarray:
    """Which k-points are kept: the ends of straight pieces and labelled points always."""
    count = np.arange(len(source.k_points))
    if every == 1 or source.mesh_weights is not None:
        return count[::every]
    pieces = straight_pieces(source.k_points, source.crystal.lattice)
    firsts = np.searchsorted(pieces, pieces)
    ends = np.append(np.diff(pieces) > 0, True)
    labelled = np.array([label != "" for label in source.labels])
    return count[((count - firsts) % every == 0) | ends | labelled]


def _raised(
    bands: Float[np.ndarray, "kpt band"],
    edges: BandEdges | None,
    n_missing: int,
    options: ConversionOptions,
) -> tuple[Float[np.ndarray, "kpt band"], list[str]]:
    """The known bands with the scissor, and what it did."""
    if options.scissor == 0.0:
        return bands, []
    if options.scissor_above is not None:
        above = bands > options.scissor_above
        where = f"{options.scissor_above:g} eV of the source"
    elif edges is None or edges.conduction_band is None:
        raise InputError(
            "--scissor raises the levels above the gap, and no gap is known here: say from which "
            "energy on with --scissor-above"
        )
    else:
        above = np.arange(bands.shape[1]) >= edges.conduction_band - n_missing
        where = "the gap"
    raised = bands + options.scissor * above
    if (np.diff(raised, axis=1) < -_CROSSING).any():
        raise InputError(f"--scissor {options.scissor:g} makes levels cross: give less")
    return raised, [f"levels above {where} raised by {options.scissor:g} eV"]


def _shift(edges: BandEdges | None, options: ConversionOptions) -> tuple[float, str]:
    """What is added to all energies, and why."""
    if options.shift is not None:
        return options.shift, (
            f"{options.shift:g} eV added to all energies"
            if options.shift
            else "the zero of energy is that of the source"
        )
    if edges is None:
        if options.valence_top is not None:
            raise InputError("--valence-top: no valence band is known here, give --shift instead")
        return 0.0, "the zero of energy is that of the source"
    target = VALENCE_TOP if options.valence_top is None else options.valence_top
    shift = target - edges.valence_top
    return shift, (
        f"the highest valence level put at {target:g} eV, all energies moved by {shift:.6f} eV"
    )


def _counted(
    source: SourceBands, window: Window, rows: np.ndarray, options: ConversionOptions
) -> list[str]:
    """Which levels and k-points went into the bundle."""
    told = [
        f"levels {window} (from 0) of the calculation, "
        + ("spinors, a column each" if source.is_spinor else "two columns each, for spin")
    ]
    if window.n_missing:
        told.append(f"the {window.n_missing} levels below are missing: columns of 0 without weight")
    if options.every > 1:
        told.append(f"{len(rows)} of {len(source.k_points)} k-points (--every {options.every})")
    return told
