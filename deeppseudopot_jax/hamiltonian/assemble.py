"""H(k) as a list of terms: it can act on a block of vectors or become a dense matrix."""

from functools import reduce
from operator import add
from typing import ClassVar, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Complex, Float, Int

from deeppseudopot_jax.crystal import deform
from deeppseudopot_jax.hamiltonian.kinetic import Kinetic, kinetic
from deeppseudopot_jax.hamiltonian.local import Local, LocalPotential, local_potential
from deeppseudopot_jax.hamiltonian.tables import SystemTables
from deeppseudopot_jax.numerics import exp_i, safe_norm
from deeppseudopot_jax.parameters import Parameters
from deeppseudopot_jax.potentials.compose import LocalModel, v_of_q
from deeppseudopot_jax.potentials.strain import strain_factor
from deeppseudopot_jax.records import record, static

_LARGEST_DENSE_LOCAL = 2500
"""Plane waves up to which V_loc as a matrix is faster than by FFT (docs/performance.md)."""


@runtime_checkable
class Term(Protocol):
    """One part of H at one k-point; Hermitian, in Hartree."""

    symbol: ClassVar[str]
    """What tables and figures call it."""

    def apply(self, psi: Complex[Array, "spin wave band"]) -> Complex[Array, "spin wave band"]:
        """The term acting on a block of vectors."""
        ...

    def matrix(self, n_spin: int) -> Array:
        """The term as a matrix of dimension n_spin * n_waves."""
        ...

    def expectation(self, psi: Complex[Array, "spin wave band"]) -> Float[Array, " band"]:
        """Expectation value in every vector of a block, differentiable in the term's contents."""
        ...

    def restricted(self, waves: Int[Array, " wave"]) -> "Term":
        """The term among some of the plane waves."""
        ...


@record
class Hamiltonian:
    """The sum of its terms; vectors are columns ordered [all up, all down]."""

    kinetic: Kinetic
    terms: tuple[Term, ...]
    n_spin: int = static()

    @property
    def all_terms(self) -> tuple[Term, ...]:
        """The kinetic energy and what is added to it."""
        return (self.kinetic, *self.terms)

    def apply(self, vectors: Complex[Array, "row band"]) -> Complex[Array, "row band"]:
        """H vectors."""
        psi = vectors.reshape(self.n_spin, -1, vectors.shape[-1])
        return reduce(add, (term.apply(psi) for term in self.all_terms)).reshape(vectors.shape)

    def matrix(self) -> Complex[Array, "row row"]:
        """H as a dense matrix."""
        return reduce(add, (term.matrix(self.n_spin) for term in self.all_terms))

    def kinetic_energies(self) -> Float[Array, " row"]:
        """Of all rows (Ha)."""
        return jnp.tile(self.kinetic.energies, self.n_spin)

    def restricted(self, n: int) -> tuple["Hamiltonian", Int[Array, " row"]]:
        """H among the waves of lowest kinetic energy, `n` rows in all, and those rows."""
        n_waves = self.kinetic.energies.shape[0]
        waves = jnp.argsort(self.kinetic.energies)[: -(-n // self.n_spin)]
        rows = (jnp.arange(self.n_spin)[:, None] * n_waves + waves[None, :]).ravel()
        terms = tuple(term.restricted(waves) for term in self.terms)
        return Hamiltonian(self.kinetic.restricted(waves), terms, self.n_spin), rows

    def expectation(self, vectors: Complex[Array, "row band"]) -> Float[Array, " band"]:
        """<n| H |n> for every column."""
        psi = vectors.reshape(self.n_spin, -1, vectors.shape[-1])
        return reduce(add, (term.expectation(psi) for term in self.all_terms))


@runtime_checkable
class SeparableChannel(Protocol):
    """A part of H made of projectors: linear in coefficients of the atoms, built once."""

    n_coefficients: ClassVar[int]
    """Of every atom."""

    def strength(self, params: Parameters, atom_species: Int[Array, " atom"]) -> Array:
        """The coefficients of every atom, atoms first."""
        ...

    def term(
        self,
        wave_vectors: Float[Array, "wave 3"],
        phases: Complex[Array, "atom wave"],
        strength: Array,
    ) -> Term:
        """The term for wave vectors K = k + G, phases exp(i G . tau) and scaled coefficients."""
        ...


@record
class Channels:
    """What all systems of a problem share: the local model and the separable channels."""

    separable: tuple[SeparableChannel, ...]
    local: LocalModel = static()
    long_range_gamma: float = static()
    strain: bool = static()


@record
class Field:
    """The k-independent half of H, built once per step from the parameters."""

    reciprocal_lattice: Float[Array, "3 3"]
    local: LocalPotential
    local_matrix: Complex[Array, "wave wave"] | None
    strengths: tuple[Array, ...]


def build_field(
    tables: SystemTables,
    channels: Channels,
    params: Parameters,
    strain: Float[Array, "3 3"] | None = None,
) -> Field:
    """Potentials and coefficients of one system, of the crystal deformed by `strain` if given.

    Without strain v(q) is evaluated on the distinct shells only; a general strain splits them, so
    then it is evaluated at every dG.
    """
    gamma = channels.long_range_gamma
    if strain is None:
        reciprocal, volume = tables.reciprocal_lattice, tables.volume
        on_shells = v_of_q(channels.local, params, tables.shell_radii, gamma)
        values = on_shells[tables.difference_shell]
    else:
        reciprocal, volume = deform(tables.reciprocal_lattice, tables.volume, strain)
        q = safe_norm(tables.difference_integers.astype(reciprocal.dtype) @ reciprocal)
        values = v_of_q(channels.local, params, q, gamma)
        if channels.strain:
            values = values * strain_factor(params.strain, volume / tables.volume)[None, :]
    potential = local_potential(tables, values, volume)
    matrix = None
    if not tables.own_sets and tables.wave_mask.shape[-1] <= _LARGEST_DENSE_LOCAL:
        matrix = potential.matrix(tables.wave_integers[0], tables.wave_mask[0])
    return Field(
        reciprocal,
        potential,
        matrix,
        scaled_strengths(tables, channels, params, volume),
    )


def scaled_strengths(
    tables: SystemTables, channels: Channels, params: Parameters, volume: Float[Array, ""]
) -> tuple[Array, ...]:
    """12 pi / Omega times the coefficients of every atom, channel by channel; 0 for padded ones."""
    prefactor = jnp.where(tables.atom_mask, 12.0 * jnp.pi / volume, 0.0)
    strengths = (channel.strength(params, tables.atom_species) for channel in channels.separable)
    return tuple(jax.vmap(jnp.multiply)(prefactor, strength) for strength in strengths)


class AtK(NamedTuple):
    """What H at one k-point (fractional) is made of, in the basis of the given plane waves.

    Nothing in it depends on which model the local potential comes from.
    """

    tables: SystemTables
    separable: tuple[SeparableChannel, ...]
    field: Field
    k_point: Float[Array, "3"]
    integers: Int[Array, "wave 3"]
    mask: Bool[Array, " wave"]


def hamiltonian_at(point: AtK) -> Hamiltonian:
    """H at one k-point."""
    tables, field, integers, mask = point.tables, point.field, point.integers, point.mask
    G = integers.astype(point.k_point.dtype)
    wave_vectors = (point.k_point[None, :] + G) @ field.reciprocal_lattice
    phases = jnp.where(mask, exp_i(2.0 * jnp.pi * (tables.positions @ G.T)), 0.0)
    separable = (
        channel.term(wave_vectors, phases, strength)
        for channel, strength in zip(point.separable, field.strengths, strict=True)
    )
    local = Local(field.local, integers, mask, field.local_matrix)
    return Hamiltonian(kinetic(wave_vectors, mask), (local, *separable), tables.n_spin)
