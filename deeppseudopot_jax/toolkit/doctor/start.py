"""Bands of the potential that a run starts from, at a few k-points, and how long they take."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from deeppseudopot_jax.observables.evaluation import evaluate_bands
from deeppseudopot_jax.parallel import on_host
from deeppseudopot_jax.parameters import N_COEFFICIENTS, Parameters, from_coefficients
from deeppseudopot_jax.potentials.compose import LocalModel
from deeppseudopot_jax.potentials.networks import NetworkModel
from deeppseudopot_jax.potentials.state_dict import from_state_dict
from deeppseudopot_jax.problem import Problem, build_problem, local_model, with_local
from deeppseudopot_jax.resources import plane_waves_in_sphere
from deeppseudopot_jax.run.checks.plan import RunPlan
from deeppseudopot_jax.symmetry_points import point_namer
from deeppseudopot_jax.toolkit.doctor.examined import EXTRA_BANDS, StartBands
from deeppseudopot_jax.types import Bundle, SystemInput

LARGER_BASIS = 1.3
"""maxKE that convergence is looked at with, over that of the bundle."""
_MOST_POINTS = 4
_ONE_POINT_FROM, _NONE_FROM = 2000, 12000
"""Rows of H in the larger basis: from here on one k-point is enough, or too much for seconds."""


@dataclass(frozen=True)
class Table:
    """A local potential given by a table of q and v(q), its parameters: straight lines between."""

    n_species: int

    def apply(
        self, parameters: Float[Array, "row column"], q: Float[Array, " q"]
    ) -> Float[Array, "q species"]:
        """v(q) in Ha Bohr^3, constant beyond the ends of the table."""
        columns = [
            jnp.interp(q, parameters[:, 0], parameters[:, 1 + i]) for i in range(self.n_species)
        ]
        return jnp.stack(columns, axis=1)

    def parameter_shapes(self) -> jax.ShapeDtypeStruct:
        """Any number of rows."""
        return jax.ShapeDtypeStruct((2, 1 + self.n_species), jnp.float64)


@dataclass(frozen=True, eq=False)
class Start:
    """The local potential that the bands of a run begin with, beside its channels."""

    bundle: Bundle
    model: LocalModel
    local: object

    def params(self, problem: Problem) -> Parameters:
        """Of all channels."""
        rows = self.bundle.coefficients
        if rows is None:
            rows = np.zeros((len(self.bundle.species), N_COEFFICIENTS))
        return from_coefficients(rows, problem.dtype, self.local)


def start_of(plan: RunPlan) -> Start | None:
    """The potential that a run begins with, or that its initial fit aims at; None where none is.

    Raises:
        InputError: if the weights do not fit PPmodel.
    """
    bundle = plan.bundle
    if plan.initial_fit == "table":
        assert bundle.tabulated_potential is not None
        return Start(bundle, Table(len(bundle.species)), bundle.tabulated_potential)
    if plan.start == "checkpoint" and plan.initial_fit is None:
        model = local_model(bundle)
        assert isinstance(model, NetworkModel) and bundle.model_state is not None
        return Start(bundle, model, from_state_dict(model, bundle.model_state))
    rows = bundle.coefficients
    if rows is None or not rows[:, :4].any():
        return None
    return Start(bundle, local_model(bundle, "zunger"), rows[:, :4])


class Solved(NamedTuple):
    """Bands of every system, and the seconds of a solve per k-point, compiling left out."""

    bands: tuple[StartBands, ...]
    seconds: float


def start_bands(start: Start) -> Solved | None:
    """Bands at up to four symmetry points of every system; None where they would take minutes.

    Energies that are not finite are NaN.
    """
    systems = start.bundle.systems
    rows = max(_rows(system, start.bundle) for system in systems)
    if rows > _NONE_FROM:
        return None
    chosen = [_points(system, 1 if rows > _ONE_POINT_FROM else _MOST_POINTS) for system in systems]
    solve = _solver(start, chosen, 1.0)
    ordinary = solve()  # compiles, too
    begin = time.perf_counter()
    solve()
    seconds = time.perf_counter() - begin
    larger = _solver(start, chosen, LARGER_BASIS)()
    found = []
    for system, points, bands, more in zip(systems, chosen, ordinary, larger, strict=True):
        name_of = point_namer(system.crystal.lattice)
        found.append(
            StartBands(
                points=points,
                labels=tuple(name_of(system.k_points[i]) for i in points),
                bands=bands,
                larger_basis=more[:, : system.n_bands],
                factor=LARGER_BASIS,
            )
        )
    return Solved(tuple(found), seconds / sum(map(len, chosen)))


def _rows(system: SystemInput, bundle: Bundle) -> float:
    energy = LARGER_BASIS * system.max_kinetic_energy
    n_spin = 2 if bundle.settings.spin_orbit else 1
    return n_spin * plane_waves_in_sphere(system.crystal.lattice, energy)


def _points(system: SystemInput, most: int) -> tuple[int, ...]:
    """Symmetry points of different names, fitted ones first, and the first k-point without any."""
    name_of = point_namer(system.crystal.lattice)
    first: dict[str, int] = {}
    for i in np.argsort(~system.is_fitted, kind="stable").tolist():
        if (name := name_of(system.k_points[i])) and name not in first:
            first[name] = i
        if len(first) == most:
            break
    return tuple(sorted(first.values())) or (0,)


def _solver(
    start: Start, points: list[tuple[int, ...]], factor: float
) -> Callable[[], list[np.ndarray]]:
    """Gives the bands of every system in a basis with another maxKE, from scratch at every call."""
    systems = tuple(
        _alone(system, chosen, factor)
        for system, chosen in zip(start.bundle.systems, points, strict=True)
    )
    # Bands in the order of energy, whatever the bundle asks for.
    settings = start.bundle.settings.model_copy(
        update={"smooth_reorder": False, "eigenvector_reorder": False}
    )
    bundle = replace(start.bundle, systems=systems, settings=settings)
    problem = with_local(build_problem(bundle, "zunger"), start.model)
    params = start.params(problem)

    def solve() -> list[np.ndarray]:
        found: list[np.ndarray] = on_host(evaluate_bands(problem, params, False).bands)
        return found

    return solve


def _alone(system: SystemInput, points: tuple[int, ...], factor: float) -> SystemInput:
    """A system with some of its k-points, more bands, and nothing to compare with."""
    n_bands = system.n_bands + EXTRA_BANDS
    return SystemInput(
        index=system.index,
        name=system.name,
        crystal=system.crystal,
        n_bands=n_bands,
        max_kinetic_energy=factor * system.max_kinetic_energy,
        k_points=system.k_points[list(points)],
        k_weights=np.ones(len(points)),
        band_weights=np.ones(n_bands),
    )
