"""Frozen records that travel between the layers: what a bundle says, before any numerics.

Lengths are in Bohr, kinetic energies in Hartree, band energies in eV, k-points and atomic
positions in fractions of the (reciprocal) lattice vectors. Arrays here are plain NumPy.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import jax
import numpy as np
from jaxtyping import Bool, Float, Int

from deeppseudopot_jax.settings import Settings


@dataclass(frozen=True, eq=False)
class Crystal:
    """A periodic crystal: lattice rows in Bohr, atoms in fractions of them."""

    lattice: Float[np.ndarray, "3 3"]
    fractional_positions: Float[np.ndarray, "atom 3"]
    symbols: tuple[str, ...]


@dataclass(frozen=True)
class PlotRange:
    """Energy windows of the band figures, eV (BS_plot_* keys)."""

    center: float = -5.0
    half_width: float = 10.0
    half_width_zoom: float = 5.0


@jax.tree_util.register_static
@dataclass(frozen=True)
class DeformationTarget:
    """One row of expDefPot_X.par: a transition, or one state where `conduction` is None.

    States are (k-point index, band index); `ratio` is the lattice constant relative to the
    undeformed crystal, `value` the deformation potential in eV. A row is static wherever it is an
    argument of a traced function.
    """

    valence: tuple[int, int]
    conduction: tuple[int, int] | None
    ratio: float
    value: float
    weight: float


@dataclass(frozen=True)
class GapDeformationTargets:
    """The old two-line expDefPot_X.par: valence and conduction band at the gap, 1 % expansion."""

    valence: float
    conduction: float


@dataclass(frozen=True, eq=False)
class CouplingTarget:
    """Electron-phonon couplings (eV/Bohr) of one atom, Cartesian axis and band edge, one per q."""

    atom: int
    symbol: str
    axis: Literal["x", "y", "z"]
    band: Literal["vb", "cb"]
    values: Float[np.ndarray, " q"]


@dataclass(frozen=True, eq=False)
class SystemInput:
    """One system of a bundle: crystal, basis, k-points, reference energies and weights.

    `held_out` marks the k-points that a fit must not see; None where it sees all of them. `labels`
    are the names that kpoints_X.par gives its k-points, "" where it gives none; () without any.
    """

    index: int
    name: str
    crystal: Crystal
    n_bands: int
    max_kinetic_energy: float
    k_points: Float[np.ndarray, "kpt 3"]
    k_weights: Float[np.ndarray, " kpt"]
    band_weights: Float[np.ndarray, " band"]
    band_order: Int[np.ndarray, "kpt band"] | None = None
    path_length: Float[np.ndarray, " kpt"] | None = None
    reference_energies: Float[np.ndarray, "kpt band"] | None = None
    valence_band: int | None = None
    conduction_band: int | None = None
    gap_k_point: int | None = None
    relative_band: int | None = None
    plot_range: PlotRange = field(default_factory=PlotRange)
    fit_deformation: bool = False
    fit_couplings: bool = False
    fit_masses: bool = False
    q_points: Float[np.ndarray, "q 3"] | None = None
    q_weights: Float[np.ndarray, " q"] | None = None
    deformation_targets: tuple[DeformationTarget, ...] | GapDeformationTargets = ()
    coupling_targets: tuple[CouplingTarget, ...] = ()
    held_out: Bool[np.ndarray, " kpt"] | None = None
    labels: tuple[str, ...] = ()

    @property
    def is_fitted(self) -> Bool[np.ndarray, " kpt"]:
        """Which k-points the cost contains."""
        if self.held_out is None:
            return np.ones(len(self.k_points), bool)
        return ~self.held_out

    @property
    def level_weights(self) -> Float[np.ndarray, "kpt band"]:
        """Weight of every level in the cost of the bands; 0 at k-points that are held out."""
        return (self.is_fitted * self.k_weights)[:, None] * self.band_weights

    @property
    def held_out_weights(self) -> Float[np.ndarray, "kpt band"]:
        """The weight that every held-out level would have in the cost; 0 where it has one."""
        return (~self.is_fitted * self.k_weights)[:, None] * self.band_weights

    @property
    def mass_points(self) -> tuple[int, int] | None:
        """The k-points whose energies give the masses: the gap, and a neighbour on the path.

        That is the one before, as in the reference code; the one after, where the gap comes first.
        None where the gap or a band edge is not named.
        """
        gap = self.gap_k_point
        if gap is None or self.valence_band is None or self.conduction_band is None:
            return None
        return gap, gap - 1 if gap > 0 else gap + 1


@dataclass(frozen=True)
class MonteCarloOptions:
    """One mcOpts*.par file: the alternating two-temperature schedule of the Zunger driver."""

    file: str
    betas: tuple[float, float]
    steps_at_temperature: tuple[int, int]
    step_size_factors: tuple[float, float]
    total_iterations: int
    fit_deformation: bool = False
    fit_couplings: bool = False
    fit_masses: bool = False
    optimize_gaps: bool = False
    deformation_weight: float = 1.0
    write_every: int | None = None


@dataclass(frozen=True, eq=False)
class Bundle:
    """Everything an inputs folder says; `notes` are the remarks its user should see.

    `species` is the sorted set of symbols over all systems; `coefficients` holds the nine rows of
    init_<atom>Params.par per species (zeros where a file has fewer), or None where no file exists.
    `model_state` and `optimizer_state` are the contents of init_PPmodel.pth and
    init_AdamState.pth; `tabulated_potential` has columns q, v_species0, v_species1, ... `sources`
    says where coefficients and weights are from that are not those of `folder`.
    """

    folder: Path
    settings: Settings
    systems: tuple[SystemInput, ...]
    species: tuple[str, ...]
    coefficients: Float[np.ndarray, "species 9"] | None = None
    model_state: dict[str, np.ndarray] | None = None
    optimizer_state: dict | None = None
    tabulated_potential: Float[np.ndarray, "q columns"] | None = None
    step_sizes: Float[np.ndarray, "species 9"] | None = None
    monte_carlo_options: tuple[MonteCarloOptions, ...] = ()
    beta_schedule: Float[np.ndarray, "row 2"] | None = None
    sources: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
