"""The bands of a bundle should end between two multiplets."""

from collections.abc import Iterator

from deeppseudopot_jax.toolkit.doctor.examined import Examined
from deeppseudopot_jax.toolkit.doctor.remarks import Remark

_ONE_LEVEL = 1e-3
"""eV: G spheres of the reference code split multiplets by less."""


def cut_multiplets(examined: Examined) -> Iterator[Remark]:
    """The highest fitted band must not be degenerate with the band above it."""
    for system in examined.bundle.systems:
        if system.n_bands % 2 and system.band_weights[-1] > 0.0:
            yield Remark(
                "cut multiplet",
                "warning",
                f"input_{system.index}.par: nBands = {system.n_bands} is odd, so the last pair of "
                "bands is cut",
                "add a band, or give the last one the weight 0",
            )
    for system, start in examined.with_start:
        n = system.n_bands
        if n % 2 or not system.band_weights[n - 1] > 0.0:
            continue
        for row, levels in enumerate(start.bands):
            if system.k_weights[start.points[row]] > 0.0 and levels[n] - levels[n - 1] < _ONE_LEVEL:
                yield Remark(
                    "cut multiplet",
                    "warning",
                    f"{system.name}: at {start.place(row)} band {n - 1}, the last one, and band "
                    f"{n} are one level ({levels[n] - levels[n - 1]:.1e} eV apart)",
                    "add the bands that belong to it, or give the last ones the weight 0 in "
                    f"bandWeights_{system.index}.par: the derivative of a part of a multiplet is "
                    "arbitrary",
                )
                break
