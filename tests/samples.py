"""Bundles made in memory from random or ideal crystals, and the literal answers to them."""

from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from literal import band_energies, hamiltonian, long_range, random_crystal, zunger

from deeppseudopot_jax import energies, energies_at, loss
from deeppseudopot_jax.basis import PlaneWaves, plane_waves
from deeppseudopot_jax.costs.interface import Cost, Evaluated, Term
from deeppseudopot_jax.eigensolvers.interface import States
from deeppseudopot_jax.observables.hamiltonians import hamiltonians
from deeppseudopot_jax.observables.states import solve
from deeppseudopot_jax.parameters import Parameters
from deeppseudopot_jax.problem import Problem
from deeppseudopot_jax.records import record, static
from deeppseudopot_jax.settings import Settings
from deeppseudopot_jax.types import Bundle, Crystal, SystemInput

# Compiled once per structure: run operation by operation the first call takes three times as long.
bands = jax.jit(energies)
bands_at = jax.jit(energies_at, static_argnames="system_index")
cost_and_gradient = jax.jit(jax.value_and_grad(loss, argnums=1))

GAMMA = 0.2  # Bohr^-1, LRgamma's default
TRAINING = {"learning_rate": 0.01, "scheduler_gamma": 0.5, "scheduler_step": 2, "plot_every": 1}


def random_system(
    rng: np.random.Generator,
    symbols: tuple[str, ...] = ("Ga", "As", "Ga"),
    max_kinetic_energy: float = 1.0,
    n_k: int = 2,
    n_bands: int = 6,
    **changes: object,
) -> SystemInput:
    """A triclinic crystal of about 15 plane waves, random k-points, weights and references."""
    lattice, positions = random_crystal(rng, len(symbols))
    record = {
        "index": 0,
        "name": "random",
        "crystal": Crystal(lattice, positions, symbols),
        "n_bands": n_bands,
        "max_kinetic_energy": max_kinetic_energy,
        "k_points": rng.uniform(-0.5, 0.5, size=(n_k, 3)),
        "k_weights": rng.uniform(0.5, 1.5, size=n_k),
        "band_weights": rng.uniform(0.5, 1.5, size=n_bands),
        "reference_energies": np.sort(rng.normal(size=(n_k, n_bands)), axis=1),
    }
    return SystemInput(**(record | changes))


def zinc_blende(
    symbols: tuple[str, str], k_points: list[list[float]], n_bands: int = 8, **changes: object
) -> SystemInput:
    """The ideal zinc-blende (or diamond) crystal, a = 10 Bohr, equal weights, references 0 eV."""
    lattice = 5.0 * (1.0 - np.eye(3))
    positions = np.array([[0.0, 0.0, 0.0], [0.25, 0.25, 0.25]])
    record = {
        "index": 0,
        "name": "zinc blende",
        "crystal": Crystal(lattice, positions, symbols),
        "n_bands": n_bands,
        "max_kinetic_energy": 1.7,
        "k_points": np.array(k_points),
        "k_weights": np.ones(len(k_points)),
        "band_weights": np.ones(n_bands),
        "reference_energies": np.zeros((len(k_points), n_bands)),
    }
    return SystemInput(**(record | changes))


def random_coefficients(rng: np.random.Generator, n_species: int) -> np.ndarray:
    """Nine coefficients a0 .. a8 per species, of ordinary size and without poles of v(q)."""
    low = [-20.0, 1.0, 1.5, 0.2, -0.3, 0.5, -2.0, -2.0, -0.5]
    high = [-5.0, 4.0, 4.0, 0.6, 0.3, 5.0, 2.0, 2.0, 0.5]
    return rng.uniform(low, high, size=(n_species, 9))


def bundle_of(rng: np.random.Generator, *systems: SystemInput, **settings: object) -> Bundle:
    """A bundle of these systems; by default the whole |G| sphere and the Zunger form."""
    chosen = {"model": "ZeroFunction", "basis_sphere": "G_full", "n_systems": len(systems)}
    species = tuple(sorted({symbol for system in systems for symbol in system.crystal.symbols}))
    return Bundle(
        folder=Path("in-memory"),
        settings=Settings(**(chosen | settings)),
        systems=systems,
        species=species,
        coefficients=random_coefficients(rng, len(species)),
    )


@record
class OfParameters:
    """A term of a cost made of a function of the parameters alone."""

    name: ClassVar[str] = "plain"
    function: Callable = static()

    def value(self, problem: Problem, params: Parameters) -> jax.Array:
        return self.function(params)


def cost_of_parameters(function: Callable) -> Cost:
    """A whole cost that knows nothing of bands."""
    return Cost((), (OfParameters(function),))


@jax.jit
def square(term: Term, problem: Problem, params: Parameters, energies: list) -> jax.Array:
    """What a term adds to a cost, from band energies."""
    return jnp.sum(term.residuals(problem, params, Evaluated(energies)) ** 2)


@jax.jit
def states_of(problem: Problem, params: Parameters) -> tuple[States, ...]:
    """All states from scratch."""
    return solve(hamiltonians(problem, params))


def waves_of(system: SystemInput, sphere: str) -> PlaneWaves:
    """The basis of a system."""
    return plane_waves(system.crystal, system.max_kinetic_energy, sphere, system.k_points)


def literal_matrix(
    bundle: Bundle,
    system: SystemInput,
    k_point: np.ndarray,
    crystal: Crystal | None = None,
    integers: np.ndarray | None = None,
    local_scale: float = 1.0,
) -> np.ndarray:
    """H(k) in Ha of one system by the literal double loops, Zunger form and all channels."""
    crystal = crystal or system.crystal
    if integers is None:
        integers = waves_of(system, bundle.settings.basis_sphere).integers[0]
    rows = [bundle.coefficients[bundle.species.index(symbol)] for symbol in crystal.symbols]

    def potential(row: np.ndarray):
        return lambda q: local_scale * (zunger(q, row) + long_range(q, row[4], GAMMA))

    with_spin = bundle.settings.spin_orbit
    return hamiltonian(
        crystal.lattice,
        crystal.fractional_positions,
        [potential(row) for row in rows],
        k_point,
        integers,
        [row[5] for row in rows] if with_spin else None,
        [(row[6], row[7]) for row in rows] if with_spin else None,
    )


def literal_energies(bundle: Bundle, system: SystemInput, **options: object) -> np.ndarray:
    """Band energies (eV) of one system at its k-points from the literal matrices."""
    spin_repeated = not bundle.settings.spin_orbit
    return np.array(
        [
            band_energies(
                literal_matrix(bundle, system, k_point, **options), system.n_bands, spin_repeated
            )
            for k_point in system.k_points
        ]
    )


def slope(function, size: float = 1e-3) -> float:
    """df/dx at x = 0 by the five-point central difference, error of fourth order in `size`."""
    f = {step: float(function(step * size)) for step in (-2, -1, 1, 2)}
    return (8.0 * (f[1] - f[-1]) - (f[2] - f[-2])) / (12.0 * size)
