"""Plane waves: enough for the bands, and what more of them would change."""

from collections.abc import Iterator

import numpy as np

from deeppseudopot_jax.toolkit.doctor.examined import Examined, shift_of
from deeppseudopot_jax.toolkit.doctor.remarks import Remark

_LARGEST_SHARE = 0.25
"""Levels over plane waves: higher ones are those of the cutoff, not of the crystal."""
_NOTED, _WARNED = 0.05, 0.5
"""eV"""
_ALIKE = 1.0
"""eV: bands of the start that are farther from the reference tell nothing of those of the fit."""


def few_plane_waves(examined: Examined) -> Iterator[Remark]:
    """Levels are a small part of what the basis has."""
    n_spin = 2 if examined.bundle.settings.spin_orbit else 1
    for system, n_waves in zip(examined.bundle.systems, examined.n_waves or (), strict=False):
        levels = -(-system.n_bands // examined.n_per_level)
        if levels > _LARGEST_SHARE * n_spin * n_waves:
            yield Remark(
                "few plane waves",
                "warning",
                f"input_{system.index}.par: maxKE = {system.max_kinetic_energy:g} Ha gives "
                f"{n_waves} plane waves for {levels} levels",
                "raise maxKE, or lower nBands",
            )


def cutoff_convergence(examined: Examined) -> Iterator[Remark]:
    """How much fitted bands of the start change with a larger maxKE."""
    for system, start in examined.with_start:
        changes = np.abs(start.larger_basis - start.bands[:, : system.n_bands])
        changes *= system.band_weights > 0.0
        largest = float(changes.max(initial=0.0))
        if largest < _NOTED:
            continue
        row, band = (int(i) for i in np.unravel_index(np.argmax(changes), changes.shape))
        energy, shift = system.max_kinetic_energy, shift_of(system, start)
        is_alike = shift is not None and shift.rest < _ALIKE
        yield Remark(
            "cutoff",
            "warning" if largest > _WARNED and is_alike else "note",
            f"{system.name}: with maxKE = {start.factor * energy:.3g} instead of {energy:g} Ha the "
            f"bands of the start change by up to {1000.0 * largest:.0f} meV "
            f"(band {band} at {start.place(row)})",
            "raise maxKE, or keep it wherever the potential is used: it belongs to this basis",
        )
