"""Effective masses at the band edges that the bands themselves have: tensors by k.p theory.

This runs on the host, between compiled programs, as `observables.evaluation` does: one k-point of
one system is solved at a time.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from deeppseudopot_jax.batching import SystemGroup
from deeppseudopot_jax.eigensolvers.response import DEGENERATE, REACH
from deeppseudopot_jax.hamiltonian.assemble import AtK, Field, SeparableChannel
from deeppseudopot_jax.observables.hamiltonians import Hamiltonians
from deeppseudopot_jax.observables.masses import curvatures_of_levels
from deeppseudopot_jax.observables.observable import Observable, known, place, unknown
from deeppseudopot_jax.observables.points import Points, point_of
from deeppseudopot_jax.parallel import gathered, on_host
from deeppseudopot_jax.types import SystemInput
from deeppseudopot_jax.units import HARTREE_IN_EV

DIRECTIONS = {
    "100": (1.0, 0.0, 0.0),
    "010": (0.0, 1.0, 0.0),
    "001": (0.0, 0.0, 1.0),
    "011": (0.0, 1.0, 1.0),
    "101": (1.0, 0.0, 1.0),
    "110": (1.0, 1.0, 0.0),
    "111": (1.0, 1.0, 1.0),
}
"""Cartesian; six determine a tensor, and the last one tells whether there is any."""

_COMPONENTS = {"xx": (0, 0), "yy": (1, 1), "zz": (2, 2), "yz": (1, 2), "xz": (0, 2), "xy": (0, 1)}

_NO_TENSOR = 1e-3
"""Of the largest curvature: a band that differs by more from the quadratic form is warped."""


class Edge(NamedTuple):
    """A band edge: the states at its k-point that are degenerate with it, one of every two.

    Bands are counted by energy. `sign` turns a curvature into that of the particle's energy.
    """

    name: str
    sign: float
    k_point: int
    bands: tuple[int, ...]


def edge_masses(
    everywhere: Hamiltonians,
    system_index: int,
    system: SystemInput,
    bands: Float[np.ndarray, "kpt band"],
) -> list[Observable]:
    """Principal masses of hole and electron, and their inverse tensors, at the edges of the bands.

    Where several bands meet at an edge, or one has a kink, no tensor exists: then the masses along
    `DIRECTIONS` are given. Cartesian axes; the hole's masses are those of -E.

    Args:
        everywhere: H of all systems, from `prepared`; every process has to call this.
        system_index: of the system.
        system: the same.
        bands: its bands (eV), in their order.

    Returns:
        Nothing where input_X.par does not name both band edges.
    """
    edges = band_edges(system, bands)
    if not edges:
        return []
    group_index, group = _group_of(everywhere, system_index)
    levels = sorted({band * group.tables.n_spin // 2 for edge in edges for band in edge.bands})
    # A spin pair at least, and room for one that bands and masses judge differently.
    width = 2 + 2 * max(len(edge.bands) for edge in edges)
    curvatures = {}
    for k_point in sorted({edge.k_point for edge in edges}):
        position = group.members.index(system_index)
        point = on_host(
            _point(
                group, everywhere.separable, everywhere.fields[group_index],
                jnp.asarray(position), jnp.asarray(k_point),
            )
        )  # fmt: skip
        axes, directions = (jnp.asarray(x, point.k_point.dtype) for x in (np.eye(3), _units()))
        solver, n = everywhere.solver, group.n_levels
        found = _curvatures(solver, n, tuple(levels), point, axes, directions, width=width)
        curvatures[k_point] = np.asarray(found, np.float64)
    masses: list[Observable] = []
    for edge in edges:
        columns = [levels.index(band * group.tables.n_spin // 2) for band in edge.bands]
        masses += _of_edge(system, edge, edge.sign * curvatures[edge.k_point][:, columns])
    return masses


def band_edges(system: SystemInput, bands: Float[np.ndarray, "kpt band"]) -> tuple[Edge, ...]:
    """The valence maximum and the conduction minimum; none where one of them is not named."""
    valence, conduction = system.valence_band, system.conduction_band
    if valence is None or conduction is None:
        return ()
    top, bottom = int(np.argmax(bands[:, valence])), int(np.argmin(bands[:, conduction]))
    return (
        Edge("hole", -1.0, top, _members(system, bands, top, valence, -2)),
        Edge("electron", 1.0, bottom, _members(system, bands, bottom, conduction, 2)),
    )


def _members(
    system: SystemInput, bands: np.ndarray, k_point: int, band: int, step: int
) -> tuple[int, ...]:
    """The band, and what is degenerate with it on its side of the gap: one of every spin pair."""
    energies = np.sort(bands[k_point])
    if system.band_order is not None:
        band = int(system.band_order[k_point, band])
    others = range(band, -1 if step < 0 else len(energies), step)
    near = DEGENERATE * HARTREE_IN_EV
    return tuple(other for other in others if abs(energies[other] - energies[band]) <= near)


def _of_edge(
    system: SystemInput, edge: Edge, curvatures: Float[np.ndarray, "direction band"]
) -> list[Observable]:
    where = place(system, edge.k_point)
    if not np.isfinite(curvatures).all():
        return [
            unknown(
                "masses", f"{edge.name} principal mass", "m_e",
                f"{where}: the states or their response did not converge, or more than "
                f"{REACH + 1} levels are degenerate",
            )
        ]  # fmt: skip
    inverse = None if len(edge.bands) > 1 else _inverse_tensor(curvatures[:, 0])
    if inverse is None:
        return [
            _mass(f"{edge.name} mass [{direction}] band {band}", where, curvature)
            for band, column in zip(edge.bands, curvatures.T, strict=True)
            for direction, curvature in zip(DIRECTIONS, column, strict=True)
        ]
    principal = [
        _mass(f"{edge.name} principal mass {number}", where, curvature)
        for number, curvature in enumerate(np.linalg.eigvalsh(inverse)[::-1], 1)
    ]
    components = [
        Observable(
            group="masses",
            name=f"{edge.name} inverse mass {name}",
            unit="1/m_e",
            value=float(inverse[component]),
            where=where,
        )
        for name, component in _COMPONENTS.items()
    ]
    return principal + components


def _inverse_tensor(curvatures: Float[np.ndarray, " direction"]) -> np.ndarray | None:
    """The symmetric matrix whose quadratic form the curvatures are; None where they are of none."""
    x, y, z, yz, xz, xy, xyz = curvatures
    found = np.diag([x, y, z])
    found[0, 1] = found[1, 0] = xy - (x + y) / 2.0
    found[0, 2] = found[2, 0] = xz - (x + z) / 2.0
    found[1, 2] = found[2, 1] = yz - (y + z) / 2.0
    warped = abs(found.sum() / 3.0 - xyz) > _NO_TENSOR * np.abs(curvatures).max()
    return None if warped else found


def _mass(name: str, where: str, curvature: float) -> Observable:
    value = known(1.0 / curvature) if curvature else None
    note = "" if value is not None else "the band is flat"
    return Observable(group="masses", name=name, unit="m_e", value=value, where=where, note=note)


def _units() -> Float[np.ndarray, "direction 3"]:
    vectors = np.array(list(DIRECTIONS.values()))
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def _group_of(everywhere: Hamiltonians, system_index: int) -> tuple[int, SystemGroup]:
    pairs = enumerate(everywhere.groups)
    return next((i, group) for i, group in pairs if system_index in group.members)


@jax.jit
def _point(
    group: SystemGroup,
    separable: tuple[SeparableChannel, ...],
    field: Field,
    position: Int[Array, ""],
    k_point: Int[Array, ""],
) -> AtK:
    """What H at a k-point of the group's system at `position` is made of, whole on every device."""
    tables, k_points, field = jax.tree.map(
        lambda leaf: leaf[position], (group.tables, group.k_points, field)
    )
    return gathered(group.layout, point_of(Points(tables, k_points), separable, field, k_point))


_curvatures = jax.jit(curvatures_of_levels, static_argnums=(0, 1, 2), static_argnames="width")
