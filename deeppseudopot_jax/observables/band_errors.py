"""How far bands are from their reference: what the log and the figures say of a fit, in NumPy."""

import numpy as np
from jaxtyping import Bool, Float


def aligned(
    bands: Float[np.ndarray, "kpt band"],
    reference: Float[np.ndarray, "kpt band"] | None,
    relative_band: int | None,
) -> Float[np.ndarray, "kpt band"]:
    """Bands as they compare with the reference.

    A fit relative to one band leaves its energies free to shift at each k; that band is put on the
    reference's, as in `losses.band_loss`.
    """
    if relative_band is None or reference is None:
        return bands
    return bands + (reference - bands)[:, relative_band, None]


def fitted_levels(
    reference: Float[np.ndarray, "kpt band"], weights: Float[np.ndarray, "kpt band"] | None
) -> Bool[np.ndarray, "kpt band"]:
    """Which levels of the reference count: those that are known, and have a weight if any do.

    Held-out levels are those of their own weights.
    """
    known = np.isfinite(reference)
    return known if weights is None else known & (weights > 0.0)


def rms_error(
    bands: Float[np.ndarray, "kpt band"],
    reference: Float[np.ndarray, "kpt band"],
    counted: Bool[np.ndarray, "kpt band"],
) -> float | None:
    """Root mean square of the counted differences, in the unit of the bands.

    None where nothing is counted; NaN where a counted level of the bands is not finite.
    """
    if not counted.any():
        return None
    difference = bands[counted] - reference[counted]
    return float(np.sqrt(np.mean(difference**2)))
