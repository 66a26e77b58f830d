"""The settings of a run: every key of NN_config.par with its type, range and default.

A field's alias is the key as users write it. `bundle.config` parses files into this schema; the
core reads attributes and never sees a file.
"""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, model_validator

NonNegativeInt = Annotated[int, Field(ge=0)]
PositiveFloat = Annotated[float, Field(gt=0)]
Fraction = Annotated[float, Field(ge=0, lt=1)]

OptimizerName = Literal[
    "adam", "sgd", "asgd", "lbfgs", "adadelta", "adagrad", "adamw", "sparseadam", "adamax",
    "nadam", "radam", "rmsprop",
]  # fmt: skip


class Settings(BaseModel):
    """Every key of NN_config.par; lengths in Bohr, wave vectors in Bohr^-1, energies in eV."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    # execution
    num_cores: NonNegativeInt = Field(0, alias="num_cores")
    separate_k_gradients: bool = Field(True, alias="separateKptGrad")
    gradient_checkpointing: bool = Field(False, alias="checkpoint")
    show_plots: bool = Field(False, alias="SHOWPLOTS")
    log_memory: bool = Field(False, alias="memory_flag")
    log_runtime: bool = Field(False, alias="runtime_flag")
    log_gradients: bool = Field(False, alias="printGrad")

    # channels
    n_systems: PositiveInt = Field(alias="nSystem")
    spin_orbit: bool = Field(False, alias="SObool")
    cache_spin_orbit: bool = Field(True, alias="cacheSO")
    long_range_gamma: PositiveFloat = Field(0.2, alias="LRgamma")
    strain: bool = Field(False, alias="strainBool")
    train_long_range: bool = Field(False, alias="trainLR")
    train_spin_orbit: bool = Field(False, alias="trainSO")
    train_nonlocal: bool = Field(False, alias="trainNL")
    train_strain: bool = Field(False, alias="trainStrain")

    # model
    model: str = Field(alias="PPmodel")
    hidden_layers: tuple[PositiveInt, ...] = Field(alias="hiddenLayers")
    decay_rate: float | None = Field(None, alias="PPmodel_decay_rate")
    decay_center: float | None = Field(None, alias="PPmodel_decay_center")
    gaussian_std: PositiveFloat | None = Field(None, alias="PPmodel_gaussian_std")
    scale: tuple[float, ...] | None = Field(None, alias="PPmodel_scale")

    # penalties on v(q); off while the strength is not positive
    tail_start: float | None = Field(None, alias="penalize_starting")
    tail_strength: float = Field(0.0, alias="penalize_lambda")
    magnitude_threshold: float | None = Field(None, alias="penalize_mag_threshold")
    magnitude_strength: float = Field(0.0, alias="penalize_mag_lambda")

    # initialisation
    init_epochs: NonNegativeInt = Field(0, alias="init_Zunger_num_epochs")
    init_optimizer: Literal["adam", "sgd"] = Field("adam", alias="init_Zunger_optimizer")
    init_learning_rate: PositiveFloat | None = Field(None, alias="init_Zunger_optimizer_lr")
    init_scheduler_gamma: PositiveFloat | None = Field(None, alias="init_Zunger_scheduler_gamma")
    init_plot_every: PositiveInt | None = Field(None, alias="init_Zunger_plotEvery")
    init_log_gradients: bool = Field(False, alias="init_Zunger_printGrad")
    force_retrain: bool = Field(False, alias="force_retrain")

    # gradient training
    max_epochs: NonNegativeInt = Field(0, alias="max_num_epochs")
    optimizer: OptimizerName = Field("adam", alias="optimizer")
    learning_rate: PositiveFloat | None = Field(None, alias="optimizer_lr")
    sgd_momentum: Fraction = Field(0.0, alias="sgd_momentum")
    adam_beta1: Fraction = Field(0.9, alias="adam_beta1")
    adam_beta2: Fraction = Field(0.999, alias="adam_beta2")
    scheduler_gamma: PositiveFloat | None = Field(None, alias="scheduler_gamma")
    scheduler_step: PositiveInt | None = Field(None, alias="schedulerStep")
    plot_every: PositiveInt | None = Field(None, alias="plotEvery")
    patience: PositiveInt | None = Field(None, alias="patience")
    perturb_every: int = Field(-1, alias="perturbEvery")
    pre_adjust_moves: NonNegativeInt = Field(0, alias="pre_adjust_moves")
    pre_adjust_step_size: PositiveFloat | None = Field(None, alias="pre_adjust_stepSize")

    # Monte Carlo
    monte_carlo: bool = Field(False, alias="mc_bool")
    mc_iterations: PositiveInt | None = Field(None, alias="mc_iter")
    mc_perturb_mode: Annotated[int, Field(ge=1, le=7)] = Field(1, alias="mc_perturb_mode")
    mc_fraction: PositiveFloat | None = Field(None, alias="mc_percentage")
    mc_beta: PositiveFloat | None = Field(None, alias="mc_beta")
    mc_beta_schedule: Path | None = Field(None, alias="mc_beta_schedule")

    # band order
    smooth_reorder: bool = Field(False, alias="smooth_reorder")
    eigenvector_reorder: bool = Field(False, alias="eigvec_reorder")
    relative_band: NonNegativeInt | None = Field(None, alias="relE_bIdx")

    # basis, randomness, output grids
    basis_sphere: Literal["G", "kG"] = Field("G", alias="basis_sphere")
    seed: NonNegativeInt = Field(0, alias="seed")
    q_max: PositiveFloat = Field(20.0, alias="qmax")
    n_q: Annotated[int, Field(ge=2)] = Field(2048, alias="nQGrid")
    n_r: Annotated[int, Field(ge=2)] = Field(2048, alias="nRGrid")
    r_max: PositiveFloat = Field(25.0, alias="Rmax")

    @property
    def trains_coefficients(self) -> bool:
        """Whether the Zunger coefficients themselves are the local potential (ZeroFunction)."""
        return self.model == "ZeroFunction"

    @model_validator(mode="after")
    def _rules_between_keys(self) -> Self:
        """Refuse combinations that no stage could honour, all at once."""
        problems = []
        if self.monte_carlo and self.max_epochs > 0:
            problems.append(
                "mc_bool = 1 together with max_num_epochs > 0: choose Monte Carlo "
                "(max_num_epochs = 0) or gradient training (mc_bool = 0)"
            )
        problems += _missing(self, self.max_epochs > 0, "max_num_epochs > 0", _GRADIENT_NEEDS)
        problems += _missing(self, self.monte_carlo, "mc_bool = 1", _MONTE_CARLO_NEEDS)
        problems += _missing(self, self.init_epochs > 0, "init_Zunger_num_epochs > 0", _INIT_NEEDS)
        problems += _missing(self, self.tail_strength > 0, "penalize_lambda > 0", ["tail_start"])
        problems += _missing(
            self, self.magnitude_strength > 0, "penalize_mag_lambda > 0", ["magnitude_threshold"]
        )
        if problems:
            raise ValueError("\n".join(problems))
        return self


_GRADIENT_NEEDS = ["learning_rate", "plot_every", "scheduler_step", "scheduler_gamma"]
_MONTE_CARLO_NEEDS = ["mc_iterations", "mc_fraction", "mc_beta"]
_INIT_NEEDS = ["init_learning_rate", "init_scheduler_gamma", "init_plot_every"]


def _missing(settings: Settings, active: bool, reason: str, fields: list[str]) -> list[str]:
    """One sentence per key that `reason` makes necessary and the file does not give."""
    if not active:
        return []
    keys = {name: Settings.model_fields[name].alias for name in fields}
    return [
        f"{reason} needs the key {key}"
        for name, key in keys.items()
        if getattr(settings, name) is None
    ]
