"""Numbers that no calculation can have meant are refused before a bundle is made of them."""

import numpy as np

from deeppseudopot_jax.errors import InputError
from deeppseudopot_jax.files.bundle.text import LARGEST_FRACTION, LARGEST_NUMBER
from deeppseudopot_jax.toolkit.convert.source import SourceBands
from deeppseudopot_jax.toolkit.structures import check_crystal

_DEEPEST = 2e5
"""eV; the 1s levels of the heaviest elements are above minus this."""
_MOST_PER_ATOM = 120
"""Electrons."""


def check_numbers(source: SourceBands) -> None:
    """Levels, k-points, weights, electrons and the crystal are such as a bundle can hold.

    Raises:
        InputError: if they are not.
    """
    check_crystal(source.crystal)
    n_electrons = np.array(source.n_electrons or 0.0)
    weights = np.ones(1) if source.mesh_weights is None else source.mesh_weights
    for what, numbers, least, most in (
        ("levels (eV)", source.energies, -_DEEPEST, _DEEPEST),
        ("k-points (fractions)", source.k_points, -LARGEST_FRACTION, LARGEST_FRACTION),
        ("electrons", n_electrons, 0.0, _MOST_PER_ATOM * len(source.crystal.symbols)),
        ("weights of k-points", weights, 0.0, LARGEST_NUMBER),
        ("their sum", weights.sum(keepdims=True), 1.0 / LARGEST_NUMBER, LARGEST_NUMBER),
    ):
        bad = np.argwhere(~((numbers >= least) & (numbers <= most)))
        if len(bad):
            found = float(numbers[tuple(bad[0])])
            where = f"{source.file}: " if source.file else ""
            raise InputError(f"{where}{what}: found {found:g}; legal: {least:g} to {most:g}")
