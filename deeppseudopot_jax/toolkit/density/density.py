"""The charge density of some bands: which k-points, summed how, checked and written."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from deeppseudopot_jax.crystal import cell_volume
from deeppseudopot_jax.errors import InputError
from deeppseudopot_jax.files.results.density_plots import LineCut, PlaneCut
from deeppseudopot_jax.files.results.states import StateSets
from deeppseudopot_jax.observables.density import (
    Grid,
    band_densities,
    electron_density,
    fast_grid,
    smallest_grid,
    symmetrized,
)
from deeppseudopot_jax.resources import spelled as bytes_spelled
from deeppseudopot_jax.run.checks.capabilities import check_initialised
from deeppseudopot_jax.run.checks.plan import plan_of
from deeppseudopot_jax.run.checks.potential import evaluation_of
from deeppseudopot_jax.run.checks.resources import available_memory, check_resources
from deeppseudopot_jax.space_group import KMesh, Operations
from deeppseudopot_jax.toolkit.density.bands import (
    chosen_bands,
    cut_multiplets,
    electrons_of,
    spelled,
)
from deeppseudopot_jax.toolkit.density.cuts import line_cut, line_of, plane_cut, plane_of
from deeppseudopot_jax.toolkit.density.k_points import KPoints, k_points_of
from deeppseudopot_jax.toolkit.density.source import Solving, Source, reading, system_alone
from deeppseudopot_jax.types import Crystal


@dataclass(frozen=True)
class Choice:
    """What a density is of.

    Attributes:
        system: number of the system.
        bands: "first:end" without its end; the occupied ones (0 to idxVB) where nothing is said.
        single_bands: bands by their numbers instead.
        grid: points along the lattice vectors; the smallest fast grid without aliasing if None.
        k_points: where in the Brillouin zone.
        per_band: whether the densities of single levels are kept too.
        per_k: whether those of single k-points are.
        plane: a plane to look at, as `cuts.plane_of` reads it.
        line: a line to look at, as `cuts.line_of` reads it.
    """

    system: int = 0
    bands: str | None = None
    single_bands: tuple[int, ...] = ()
    grid: Grid | None = None
    k_points: KPoints = field(default_factory=KPoints)
    per_band: bool = False
    per_k: bool = False
    plane: str | None = None
    line: str | None = None


@dataclass(frozen=True, eq=False)
class ChargeDensity:
    """A density in electrons per Bohr^3; grid point (i, j, l) is the fraction (i/n1, j/n2, l/n3).

    Weights add up to 1. `electrons` are those of every level; `per_band` has the levels that hold
    any, `per_k` the densities of single k-points, which are not unfolded. `operations` is how many
    have been averaged over, `plane` and `line` are the cuts asked for, and `remarks` is what a user
    should know.
    """

    crystal: Crystal
    total: Float[np.ndarray, "n1 n2 n3"]
    bands: tuple[int, ...]
    electrons: Float[np.ndarray, " level"]
    k_points: Float[np.ndarray, "kpt 3"]
    weights: Float[np.ndarray, " kpt"]
    energies: Float[np.ndarray, "kpt level"]
    per_band: Float[np.ndarray, "level n1 n2 n3"] | None = None
    per_k: Float[np.ndarray, "kpt n1 n2 n3"] | None = None
    operations: int = 1
    plane: PlaneCut | None = None
    line: LineCut | None = None
    remarks: tuple[str, ...] = field(default=())

    @property
    def n_electrons(self) -> float:
        """Of the chosen bands, in one cell."""
        return float(self.electrons.sum())

    @property
    def integral(self) -> float:
        """Of the density over the cell."""
        return float(self.total.mean()) * cell_volume(self.crystal.lattice)


def charge_density(
    inputs: Path | str,
    choice: Choice = Choice(),
    potential: Path | str | None = None,
    states: Path | str | None = None,
) -> ChargeDensity:
    """rho(r) = sum_k w_k sum_n f_n sum_s |psi_nks(r)|^2 of a bundle's potential.

    The weights of the k-points are normalised.

    Args:
        inputs: folder with the bundle.
        choice: bands, k-points and grid.
        potential: results folder of a run, whose potential is taken.
        states: a file of `eval --save-states`, whose states are taken instead of solving.

    Raises:
        BundleError: listing everything wrong with the inputs.
        InputError: if the choice, or the file of states, does not fit them.
        UnsupportedError: if the potential is a network that nobody has trained.
        NumericalError: if a state is not found.
    """
    _check_choice(choice, potential, states)
    plan, taken = evaluation_of(inputs, potential)
    bundle = plan.bundle
    if not 0 <= choice.system < len(bundle.systems):
        raise InputError(
            f"--system: found {choice.system}; legal: 0 to {len(bundle.systems) - 1} (nSystem)"
        )
    system, is_spinor = bundle.systems[choice.system], bundle.settings.spin_orbit
    bands = chosen_bands(system, choice.bands, choice.single_bands)
    electrons = electrons_of(bands, is_spinor)
    plane = None if choice.plane is None else plane_of(choice.plane, system.crystal)
    line = None if choice.line is None else line_of(choice.line, system.crystal)
    if states is not None:
        source: Source = reading(Path(states), system, is_spinor, len(electrons))
        mesh, remarks = k_points_of(bundle, system, source.sets, choice.k_points)
    else:
        check_initialised(plan)
        mesh, remarks = k_points_of(bundle, system, None, choice.k_points)
        # One level more tells whether the last one belongs to a multiplet.
        n_bands = min(system.n_bands, (len(electrons) + 1) * (1 if is_spinor else 2))
        system = replace(
            system_alone(system, n_bands), k_points=mesh.k_points, k_weights=mesh.weights
        )
        check_resources([plan_of(replace(bundle, systems=(system,)), "eval")], "float64")
        source = Solving(bundle, system, taken)
    grid = _grid(source.sets, choice)
    _check_memory(source.sets, electrons, grid, choice)
    remarks = (f"States: {source.name}.", *remarks)
    density = _summed(source, mesh, bands, electrons, grid, choice, remarks)
    return replace(
        density,
        plane=None if plane is None else plane_cut(density.total, plane, system.crystal),
        line=None if line is None else line_cut(density.total, line, system.crystal),
    )


def _check_choice(choice: Choice, potential: Path | str | None, states: Path | str | None) -> None:
    asked = choice.k_points
    if states is not None and potential is not None:
        raise InputError("--states and --potential: found both; legal: one of them")
    if states is not None and asked.mesh is not None:
        raise InputError("--states and --mesh: found both; legal: the k-points of the file")
    if asked.mesh is not None and asked.symmetrize:
        raise InputError("--mesh and --symmetrize: found both; legal: one of them (--mesh unfolds)")
    if asked.half_step and asked.mesh is None:
        raise InputError("--half-step: found without --mesh; legal: with it")
    for name, sizes in (("--mesh", asked.mesh), ("--grid", choice.grid)):
        if sizes is not None and min(sizes) < 1:
            raise InputError(f"{name}: found {' '.join(map(str, sizes))}; legal: numbers >= 1")


def _grid(sets: StateSets, choice: Choice) -> Grid:
    spans = [smallest_grid(sets.waves_at(k)) for k in range(len(sets.integers))]
    n1, n2, n3 = (max(each) for each in zip(*spans, strict=True))
    if choice.grid is None:
        return fast_grid((n1, n2, n3))
    if any(given < n for given, n in zip(choice.grid, (n1, n2, n3), strict=True)):
        raise InputError(
            f"--grid: found {' '.join(map(str, choice.grid))}; legal: at least {n1} {n2} {n3}, or "
            "the density of these plane waves is aliased"
        )
    return choice.grid


def _check_memory(sets: StateSets, electrons: np.ndarray, grid: Grid, choice: Choice) -> None:
    kept = 6.0 + 4.0 * 2.0 * (1 + sets.is_spinor)  # totals; a band's waves while transformed
    kept += 2.0 * np.count_nonzero(electrons) * choice.per_band
    kept += len(sets.k_points) * choice.per_k
    needed, free = 8.0 * float(np.prod(np.array(grid, float))) * kept, available_memory()
    if needed > free:
        raise InputError(
            f"a density on {' x '.join(map(str, grid))} points takes {bytes_spelled(needed)}; this "
            f"machine has {bytes_spelled(free)}: legal: a smaller --grid, without --per-band or "
            "--per-k"
        )


def _summed(
    source: Source,
    mesh: KMesh,
    bands: Sequence[int],
    electrons: np.ndarray,
    grid: Grid,
    choice: Choice,
    remarks: Sequence[str],
) -> ChargeDensity:
    """The sum over k-points, one after the other."""
    crystal, n_levels = source.sets.crystal, len(electrons)
    volume = jnp.asarray(cell_volume(crystal.lattice))
    holding = np.flatnonzero(electrons)
    total = np.zeros(grid)
    per_band = np.zeros((len(holding), *grid)) if choice.per_band else None
    per_k = np.zeros((len(mesh.weights), *grid)) if choice.per_k else None
    energies, cut, n_dense = [], [], 0
    for k, found in enumerate(source.states()):
        weight, waves = mesh.weights[k], jnp.asarray(found.integers)
        states = jnp.asarray(found.coefficients[holding])
        n_dense += found.dense_fallbacks
        if per_band is None:
            held = jnp.asarray(electrons[holding])
            here = np.asarray(electron_density(states, held, waves, volume, grid))
        else:
            each = np.asarray(band_densities(states, waves, volume, grid))
            each = electrons[holding, None, None, None] * each
            per_band += weight * each
            here = each.sum(axis=0)
        total += weight * here
        if per_k is not None:
            per_k[k] = here
        energies.append(found.energies[:n_levels])
        if cut_multiplets(found.energies, electrons):
            cut.append(k)
    if n_dense:
        remarks = (*remarks, f"{n_dense} k-points did not converge and were solved densely.")
    if cut:
        remarks = (
            *remarks,
            f"A multiplet is cut by {spelled(bands)} at {len(cut)} of {len(energies)} k-points "
            f"(the first is {cut[0]}): there the density depends on which of its states the solver "
            "has found.",
        )
    if len(mesh.operations) > 1:
        total = _unfolded(total, mesh.operations)
        if per_band is not None:
            for density in per_band:
                density[...] = _unfolded(density, mesh.operations)
    return ChargeDensity(
        crystal, total, tuple(bands), electrons, mesh.k_points, mesh.weights, np.array(energies),
        per_band, per_k, len(mesh.operations), remarks=tuple(remarks),
    )  # fmt: skip


def _unfolded(density: np.ndarray, operations: Operations) -> np.ndarray:
    return np.asarray(
        symmetrized(
            jnp.asarray(density),
            jnp.asarray(operations.rotations),
            jnp.asarray(operations.translations),
        )
    )
