"""Whether the arrays of a bundle fit together: one made by hand may be anything."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from deeppseudopot_jax.arguments import (
    Axes,
    count,
    kind,
    positive,
    refuse,
    require_array,
    require_index,
    require_shape,
)
from deeppseudopot_jax.types import Bundle, Crystal, SystemInput

_N_COEFFICIENTS = 9


def whole_bundle(name: str, bundle: Any, given: Mapping[str, Any]) -> None:
    """The argument is a bundle of one system at least, all of whose arrays belong together."""
    kind(Bundle)(name, bundle, given)
    if not bundle.systems:
        raise refuse(f"{name}.systems", "none", "one or more systems")
    symbols = {symbol for system in bundle.systems for symbol in system.crystal.symbols}
    if bundle.species != tuple(sorted(symbols)):
        legal = " ".join(sorted(symbols)) + ", the sorted symbols of all systems"
        raise refuse(f"{name}.species", " ".join(bundle.species), legal)
    if bundle.coefficients is not None:
        axes = len(bundle.species), _N_COEFFICIENTS
        require_shape(f"{name}.coefficients", bundle.coefficients, axes)
    for index, system in enumerate(bundle.systems):
        _check_system(f"{name}.systems[{index}]", system, given)


def _check_system(name: str, system: SystemInput, given: Mapping[str, Any]) -> None:
    kind(SystemInput)(name, system, given)
    _check_crystal(f"{name}.crystal", system.crystal)
    positive(f"{name}.max_kinetic_energy", system.max_kinetic_energy, given)
    count(f"{name}.n_bands", system.n_bands, given)
    require_array(f"{name}.k_points", system.k_points, ("kpt", 3))
    for field, axes in _per_level(len(system.k_points), system.n_bands):
        values = getattr(system, field)
        if values is not None:
            require_shape(f"{name}.{field}", values, axes)
    for field in ("k_weights", "band_weights"):
        values = getattr(system, field)
        require_array(f"{name}.{field}", values, np.shape(values), "numbers >= 0", _not_negative)
    for field in ("valence_band", "conduction_band", "relative_band"):
        band = getattr(system, field)
        if band is not None:
            require_index(f"{name}.{field}", band, system.n_bands, "the system")


def _per_level(n_k: int, n_bands: int) -> Iterator[tuple[str, Axes]]:
    """The fields of a system that have a number per k-point, band or both."""
    yield "k_weights", (n_k,)
    yield "band_weights", (n_bands,)
    yield "reference_energies", (n_k, n_bands)
    yield "band_order", (n_k, n_bands)
    yield "path_length", (n_k,)


def _check_crystal(name: str, crystal: Crystal) -> None:
    require_array(f"{name}.lattice", crystal.lattice, (3, 3))
    if np.linalg.det(crystal.lattice) == 0.0:
        raise refuse(f"{name}.lattice", "rows of a plane", "three independent rows")
    positions = crystal.fractional_positions
    require_array(f"{name}.fractional_positions", positions, (len(crystal.symbols), 3))


def _not_negative(values: np.ndarray) -> np.ndarray:
    return values >= 0
