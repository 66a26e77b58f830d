"""The parameter-free part of a system: integer tables and geometry, built once with NumPy."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Complex, Float, Int

from deeppseudopot_jax.basis import Differences, PlaneWaves, differences
from deeppseudopot_jax.crystal import cell_volume, reciprocal_lattice
from deeppseudopot_jax.numerics import host_array, pad_rows, repeat_last
from deeppseudopot_jax.records import record, static
from deeppseudopot_jax.types import Crystal


@record
class SystemTables:
    """What H(k) needs to know of a system besides parameters and k; arrays may be padded.

    With `own_sets` every k-point has its own set of plane waves, else one set serves all.
    Padded waves have `wave_mask` False, padded atoms `atom_mask` False, padded differences a
    structure factor of zero. Lengths in Bohr, wave vectors in Bohr^-1.
    """

    reciprocal_lattice: Float[Array, "3 3"]
    volume: Float[Array, ""]
    positions: Float[Array, "atom 3"]
    atom_species: Int[Array, " atom"]
    atom_mask: Bool[Array, " atom"]
    wave_integers: Int[Array, "set wave 3"]
    wave_mask: Bool[Array, "set wave"]
    difference_integers: Int[Array, "difference 3"]
    difference_shell: Int[Array, " difference"]
    shell_radii: Float[Array, " shell"]
    structure_factors: Complex[Array, "species difference"]
    fft_shape: tuple[int, int, int] = static()
    n_spin: int = static()
    own_sets: bool = static()

    @property
    def dimension(self) -> int:
        """Size of the Hamiltonian matrix."""
        return self.n_spin * self.wave_integers.shape[-2]


@dataclass(frozen=True)
class TableSizes:
    """Array sizes of a system's tables; systems padded to the same sizes can share one vmap."""

    waves: int
    differences: int
    shells: int
    atoms: int
    fft_shape: tuple[int, int, int]

    def union(self, other: "TableSizes") -> "TableSizes":
        """The smallest sizes that hold both."""
        n1, n2, n3 = map(max, self.fft_shape, other.fft_shape)
        return TableSizes(
            max(self.waves, other.waves),
            max(self.differences, other.differences),
            max(self.shells, other.shells),
            max(self.atoms, other.atoms),
            (n1, n2, n3),
        )


@dataclass(frozen=True, eq=False)
class UnpaddedTables:
    """NumPy tables of one system in their natural sizes."""

    crystal: Crystal
    k_points: Float[np.ndarray, "kpt 3"]
    waves: PlaneWaves
    species: tuple[str, ...]
    n_spin: int

    @cached_property
    def reciprocal(self) -> np.ndarray:
        """Reciprocal rows (Bohr^-1)."""
        return reciprocal_lattice(self.crystal.lattice)

    @cached_property
    def differences(self) -> Differences:
        """The distinct dG of the basis."""
        return differences(self.waves, self.reciprocal)

    @property
    def sizes(self) -> TableSizes:
        """The sizes without any padding."""
        found = self.differences
        return TableSizes(
            self.waves.n_waves,
            len(found.integers),
            len(found.shell_radii),
            len(self.crystal.symbols),
            found.fft_shape,
        )

    def padded(self, sizes: TableSizes, n_k: int, dtype: jnp.dtype) -> SystemTables:
        """Arrays of the given sizes and real dtype for `n_k` k-points, still in NumPy."""
        crystal, found = self.crystal, self.differences
        atom_species = np.array([self.species.index(symbol) for symbol in crystal.symbols])
        phases = np.exp(2j * np.pi * found.integers @ crystal.fractional_positions.T)
        members = atom_species[:, None] == np.arange(len(self.species))
        structure_factors = pad_rows(phases @ members, sizes.differences).T

        def real(values: np.ndarray | float) -> Any:
            return host_array(values, dtype)

        def integer(values: np.ndarray) -> Any:
            return host_array(values, np.int32)

        n_sets = n_k if self.waves.own_sets else 1
        wave_integers = repeat_last(self.waves.integers, n_sets)
        wave_mask = repeat_last(self.waves.mask, n_sets)
        pad_waves = [(0, 0), (0, sizes.waves - self.waves.n_waves)]
        return SystemTables(
            reciprocal_lattice=real(self.reciprocal),
            volume=real(cell_volume(crystal.lattice)),
            positions=real(pad_rows(crystal.fractional_positions, sizes.atoms)),
            atom_species=integer(pad_rows(atom_species, sizes.atoms)),
            atom_mask=host_array(np.arange(sizes.atoms) < len(atom_species), bool),
            wave_integers=integer(np.pad(wave_integers, [*pad_waves, (0, 0)])),
            wave_mask=host_array(np.pad(wave_mask, pad_waves), bool),
            difference_integers=integer(pad_rows(found.integers, sizes.differences)),
            difference_shell=integer(pad_rows(found.shell, sizes.differences)),
            shell_radii=real(pad_rows(found.shell_radii, sizes.shells)),
            structure_factors=host_array(structure_factors, np.result_type(dtype, np.complex64)),
            fft_shape=sizes.fft_shape,
            n_spin=self.n_spin,
            own_sets=self.waves.own_sets,
        )
