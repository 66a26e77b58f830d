"""input_X.par: the keys of one system."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from deeppseudopot_jax.files.bundle.key_value import KeyFile, read_keys
from deeppseudopot_jax.files.bundle.text import Document
from deeppseudopot_jax.resources import largest_basis
from deeppseudopot_jax.settings import NonNegativeInt, PositiveFloat, PositiveInt
from deeppseudopot_jax.types import Crystal, PlotRange

MOST_BANDS = 10**5
"""Matrices of so many rows take 160 GB."""

_PLOT = PlotRange()


class InputKeys(BaseModel):
    """Every key of input_X.par; band and k-point indices count from 0."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True
    )

    n_bands: PositiveInt = Field(alias="nBands")
    """Bands of every k-point, from the lowest; without spin-orbit each level counts twice."""
    max_kinetic_energy: PositiveFloat = Field(alias="maxKE")
    """Kinetic energy in Ha up to which plane waves are taken."""
    valence_band: NonNegativeInt | None = Field(None, alias="idxVB")
    """Index of the highest valence band."""
    conduction_band: NonNegativeInt | None = Field(None, alias="idxCB")
    """Index of the lowest conduction band."""
    gap_k_point: NonNegativeInt | None = Field(None, alias="idxGap")
    """Index of the k-point of the gap; its neighbour on the path gives the masses."""
    plot_center: float = Field(_PLOT.center, alias="BS_plot_center")
    """Centre in eV of the band figures."""
    plot_half_width: PositiveFloat = Field(_PLOT.half_width, alias="BS_plot_CBVB_range")
    """Half the height in eV of the figure of all bands."""
    plot_half_width_zoom: PositiveFloat = Field(
        _PLOT.half_width_zoom, alias="BS_plot_CBVB_range_zoom"
    )
    """Half the height in eV of the figure around the gap."""
    name: str | None = Field(None, alias="systemName")
    """Name in log and figures; system_X without it."""
    fit_deformation: bool = Field(False, alias="fit_defPot")
    """The cost has the deformation potentials of expDefPot_X.par."""
    fit_couplings: bool = Field(False, alias="fit_eph")
    """The cost has the couplings of expCoupling_X.par; needs idxVB, idxCB, idxGap."""
    fit_masses: bool = Field(False, alias="fit_eff_masses")
    """The cost has the masses of the reference at the gap; needs idxVB, idxCB, idxGap."""
    relative_band: NonNegativeInt | None = Field(None, alias="relE_bIdx")
    """Fit energies relative to this band at every k, in place of what NN_config.par says."""

    @property
    def plot_range(self) -> PlotRange:
        """The energy windows of the band figures, eV."""
        return PlotRange(self.plot_center, self.plot_half_width, self.plot_half_width_zoom)


def read_input_keys(document: Document) -> KeyFile[InputKeys]:
    """The keys of input_X.par; band indices must be among the bands, valence below conduction."""
    keys = read_keys(document, InputKeys)
    values = keys.values
    for field in ("valence_band", "conduction_band", "relative_band"):
        check_below(keys, field, "nBands", values.n_bands)
    lower, upper = values.valence_band, values.conduction_band
    if lower is not None and upper is not None and lower >= upper:
        keys.problem(
            "the valence band must be below the conduction band",
            "conduction_band",
            found=f"idxVB = {lower}, idxCB = {upper}",
            legal="idxVB < idxCB",
        )
    if values.fit_couplings:
        require_gap(keys, "fit_eph = 1")
    if values.fit_masses:
        require_gap(keys, "fit_eff_masses = 1")
    return keys


def check_band_count(keys: KeyFile[InputKeys], crystal: Crystal) -> None:
    """There cannot be more bands than levels of the plane waves in the box around the sphere.

    How many are in the sphere itself is known once the basis is built.
    """
    n_bands, energy = keys.values.n_bands, keys.values.max_kinetic_energy
    if n_bands is None or energy is None:
        return
    most = 2.0 * largest_basis(crystal.lattice, energy)
    if n_bands > min(most, MOST_BANDS):
        keys.problem(
            "there are not so many bands",
            "n_bands",
            found=str(n_bands),
            legal=f"less than {min(most, MOST_BANDS):.0f} (maxKE = {energy:g})",
        )


def require_gap(keys: KeyFile[InputKeys], reason: str) -> None:
    """The band edges and the gap k-point must be given where `reason` uses them."""
    for field in ("valence_band", "conduction_band", "gap_k_point"):
        if field not in keys.lines:
            keys.problem(f"{reason} needs the key {keys.key(field)}", field)


def check_below(keys: KeyFile[Any], field: str, limit_name: str, limit: int | None) -> None:
    """The index `field` must be below `limit`, as far as both are known."""
    index = getattr(keys.values, field)
    if index is not None and limit is not None and index >= limit:
        keys.problem(
            f"bad value of {keys.key(field)}",
            field,
            found=str(index),
            legal=f"0 to {limit - 1} ({limit_name} = {limit})",
        )
