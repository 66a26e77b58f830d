"""Keys of NN_config.par: what is fitted, from which start, and how."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from deeppseudopot_jax.settings.kinds import (
    LARGEST_COUNT,
    Fraction,
    GridSize,
    KeyGroup,
    NonNegativeFloat,
    NonNegativeInt,
    OptimizerName,
    PositiveFloat,
    PositiveInt,
)
from deeppseudopot_jax.stages import StageName


class Penalties(KeyGroup):
    """Penalties on v(q).

    Off while the strength is not positive.
    """

    tail_start: float | None = Field(None, alias="penalize_starting")
    """q in Bohr^-1 beyond which abs(v) costs; needed with penalize_lambda."""
    tail_strength: float = Field(0.0, alias="penalize_lambda")
    """Strength in eV^2 per Ha Bohr^3 of the penalty on the mean abs(v) of the tail."""
    magnitude_threshold: float | None = Field(None, alias="penalize_mag_threshold")
    """abs(v) in Ha Bohr^3 above which v costs; needed with penalize_mag_lambda."""
    magnitude_strength: float = Field(0.0, alias="penalize_mag_lambda")
    """Strength in eV^2 per Ha Bohr^3 of the penalty on what exceeds the threshold."""


class Priors(KeyGroup):
    """Priors on v(q) and on coefficients.

    Off while 0; [fitting](fitting.md#priors) has the formulas.
    """

    prior_roughness: NonNegativeFloat = Field(0.0, alias="prior_roughness")
    """Keeps v(q) smooth; in eV, larger is stronger, 0.003 recommended."""
    prior_range: NonNegativeFloat = Field(0.0, alias="prior_range")
    """Keeps v(r) short; in eV, larger is stronger, 0.1 recommended."""
    prior_width: NonNegativeFloat = Field(0.0, alias="prior_width")
    """Keeps trained coefficients near their start; in steps, smaller is stronger, 1200
    recommended."""


class Initialisation(KeyGroup):
    """Initial fit of a network.

    To curves v(q), before any bands are looked at.
    """

    init_from: Path | None = Field(None, alias="init_from")
    """Results of a run (../results, ../results/epoch_100) to start from; relative to the inputs."""
    init_epochs: NonNegativeInt = Field(0, alias="init_Zunger_num_epochs")
    """Epochs of the fit to init_qSpace_pot.par or, without it, to the Zunger curves; 0 for none."""
    init_optimizer: Literal["adam", "sgd"] = Field("adam", alias="init_Zunger_optimizer")
    """Optimiser of that fit."""
    init_learning_rate: PositiveFloat | None = Field(None, alias="init_Zunger_optimizer_lr")
    """Its learning rate; needed with init_Zunger_num_epochs."""
    init_scheduler_gamma: PositiveFloat | None = Field(None, alias="init_Zunger_scheduler_gamma")
    """Factor on that rate after every init_Zunger_plotEvery epochs; needed too."""
    init_plot_every: PositiveInt | None = Field(None, alias="init_Zunger_plotEvery")
    """Epochs between two lines of the log of that fit; needed too."""
    init_log_gradients: bool = Field(False, alias="init_Zunger_printGrad")
    """Tell the norms of the gradients of that fit, layer by layer."""
    force_retrain: bool = Field(False, alias="force_retrain")
    """Fit the weights of init_PPmodel.pth to the curves again."""


class Stages(KeyGroup):
    """Fits that follow each other.

    [Stages](fitting.md#stages) has the words.
    """

    stages: tuple[StageName, ...] = Field((), alias="stages")
    """The fits of the run in their order; without it a run is one fit."""


class Training(KeyGroup):
    """Training."""

    max_epochs: NonNegativeInt = Field(0, alias="max_num_epochs")
    """Epochs of the training, for optimizer = lm accepted steps; 0 trains nothing."""
    optimizer: OptimizerName = Field("adam", alias="optimizer")
    """lm is least squares (recommended); the others are those of PyTorch."""
    learning_rate: PositiveFloat | None = Field(None, alias="optimizer_lr")
    """Learning rate; needed by all but lm."""
    sgd_momentum: Fraction = Field(0.0, alias="sgd_momentum")
    """Momentum of sgd and rmsprop."""
    adam_beta1: Fraction = Field(0.9, alias="adam_beta1")
    """Decay of the first moments of adam and its relatives."""
    adam_beta2: Fraction = Field(0.999, alias="adam_beta2")
    """Decay of their second moments."""
    clip_gradient: PositiveFloat | None = Field(None, alias="clip_gradient")
    """Norm to which longer gradients are shortened before the optimiser sees them; not for lm and
    lbfgs."""
    max_cost_increase: Annotated[float, Field(gt=1)] = Field(10.0, alias="max_cost_increase")
    """Steps above the first cost and so often the lowest are taken back, and the rate is halved."""
    scheduler_gamma: PositiveFloat | None = Field(None, alias="scheduler_gamma")
    """Factor on the learning rate after every schedulerStep epochs; needed by all but lm."""
    scheduler_step: PositiveInt | None = Field(None, alias="schedulerStep")
    """Epochs between two changes of the rate; needed by all but lm."""
    plot_every: PositiveInt | None = Field(None, alias="plotEvery")
    """Epochs between two sets of files epoch_<N>_*, and iterations between two mc_iter_<n>_*;
    needed to train."""
    patience: PositiveInt | None = Field(None, alias="patience")
    """Ends the training after so many epochs without a lower cost: of held-out data, if any."""
    ensemble_size: PositiveInt = Field(1, alias="ensemble_size")
    """Number of fits side by side, from different starts."""
    ensemble_spread: PositiveFloat = Field(0.1, alias="ensemble_spread")
    """Relative standard deviation of the starts of an ensemble."""
    perturb_every: Annotated[int, Field(ge=-1, le=LARGEST_COUNT)] = Field(-1, alias="perturbEvery")
    """Updates between random kicks of all trained parameters but a4 and a8, -1 for none."""
    pre_adjust_moves: NonNegativeInt = Field(0, alias="pre_adjust_moves")
    """Moves of the one parameter with the largest gradient before the first epoch."""
    pre_adjust_step_size: PositiveFloat | None = Field(None, alias="pre_adjust_stepSize")
    """Largest length of these moves; without it, optimizer_lr."""


class HeldOut(KeyGroup):
    """Data held out of the fit."""

    validation_k: GridSize | None = Field(None, alias="validation_k")
    """Hold every n-th k-point of every system out."""
    validation_systems: tuple[NonNegativeInt, ...] = Field((), alias="validation_systems")
    """Numbers X of systems that are held out as a whole."""


class BandOrder(KeyGroup):
    """Order of the bands."""

    smooth_reorder: bool = Field(False, alias="smooth_reorder")
    """Compare bands that are followed along the path by extrapolated energies."""
    eigenvector_reorder: bool = Field(False, alias="eigvec_reorder")
    """Compare bands that are followed along the path by overlaps of states."""
    relative_band: NonNegativeInt | None = Field(None, alias="relE_bIdx")
    """Fit energies relative to this band (from 0) at every k; input_X.par may say another one."""
