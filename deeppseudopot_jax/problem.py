"""A fitting problem: everything that does not depend on the parameters, built once."""

import math
from dataclasses import replace
from typing import Literal, get_args

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, PartitionSpec
from jaxtyping import Array, Float, Int

from deeppseudopot_jax.arguments import checked, count, kind, one_of, optional
from deeppseudopot_jax.band_curves import ByOverlaps, Following, Rule, Smooth, reference_curves
from deeppseudopot_jax.basis import plane_waves
from deeppseudopot_jax.batching import SystemGroup, group_systems, laid_out
from deeppseudopot_jax.bundle_arguments import whole_bundle
from deeppseudopot_jax.crystal import reciprocal_lattice
from deeppseudopot_jax.eigensolvers.interface import Solver
from deeppseudopot_jax.eigensolvers.iterative import iterative
from deeppseudopot_jax.errors import InputError
from deeppseudopot_jax.hamiltonian.assemble import Channels, SeparableChannel
from deeppseudopot_jax.hamiltonian.nonlocal_ import nonlocal_channel
from deeppseudopot_jax.hamiltonian.spin_orbit import spin_orbit_channel
from deeppseudopot_jax.hamiltonian.tables import UnpaddedTables
from deeppseudopot_jax.k_path import straight_pieces
from deeppseudopot_jax.numerics import host_array
from deeppseudopot_jax.parallel import best_system_split, device_mesh, layout_of, placed
from deeppseudopot_jax.potentials.compose import LocalModel
from deeppseudopot_jax.potentials.networks import network_model
from deeppseudopot_jax.potentials.zunger import ZungerModel
from deeppseudopot_jax.records import record, static
from deeppseudopot_jax.resources import check_tables
from deeppseudopot_jax.settings import Settings
from deeppseudopot_jax.types import Bundle, SystemInput

Precision = Literal["float64", "float32"]
LocalName = Literal["network", "zunger"]

_WAVE_VECTOR_MARGIN = 1.3
"""Radial functions reach this far beyond the largest |k+G|, for strained crystals and other k."""


@record
class Target:
    """What one system is compared with; energies in eV.

    Levels of held-out k-points have the weight 0, and the one that they would have otherwise in
    `held_out_weights`, which is None where nothing is held out of any system. `n_fitted` counts
    the k-points that are not held out. `following` tells how the order of the bands is found anew
    at every potential, where neither energy nor a fixed `band_order` rules it.
    """

    weights: Float[Array, "kpt band"]
    held_out_weights: Float[Array, "kpt band"] | None
    reference: Float[Array, "kpt band"] | None
    band_order: Int[Array, "kpt band"] | None
    following: Following | None
    name: str = static()
    n_k: int = static()
    n_fitted: int = static()
    n_bands: int = static()
    relative_band: int | None = static()
    valence_band: int | None = static()
    conduction_band: int | None = static()

    @property
    def by_energy(self) -> bool:
        """Whether the bands of the cost ascend."""
        return self.band_order is None and self.following is None


@record
class Penalty:
    """One penalty on v(q): where it starts and how strong it is; strength <= 0 switches it off."""

    start: float = static()
    strength: float = static()


@record
class Problem:
    """Systems, channels and targets: a pytree, to be passed as an argument to jitted functions.

    `composition` counts the atoms of every species in every system; species are sorted by symbol.
    `n_waves` are the plane waves of every system (the longest set where each k-point has its own).
    """

    groups: tuple[SystemGroup, ...]
    channels: Channels
    targets: tuple[Target, ...]
    composition: Float[Array, "system species"]
    tail_penalty: Penalty
    magnitude_penalty: Penalty
    species: tuple[str, ...] = static()
    solver: Solver = static()
    n_waves: tuple[int, ...] = static()
    cut_off_by_reference: tuple[int, ...] = static()

    @property
    def local(self) -> LocalModel:
        """The short-range local model."""
        return self.channels.local

    @property
    def dtype(self) -> jnp.dtype:
        """Real dtype of all arrays."""
        return self.composition.dtype

    @property
    def precision(self) -> Precision:
        """The name of `dtype`."""
        return "float32" if self.dtype == jnp.float32 else "float64"

    @property
    def holds_out(self) -> bool:
        """Whether any k-point of any system is held out of the fit."""
        return any(target.held_out_weights is not None for target in self.targets)

    @property
    def follows(self) -> frozenset[Rule]:
        """The rules by which bands of any system are followed; empty where all orders are fixed."""
        return frozenset(t.following.rule for t in self.targets if t.following is not None)

    @property
    def follows_vectors(self) -> bool:
        """Whether the order of the bands follows from wave functions."""
        return any(rule.needs_vectors for rule in self.follows)

    @property
    def mesh(self) -> Mesh | None:
        """The devices that hold the problem; None where it is one."""
        layout = self.groups[0].layout
        return None if layout is None else layout.mesh


_with_checks = checked(
    bundle=whole_bundle,
    local=optional(one_of(*get_args(LocalName))),
    precision=one_of(*get_args(Precision)),
    solver=kind(Solver),
)


@_with_checks
def build_problem(
    bundle: Bundle,
    local: LocalName | None = None,
    precision: Precision = "float64",
    solver: Solver = iterative,
) -> Problem:
    """Tables of every system of a bundle, on the default device.

    Args:
        bundle: what `read_bundle` returned.
        local: the local potential, a `network` (PPmodel) or the `zunger` form; by default the
            Zunger form where PPmodel is ZeroFunction, else the network.
        precision: dtype of all arrays.
        solver: eigensolver for every k-point; `eigensolvers.dense.dense` is the reference.

    Raises:
        InputError: if `local` or `precision` is unknown, the arrays of the bundle do not belong
            together, the model's options are incomplete, or a basis is too small for the bands
            asked for.
    """
    problem: Problem = jax.tree.map(jnp.asarray, on_the_host(bundle, local, precision, solver))
    return problem


@_with_checks
def on_the_host(
    bundle: Bundle,
    local: LocalName | None = None,
    precision: Precision = "float64",
    solver: Solver = iterative,
) -> Problem:
    """What `build_problem` builds, still in NumPy: for `distribute`, which places it once."""
    check_tables(bundle)
    settings = bundle.settings
    model = local_model(bundle, local)
    dtype = jnp.dtype(precision)
    n_spin = 2 if settings.spin_orbit else 1
    tables, levels = [], []
    for system in bundle.systems:
        waves = plane_waves(
            system.crystal, system.max_kinetic_energy, settings.basis_sphere, system.k_points
        )
        n_levels = system.n_bands if settings.spin_orbit else -(-system.n_bands // 2)
        available = n_spin * int(waves.mask.sum(axis=1).min())
        if n_levels > available:
            raise InputError(
                f"input_{system.index}.par: nBands = {system.n_bands} needs {n_levels} levels, but "
                f"maxKE = {system.max_kinetic_energy} gives only {available} plane waves"
            )
        tables.append(
            UnpaddedTables(system.crystal, system.k_points, waves, bundle.species, n_spin)
        )
        levels.append(n_levels)
    separable: tuple[SeparableChannel, ...] = ()
    if settings.spin_orbit:
        reach = _WAVE_VECTOR_MARGIN * max(_largest_wave_vector(s) for s in bundle.systems)
        separable = (spin_orbit_channel(reach, dtype), nonlocal_channel(reach, dtype))
    composition = [
        [system.crystal.symbols.count(symbol) for symbol in bundle.species]
        for system in bundle.systems
    ]
    return Problem(
        groups=group_systems(tables, levels, dtype),
        channels=Channels(separable, model, settings.long_range_gamma, settings.strain),
        targets=_targets(bundle.systems, settings, dtype),
        composition=host_array(composition, dtype),
        tail_penalty=Penalty(settings.tail_start or 0.0, settings.tail_strength),
        magnitude_penalty=Penalty(settings.magnitude_threshold or 0.0, settings.magnitude_strength),
        species=bundle.species,
        solver=solver,
        n_waves=tuple(int(t.waves.mask.sum(axis=1).max()) for t in tables),
        cut_off_by_reference=tuple(t.waves.cut_off_by_reference for t in tables),
    )


@checked(problem=kind(Problem), replicas=count)
def distribute(problem: Problem, replicas: int = 1) -> Problem:
    """The same problem on all devices of all processes, systems and k-points split among them.

    With several processes every one of them has to call this, with the same problem. On a single
    device nothing changes.

    Args:
        problem: from `build_problem`.
        replicas: parts that the devices are split into for replicas, each with the whole problem.

    Raises:
        InputError: if `replicas` is no number >= 1 that divides the number of devices.
    """
    devices = jax.devices()
    if len(devices) == 1:
        placed_once: Problem = jax.tree.map(jnp.asarray, problem)
        return placed_once
    sizes = [
        (len(group.members), max(group.n_k), group.tables.dimension) for group in problem.groups
    ]
    n_systems = best_system_split(sizes, max(1, len(devices) // replicas))
    mesh = device_mesh(devices, n_systems, replicas)
    groups = tuple(laid_out(group, layout_of(mesh, len(group.members))) for group in problem.groups)
    rest: Problem = placed(mesh, PartitionSpec(), replace(problem, groups=()))
    return replace(rest, groups=groups)


def with_local(problem: Problem, local: LocalModel) -> Problem:
    """The same problem with another short-range local model; no table depends on it."""
    changed: Problem = replace(problem, channels=replace(problem.channels, local=local))
    return changed


def local_model(bundle: Bundle, local: LocalName | None = None) -> LocalModel:
    """The short-range local model by its name, or as `build_problem` chooses it."""
    cutoff = max(system.max_kinetic_energy for system in bundle.systems)
    return local_model_of(bundle.settings, len(bundle.species), cutoff, local)


def local_model_of(
    settings: Settings, n_species: int, max_kinetic_energy: float, local: LocalName | None = None
) -> LocalModel:
    """The same of settings alone; `max_kinetic_energy` (Ha) is the largest of all systems."""
    if local is None:
        local = "zunger" if settings.trains_coefficients else "network"
    if local == "zunger":
        return ZungerModel(n_species)
    return network_model(settings, n_species, _largest_difference(max_kinetic_energy))


def _largest_wave_vector(system: SystemInput) -> float:
    """Bound on |k+G| (Bohr^-1) for k anywhere in the first reciprocal cell or in the list."""
    reciprocal = reciprocal_lattice(system.crystal.lattice)
    k_lengths = np.linalg.norm(system.k_points @ reciprocal, axis=1)
    cell = np.linalg.norm(reciprocal, axis=1).max()
    return float(np.sqrt(2.0 * system.max_kinetic_energy) + max(k_lengths.max(), cell))


def _largest_difference(max_kinetic_energy: float) -> float:
    """Bound on |G - G'| (Bohr^-1), rounded up to a tenth: 2 sqrt(2 maxKE)."""
    return math.ceil(20.0 * math.sqrt(2.0 * max_kinetic_energy)) / 10.0


def _targets(
    systems: tuple[SystemInput, ...], settings: Settings, dtype: jnp.dtype
) -> tuple[Target, ...]:
    holds_out = not all(system.is_fitted.all() for system in systems)
    return tuple(
        _target(system, dtype, holds_out, _following(system, settings)) for system in systems
    )


def following_rule(settings: Settings) -> Rule | None:
    """How bands without an order matrix are followed along the path; None where they ascend."""
    if settings.smooth_reorder:
        return Smooth()
    return ByOverlaps() if settings.eigenvector_reorder else None


def _following(system: SystemInput, settings: Settings) -> Following | None:
    rule, reference = following_rule(settings), system.reference_energies
    if rule is None or reference is None or system.band_order is not None:
        return None
    pieces = straight_pieces(system.k_points, system.crystal.lattice)
    weights = system.level_weights + system.held_out_weights
    columns = reference_curves(reference, weights, 1 if settings.spin_orbit else 2, pieces, rule)
    integer = jnp.dtype("int32")
    arrays = host_array(pieces, integer), host_array(columns, integer)
    return Following(*arrays, rule=rule, n_pieces=int(pieces[-1]) + 1)


def _target(
    system: SystemInput, dtype: jnp.dtype, holds_out: bool, following: Following | None
) -> Target:
    reference, order = system.reference_energies, system.band_order
    return Target(
        weights=host_array(system.level_weights, dtype),
        held_out_weights=host_array(system.held_out_weights, dtype) if holds_out else None,
        reference=None if reference is None else host_array(reference, dtype),
        band_order=None if order is None else host_array(order, jnp.dtype("int32")),
        following=following,
        name=system.name,
        n_k=len(system.k_points),
        n_fitted=int(system.is_fitted.sum()),
        n_bands=system.n_bands,
        relative_band=system.relative_band,
        valence_band=system.valence_band,
        conduction_band=system.conduction_band,
    )
