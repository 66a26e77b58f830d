"""The settings of a run: every key of NN_config.par with its type, range and default.

A field's alias is the key as users write it. `bundle.config` parses files into this schema; the
core reads attributes and never sees a file.
"""

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from deeppseudopot_jax.stages import (
    NO_NETWORK,
    StageName,
    fit_coefficients,
    hand_over_a_curve,
    spelled,
    wrong_with,
)

LARGEST_COUNT = 2**31 - 1
"""Of what is counted: counters of compiled programs have 32 bits."""

PositiveInt = Annotated[int, Field(gt=0, le=LARGEST_COUNT)]
NonNegativeInt = Annotated[int, Field(ge=0, le=LARGEST_COUNT)]
Seed = Annotated[int, Field(ge=0, lt=2**63)]
GridSize = Annotated[int, Field(ge=2, le=LARGEST_COUNT)]
GridEnd = Annotated[float, Field(gt=0, le=1e6)]
PositiveFloat = Annotated[float, Field(gt=0)]
NonNegativeFloat = Annotated[float, Field(ge=0)]
Fraction = Annotated[float, Field(ge=0, lt=1)]
# With fewer knots no spline of degree 3 ends smoothly.
NumberOfKnots = Annotated[int, Field(ge=3, le=LARGEST_COUNT)]

OptimizerName = Literal[
    "adam", "sgd", "lm", "asgd", "lbfgs", "adadelta", "adagrad", "adamw", "sparseadam", "adamax",
    "nadam", "radam", "rmsprop",
]  # fmt: skip


class Settings(BaseModel):
    """Every key of NN_config.par; lengths in Bohr, wave vectors in Bohr^-1, energies in eV."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", populate_by_name=True, allow_inf_nan=False
    )

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
    hidden_layers: tuple[PositiveInt, ...] = Field((), alias="hiddenLayers")
    decay_rate: float | None = Field(None, alias="PPmodel_decay_rate")
    decay_center: float | None = Field(None, alias="PPmodel_decay_center")
    gaussian_std: PositiveFloat | None = Field(None, alias="PPmodel_gaussian_std")
    scale: tuple[float, ...] | None = Field(None, alias="PPmodel_scale")
    n_frequencies: PositiveInt | None = Field(None, alias="PPmodel_n_frequencies")
    model_range: PositiveFloat | None = Field(None, alias="PPmodel_range")
    n_knots: NumberOfKnots | None = Field(None, alias="PPmodel_n_knots")

    # penalties on v(q); off while the strength is not positive
    tail_start: float | None = Field(None, alias="penalize_starting")
    tail_strength: float = Field(0.0, alias="penalize_lambda")
    magnitude_threshold: float | None = Field(None, alias="penalize_mag_threshold")
    magnitude_strength: float = Field(0.0, alias="penalize_mag_lambda")

    # priors on v(q) and on coefficients; off while 0
    prior_roughness: NonNegativeFloat = Field(0.0, alias="prior_roughness")
    prior_range: NonNegativeFloat = Field(0.0, alias="prior_range")
    prior_width: NonNegativeFloat = Field(0.0, alias="prior_width")

    # initialisation
    init_epochs: NonNegativeInt = Field(0, alias="init_Zunger_num_epochs")
    init_optimizer: Literal["adam", "sgd"] = Field("adam", alias="init_Zunger_optimizer")
    init_learning_rate: PositiveFloat | None = Field(None, alias="init_Zunger_optimizer_lr")
    init_scheduler_gamma: PositiveFloat | None = Field(None, alias="init_Zunger_scheduler_gamma")
    init_plot_every: PositiveInt | None = Field(None, alias="init_Zunger_plotEvery")
    init_log_gradients: bool = Field(False, alias="init_Zunger_printGrad")
    force_retrain: bool = Field(False, alias="force_retrain")

    # fits that follow each other
    stages: tuple[StageName, ...] = Field((), alias="stages")

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
    ensemble_size: PositiveInt = Field(1, alias="ensemble_size")
    ensemble_spread: PositiveFloat = Field(0.1, alias="ensemble_spread")
    perturb_every: Annotated[int, Field(ge=-1, le=LARGEST_COUNT)] = Field(-1, alias="perturbEvery")
    pre_adjust_moves: NonNegativeInt = Field(0, alias="pre_adjust_moves")
    pre_adjust_step_size: PositiveFloat | None = Field(None, alias="pre_adjust_stepSize")

    # held out of the fit
    validation_k: GridSize | None = Field(None, alias="validation_k")
    validation_systems: tuple[NonNegativeInt, ...] = Field((), alias="validation_systems")

    # Monte Carlo
    monte_carlo: bool = Field(False, alias="mc_bool")
    mc_iterations: PositiveInt | None = Field(None, alias="mc_iter")
    mc_perturb_mode: Annotated[int, Field(ge=1, le=7)] = Field(1, alias="mc_perturb_mode")
    mc_fraction: PositiveFloat | None = Field(None, alias="mc_percentage")
    mc_beta: PositiveFloat | None = Field(None, alias="mc_beta")
    mc_beta_schedule: Path | None = Field(None, alias="mc_beta_schedule")
    mc_replicas: PositiveInt = Field(1, alias="mc_replicas")
    mc_betas: tuple[PositiveFloat, ...] = Field((), alias="mc_betas")
    mc_swap_every: PositiveInt = Field(10, alias="mc_swap_every")
    mc_burn_in: NonNegativeInt = Field(0, alias="mc_burn_in")
    mc_delayed_acceptance: bool = Field(False, alias="mc_delayed_acceptance")

    # band order
    smooth_reorder: bool = Field(False, alias="smooth_reorder")
    eigenvector_reorder: bool = Field(False, alias="eigvec_reorder")
    relative_band: NonNegativeInt | None = Field(None, alias="relE_bIdx")

    # basis, randomness, output grids
    basis_sphere: Literal["G", "G_full", "kG"] = Field("G", alias="basis_sphere")
    seed: Seed = Field(0, alias="seed")
    q_max: GridEnd = Field(20.0, alias="qmax")
    n_q: GridSize = Field(2048, alias="nQGrid")
    n_r: GridSize = Field(2048, alias="nRGrid")
    r_max: GridEnd = Field(25.0, alias="Rmax")

    @property
    def trains_coefficients(self) -> bool:
        """Whether the Zunger coefficients themselves are the local potential (ZeroFunction)."""
        return self.model == NO_NETWORK

    @property
    def fits(self) -> bool:
        """Whether anything is fitted to the references, by whatever method."""
        return self.monte_carlo or self.max_epochs > 0 or bool(self.stages)

    @property
    def by_stage(self) -> tuple["Settings", ...]:
        """The settings of every stage as a run of its own; only these where `stages` is absent."""
        found, has_weights = [], False
        coefficients = fit_coefficients(self.stages, self.model)
        for name, of_coefficients in zip(self.stages, coefficients, strict=True):
            own: dict[str, object] = {"stages": (), "monte_carlo": name == "monte_carlo"}
            if name == "monte_carlo":
                own["max_epochs"] = 0
            if of_coefficients:
                own["model"] = NO_NETWORK
            if has_weights:  # those of the stage before, to go on with
                own["force_retrain"] = False
            has_weights = not of_coefficients
            found.append(self.model_copy(update=own))
        return tuple(found) or (self,)

    @property
    def is_linear(self) -> bool:
        """Whether v(q) is linear in its weights: no hidden layers, fits to curves are solved."""
        return self.model == "BSpline"

    @property
    def least_squares(self) -> bool:
        """Whether a training makes damped Gauss-Newton steps, which have no learning rate."""
        return self.optimizer == "lm"

    def changed(self) -> dict[str, str]:
        """Every key that is not at its default and its value, both as NN_config.par spells them."""
        values = {name: getattr(self, name) for name in type(self).model_fields}
        return {
            str(info.alias): _spelled(values[name])
            for name, info in type(self).model_fields.items()
            if values[name] != info.default
        }

    @model_validator(mode="after")
    def _rules_between_keys(self) -> "Settings":
        """Refuse combinations that no stage could honour, all at once."""
        violations = rule_violations(self)
        if violations:
            raise ValueError("\n".join(violation.message for violation in violations))
        return self


def _spelled(value: object) -> str:
    if isinstance(value, tuple):
        return " ".join(map(str, value))
    return str(int(value)) if isinstance(value, bool) else str(value)


@dataclass(frozen=True)
class Violation:
    """A rule between keys that is not kept; `fields` are the settings it is about."""

    fields: tuple[str, ...]
    message: str


def rule_violations(settings: Settings) -> list[Violation]:
    """Every rule between keys that `settings` breaks."""
    violations = _stage_violations(settings) if settings.stages else []
    if settings.monte_carlo and not settings.stages and settings.max_epochs > 0:
        violations.append(
            Violation(
                ("monte_carlo", "max_epochs"),
                "mc_bool = 1 together with max_num_epochs > 0: choose Monte Carlo "
                "(max_num_epochs = 0) or gradient training (mc_bool = 0)",
            )
        )
    if settings.perturb_every == 0:
        violations.append(
            Violation(("perturb_every",), "perturbEvery = 0: a number of epochs, or -1 for never")
        )
    for field, on in (
        ("train_spin_orbit", settings.train_spin_orbit),
        ("train_nonlocal", settings.train_nonlocal),
    ):
        if on and not settings.spin_orbit:
            key = Settings.model_fields[field].alias
            violations.append(Violation((field, "spin_orbit"), f"{key} = 1 needs SObool = 1"))
    for active, field, reason, needs in (
        (
            settings.max_epochs > 0,
            "max_epochs",
            "max_num_epochs > 0",
            ["plot_every"] if settings.least_squares else _GRADIENT_NEEDS,
        ),
        (
            settings.monte_carlo or "monte_carlo" in settings.stages,
            "stages" if settings.stages else "monte_carlo",
            spelled(settings.stages) if settings.stages else "mc_bool = 1",
            _MONTE_CARLO_NEEDS,
        ),
        (
            settings.init_epochs > 0 and not settings.is_linear,
            "init_epochs",
            "init_Zunger_num_epochs > 0",
            _INIT_NEEDS,
        ),
        (settings.tail_strength > 0, "tail_strength", "penalize_lambda > 0", ["tail_start"]),
        (
            settings.magnitude_strength > 0,
            "magnitude_strength",
            "penalize_mag_lambda > 0",
            ["magnitude_threshold"],
        ),
        (
            not (settings.trains_coefficients or settings.is_linear),
            "model",
            f"PPmodel = {settings.model}",
            ["hidden_layers"],
        ),
    ):
        if active:
            violations += _missing(settings, field, reason, needs)
    for stage in settings.by_stage:
        if stage.monte_carlo:
            violations += _tempering_violations(stage)
    return list(dict.fromkeys(violations))  # stages may break the same rule


def _stage_violations(settings: Settings) -> list[Violation]:
    """Rules of the key `stages`."""
    key = spelled(settings.stages)
    trains = any(name != "monte_carlo" for name in settings.stages)
    rules = [
        (
            settings.monte_carlo,
            ("stages", "monte_carlo"),
            f"mc_bool = 1 together with {key}: the stage monte_carlo says it, leave mc_bool out",
        ),
        (
            trains and settings.max_epochs == 0,
            ("stages", "max_epochs"),
            f"{key} needs max_num_epochs > 0, the epochs of every stage that is not monte_carlo",
        ),
        (
            not trains and settings.max_epochs > 0,
            ("stages", "max_epochs"),
            f"max_num_epochs > 0 together with {key}, which trains nothing: leave one of them out",
        ),
        (
            hand_over_a_curve(settings.stages, settings.model) and settings.init_epochs == 0,
            ("stages", "init_epochs"),
            f"{key} needs init_Zunger_num_epochs > 0: the network is fitted to the curve of the "
            "stage before it",
        ),
    ]
    wrong = [Violation(("stages", "model"), m) for m in wrong_with(settings.stages, settings.model)]
    return wrong + [Violation(fields, message) for broken, fields, message in rules if broken]


def _tempering_violations(settings: Settings) -> list[Violation]:
    """Rules of parallel tempering; coefficients may have their betas from mcOpts*.par."""
    n, betas = settings.mc_replicas, settings.mc_betas
    from_files = settings.trains_coefficients and not betas
    rules = [
        (
            n > 1 and settings.mc_beta_schedule is not None,
            ("mc_replicas", "mc_beta_schedule"),
            "mc_beta_schedule is for one replica: with mc_replicas > 1 every one has its own beta",
        ),
        (
            n == 1 and bool(betas),
            ("mc_replicas", "mc_betas"),
            "mc_betas needs mc_replicas > 1; the beta of one replica is mc_beta",
        ),
        (
            n > 1 and len(betas) not in (2, n) and not from_files,
            ("mc_replicas", "mc_betas"),
            f"mc_replicas = {n} needs the key mc_betas: {n} numbers, or the first and the last",
        ),
        (
            any(a <= b for a, b in pairwise(betas)),
            ("mc_betas",),
            "mc_betas must descend, the coldest replica first",
        ),
        (
            settings.mc_burn_in > 0 and n < 3,
            ("mc_replicas", "mc_burn_in"),
            "mc_burn_in adapts the betas between the ends: it needs mc_replicas > 2",
        ),
    ]
    return [Violation(fields, message) for broken, fields, message in rules if broken]


_GRADIENT_NEEDS = ["learning_rate", "plot_every", "scheduler_step", "scheduler_gamma"]
_MONTE_CARLO_NEEDS = ["mc_iterations", "mc_fraction", "mc_beta"]
_INIT_NEEDS = ["init_learning_rate", "init_scheduler_gamma", "init_plot_every"]


def _missing(settings: Settings, field: str, reason: str, needs: list[str]) -> list[Violation]:
    """One violation per setting of `needs` that `reason` makes necessary and nobody gave."""
    return [
        Violation((field, name), f"{reason} needs the key {Settings.model_fields[name].alias}")
        for name in needs
        if getattr(settings, name) in (None, ())
    ]
