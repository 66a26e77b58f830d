"""Names of the k-points of an output, from the comments of the input of pw.x."""

from pathlib import Path

import numpy as np
from jaxtyping import Float

from deeppseudopot_jax.errors import InputError
from deeppseudopot_jax.toolkit.convert.k_points_card import read_k_points_card

_SAME_POINT = 1e-5


def k_labels(
    path: Path,
    k_points: Float[np.ndarray, "kpt 3"],
    lattice: Float[np.ndarray, "3 3"],
    alat: float,
) -> tuple[str, ...]:
    """The names that an input of pw.x gives to the k-points of its output, "" where it gives none.

    Args:
        path: of the input, with names as in `0.5 0.5 0.5 20 ! L`.
        k_points: of the output, fractional.
        lattice: rows in Bohr.
        alat: Bohr, the unit of lengths of pw.x.

    Raises:
        BundleError: if its K_POINTS cannot be read.
        InputError: if it has k-points that the output has not.
    """
    card = read_k_points_card(path)
    crystal = card.kind.startswith("crystal")
    listed = card.k_points if crystal else card.k_points @ lattice.T / alat
    names = [""] * len(k_points)
    for k, label, line in zip(listed, card.labels, card.lines, strict=True):
        found = np.flatnonzero(np.abs(k_points - k).max(axis=1) < _SAME_POINT)
        if not len(found):
            raise InputError(
                f"{path}, line {line}: the output has no k-point {k} (fractions): it is the input "
                "of another calculation"
            )
        for i in found:
            names[i] = names[i] or label
    return tuple(names)
