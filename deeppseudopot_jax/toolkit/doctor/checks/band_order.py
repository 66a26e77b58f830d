"""Which computed level a column of the reference is compared with."""

from collections.abc import Iterator

import numpy as np

from deeppseudopot_jax.band_curves import ascends
from deeppseudopot_jax.toolkit.doctor.examined import Examined, known_levels
from deeppseudopot_jax.toolkit.doctor.remarks import Remark


def order_applied_twice(examined: Examined) -> Iterator[Remark]:
    """kpoints_X_orderMatrix.par is for references whose columns cross, not for sorted ones."""
    for system in examined.bundle.systems:
        order, reference = system.band_order, system.reference_energies
        if order is None or reference is None:
            continue
        sorts = np.all(order == np.arange(system.n_bands))
        if not sorts and ascends(reference[:, known_levels(system)]):
            yield Remark(
                "band order",
                "warning",
                f"kpoints_{system.index}_orderMatrix.par reorders the computed levels, but the "
                f"energies of expBandStruct_{system.index}.par ascend at every k-point",
                "remove the matrix, or write the reference in the order of its bands",
            )


def unknown_levels(examined: Examined) -> Iterator[Remark]:
    """Columns of zeros are levels that nobody knows; with a weight they are fitted to 0 eV."""
    for system in examined.bundle.systems:
        if system.reference_energies is None or not examined.fits:
            continue
        zeros = np.flatnonzero(~known_levels(system) & (system.band_weights > 0.0))
        if len(zeros):
            yield Remark(
                "unknown levels",
                "warning",
                f"expBandStruct_{system.index}.par: bands {_spelled(zeros)} are 0 at every k-point "
                "and have a weight, so levels are fitted to 0 eV",
                f"set their weights in bandWeights_{system.index}.par to 0",
            )


def _spelled(bands: np.ndarray) -> str:
    first, last = int(bands[0]), int(bands[-1])
    if len(bands) > 1 and last - first + 1 == len(bands):
        return f"{first} to {last}"
    return ", ".join(map(str, bands.tolist()))
