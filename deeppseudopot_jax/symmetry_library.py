"""Calls of spglib, whose warnings and errors differ from version to version."""

import warnings
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np
from jaxtyping import Float


def found_by(
    function: Callable[..., Any],
    lattice: Float[np.ndarray, "3 3"],
    positions: Float[np.ndarray, "atom 3"],
    symbols: tuple[str, ...],
    tolerance: float,
    **options: Any,
) -> Any:
    """What a function of spglib finds of a crystal; None where it finds nothing or gives up.

    Args:
        function: of spglib.
        lattice: rows in Bohr.
        positions: fractions of them.
        symbols: of the atoms.
        tolerance: Bohr; positions that are as close are the same.
        options: of the function.
    """
    if not (np.isfinite(lattice).all() and np.isfinite(positions).all()):
        return None  # spglib would crash
    kinds = sorted(set(symbols))
    cell = lattice.tolist(), positions.tolist(), [kinds.index(s) + 1 for s in symbols]
    with warnings.catch_warnings():
        # Version 2.8 warns at every call of how it will raise errors.
        warnings.simplefilter("ignore", DeprecationWarning)
        with suppress(Exception):
            return function(cell, symprec=tolerance, **options)
    return None
