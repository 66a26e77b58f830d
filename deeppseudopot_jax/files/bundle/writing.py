"""The text of bundle files, with comments for whoever edits them.

Numbers are rounded to the digits that are printed, so that reading a file and writing it again
changes nothing.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from deeppseudopot_jax.types import Crystal

_DECIMALS = 8
_ENERGY_DECIMALS = 6


def system_text(crystal: Crystal, scale: float) -> str:
    """system_X.par: lattice rows in units of `scale` (Bohr), atoms as fractions of them."""
    cell = np.round(crystal.lattice / scale, _DECIMALS)
    rows = "\n".join("".join(f"{x + 0.0:14.8f}" for x in row) for row in cell)
    positions = np.round(crystal.fractional_positions, _DECIMALS)
    atoms = "\n".join(
        f"{symbol:3}" + "".join(f"{x + 0.0:14.8f}" for x in position)
        for symbol, position in zip(crystal.symbols, positions, strict=True)
    )
    return (
        f"scale = {scale:.8f}   # Bohr\n"
        f"cell   # lattice vectors as rows, in units of scale\n{rows}\n"
        f"atoms  # symbol and fractions of the lattice vectors\n{atoms}\n"
    )


def k_points_text(
    k_points: Float[np.ndarray, "kpt 3"],
    weights: Float[np.ndarray, " kpt"],
    lengths: Float[np.ndarray, " kpt"],
    labels: Sequence[str],
    title: str,
) -> str:
    """kpoints_X.par: fractions, weight, and as a comment path length (Bohr^-1) and label.

    A label is that of a symmetry point, empty where a point has none.
    """
    rows = [f"# {title}; fractions of the reciprocal vectors, weight # path length\n"]
    for k, weight, length, label in zip(k_points, weights, lengths, labels, strict=True):
        numbers = "".join(f"{x + 0.0:13.8f}" for x in np.round(k, _DECIMALS))
        rows.append(f"{numbers} {weight:3g}   # {length:9.6f} {label}".rstrip() + "\n")
    return "".join(rows)


def reference_text(
    lengths: Float[np.ndarray, " kpt"], energies: Float[np.ndarray, "kpt band"]
) -> str:
    """expBandStruct_X.par: path length (Bohr^-1) and energies (eV) of every k-point."""
    rounded = np.round(np.column_stack([lengths, energies]), _ENERGY_DECIMALS) + 0.0
    return "".join(" ".join(f"{x:11.6f}" for x in row) + "\n" for row in rounded)


def band_weights_text(weights: Float[np.ndarray, " band"]) -> str:
    """bandWeights_X.par: one weight a row."""
    return "# one weight per band\n" + "".join(f"{weight:g}\n" for weight in weights)
