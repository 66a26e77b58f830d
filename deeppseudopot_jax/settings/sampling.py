"""Keys of NN_config.par: Monte Carlo."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from deeppseudopot_jax.settings.kinds import KeyGroup, NonNegativeInt, PositiveFloat, PositiveInt


class MonteCarlo(KeyGroup):
    """Monte Carlo.

    [The guide](monte_carlo.md) explains how to choose.
    """

    monte_carlo: bool = Field(False, alias="mc_bool")
    """Sample exp(-beta sqrt(cost)) instead of training; needs max_num_epochs = 0."""
    mc_iterations: PositiveInt | None = Field(None, alias="mc_iter")
    """Steps of every replica; needed to sample."""
    mc_perturb_mode: Annotated[int, Field(ge=1, le=7)] = Field(1, alias="mc_perturb_mode")
    """Which of the seven moves of a network's weights is made."""
    mc_fraction: PositiveFloat | None = Field(None, alias="mc_percentage")
    """Size eps of these moves; needed to sample."""
    mc_beta: PositiveFloat | None = Field(None, alias="mc_beta")
    """Inverse temperature in 1/eV of a single replica; needed to sample."""
    mc_beta_schedule: Path | None = Field(None, alias="mc_beta_schedule")
    """File in the inputs folder with rows `iteration beta`, of which the last one holds."""
    mc_replicas: PositiveInt = Field(1, alias="mc_replicas")
    """Number of replicas; more than one is parallel tempering."""
    mc_betas: tuple[PositiveFloat, ...] = Field((), alias="mc_betas")
    """Inverse temperatures in 1/eV of the replicas, descending, or the first and the last."""
    mc_swap_every: PositiveInt = Field(10, alias="mc_swap_every")
    """Steps between swaps of neighbouring replicas."""
    mc_burn_in: NonNegativeInt = Field(0, alias="mc_burn_in")
    """Steps at the beginning in which the inverse temperatures adapt."""
    mc_delayed_acceptance: bool = Field(False, alias="mc_delayed_acceptance")
    """Turn most bad moves away by a cheap test first."""
