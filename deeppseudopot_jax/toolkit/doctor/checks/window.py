"""The bands that count should end between two multiplets."""

from collections.abc import Iterator

import numpy as np

from deeppseudopot_jax.toolkit.doctor.examined import Examined, StartBands, known_levels
from deeppseudopot_jax.toolkit.doctor.remarks import Remark
from deeppseudopot_jax.types import SystemInput

_ONE_LEVEL = 1e-3
"""eV: G spheres of the reference code split multiplets by less."""


def cut_multiplets(examined: Examined) -> Iterator[Remark]:
    """The highest band with a weight must not be degenerate with the band above it.

    That one is looked for in the reference, and above nBands among the bands of the start.
    """
    starts = examined.start or (None,) * len(examined.bundle.systems)
    for system, start in zip(examined.bundle.systems, starts, strict=True):
        counts = np.flatnonzero(system.band_weights > 0.0)
        if not len(counts):
            continue
        # Without spin-orbit both bands of a level have its energy, whichever counts.
        last = int(counts[-1]) if examined.n_per_level == 1 else int(counts[-1]) // 2 * 2 + 1
        found = _odd(system, last) or _in_reference(system, last) or _at_start(system, start, last)
        if found:
            yield Remark(
                "cut multiplet",
                "warning",
                f"{system.name}: {found}",
                "let the bands that count end between two levels (nBands, "
                f"bandWeights_{system.index}.par): the derivative of a part of a multiplet is "
                "arbitrary",
            )


def _odd(system: SystemInput, last: int) -> str:
    if system.n_bands % 2 and last >= system.n_bands - 1:
        return f"nBands = {system.n_bands} is odd, so the last pair of bands is cut"
    return ""


def _in_reference(system: SystemInput, last: int) -> str:
    reference = system.reference_energies
    if reference is None or last + 1 >= system.n_bands or not known_levels(system)[last + 1]:
        return ""
    apart = np.abs(reference[:, last + 1] - reference[:, last])
    apart[system.k_weights <= 0.0] = np.inf
    k = int(np.argmin(apart))
    return _told(f"k-point {k} of the reference", last, apart[k])


def _at_start(system: SystemInput, start: StartBands | None, last: int) -> str:
    if start is None or last + 1 >= start.bands.shape[1]:
        return ""
    apart = start.bands[:, last + 1] - start.bands[:, last]
    apart = np.where(system.k_weights[list(start.points)] > 0.0, apart, np.inf)
    row = int(np.argmin(apart))
    return _told(start.place(row), last, float(apart[row]))


def _told(place: str, last: int, apart: float) -> str:
    if apart >= _ONE_LEVEL:
        return ""
    return (
        f"at {place} band {last}, the last one with a weight, and band {last + 1} are one level "
        f"({apart:.1e} eV apart)"
    )
