"""Zinc blende on the disk, and densities by literal sums over plane waves in NumPy."""

from pathlib import Path

import bundle_samples
import numpy as np

ZN = "46.9\n1.43\n3.0\n0.636\n0\n1.5\n0.3\n0.2\n0\n"
S = "70.3\n3.20\n3.0\n0.665\n0\n1.0\n0.2\n0.1\n0\n"


def zinc_sulphide(folder: Path, config: str = "basis_sphere = G_full\n", **changes) -> Path:
    """A bundle of about 27 plane waves and three k-points; 8 bands, those up to 7 occupied."""
    files = {
        "NN_config": f"PPmodel = ZeroFunction\nhiddenLayers = 1\nnSystem = 1\n{config}",
        "input_0": "nBands = 10\nmaxKE = 1.7\nidxVB = 7\nidxCB = 8\n",
        "kpoints_0": "0.1 0.2 0.3 1\n0 0.5 0.5 2\n-0.3 0.1 0.2 1\n",
        "bandWeights_0": "1\n" * 10,
        "expBandStruct_0": None,
        "init_ZnParams": ZN,
        "init_SParams": S,
    }
    return bundle_samples.write(folder, **(files | changes))


def direct_density(
    coefficients: np.ndarray, integers: np.ndarray, positions: np.ndarray, volume: float
) -> np.ndarray:
    """|Omega^(-1/2) sum_G d_G exp(i G . r)|^2 at fractional positions, (band, position)."""
    found = np.zeros((len(coefficients), len(positions)))
    for n, band in enumerate(coefficients):
        for spin in band:
            for i, r in enumerate(positions):
                psi = sum(
                    d * np.exp(2j * np.pi * (g @ r)) for d, g in zip(spin, integers, strict=True)
                )
                found[n, i] += abs(psi) ** 2 / volume
    return found


def grid_points(shape: tuple[int, int, int]) -> np.ndarray:
    """The fractions of all grid points, the last axis fastest."""
    axes = [np.arange(n) / n for n in shape]
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
