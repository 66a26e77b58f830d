"""Keys of NN_config.par: what the potential is made of."""

from pydantic import Field

from deeppseudopot_jax.settings.kinds import KeyGroup, NumberOfKnots, PositiveFloat, PositiveInt


class Channels(KeyGroup):
    """Systems and channels of the potential."""

    n_systems: PositiveInt = Field(alias="nSystem")
    """How many systems there are: X of the files counts from 0 to nSystem - 1."""
    spin_orbit: bool = Field(False, alias="SObool")
    """Spinors, with the spin-orbit (a5) and nonlocal (a6, a7) channels."""
    cache_spin_orbit: bool = Field(True, alias="cacheSO")
    """Keep spin-orbit matrices in the memory of the PyTorch code."""
    long_range_gamma: PositiveFloat = Field(0.2, alias="LRgamma")
    """gamma in Bohr^-1 of the tail -a4 (4 pi / q^2) exp(-q^2 / 4 gamma^2)."""
    strain: bool = Field(False, alias="strainBool")
    """Deformed crystals feel the strain coefficient a8."""
    train_long_range: bool = Field(False, alias="trainLR")
    """Train a4; every system stays neutral."""
    train_spin_orbit: bool = Field(False, alias="trainSO")
    """Train a5; needs SObool = 1."""
    train_nonlocal: bool = Field(False, alias="trainNL")
    """Train a6 and a7; needs SObool = 1."""
    train_strain: bool = Field(False, alias="trainStrain")
    """Train a8; needs strainBool = 1 and deformation potentials in the cost."""


class Model(KeyGroup):
    """Model of the local potential.

    [Models](models.md) has their formulas and what each needs.
    """

    model: str = Field(alias="PPmodel")
    """Name of the model; ZeroFunction is the Zunger form itself."""
    hidden_layers: tuple[PositiveInt, ...] = Field((), alias="hiddenLayers")
    """Widths of the hidden layers of a network, which needs them."""
    decay_rate: float | None = Field(None, alias="PPmodel_decay_rate")
    """Rate in Bohr of the logistic envelope."""
    decay_center: float | None = Field(None, alias="PPmodel_decay_center")
    """Centre in Bohr^-1 of the logistic envelope."""
    gaussian_std: PositiveFloat | None = Field(None, alias="PPmodel_gaussian_std")
    """Standard deviation in Bohr^-1 of the Gaussian envelope."""
    scale: tuple[float, ...] | None = Field(None, alias="PPmodel_scale")
    """A factor per species, sorted by symbol, on the output of a scale model."""
    n_frequencies: PositiveInt | None = Field(None, alias="PPmodel_n_frequencies")
    """Number of lengths r_n of a Fourier network."""
    model_range: PositiveFloat | None = Field(None, alias="PPmodel_range")
    """Largest length in Bohr of a Fourier network: the range of v(r) that it resolves."""
    n_knots: NumberOfKnots | None = Field(None, alias="PPmodel_n_knots")
    """Number of knots of BSpline, from q = 0 to the largest difference of plane waves."""
