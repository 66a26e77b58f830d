"""Rules between keys: combinations that no run could honour."""

from dataclasses import dataclass
from itertools import pairwise

from deeppseudopot_jax.settings.schema import Keys
from deeppseudopot_jax.stages import hand_over_a_curve, spelled, wrong_with


@dataclass(frozen=True)
class Violation:
    """A rule between keys that is not kept; `fields` are the settings it is about."""

    fields: tuple[str, ...]
    message: str


def rule_violations(settings: Keys) -> list[Violation]:
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
    if settings.smooth_reorder and settings.eigenvector_reorder:
        violations.append(
            Violation(
                ("smooth_reorder", "eigenvector_reorder"),
                "smooth_reorder = 1 together with eigvec_reorder = 1: both rule the order of the "
                "bands, choose one",
            )
        )
    if settings.optimizer == "lbfgs" and settings.ensemble_size > 1:
        violations.append(
            Violation(
                ("optimizer", "ensemble_size"),
                "optimizer = lbfgs together with ensemble_size > 1: a line search takes another "
                "number of trials in every fit; choose another optimizer or ensemble_size = 1",
            )
        )
    for field, on in (
        ("train_spin_orbit", settings.train_spin_orbit),
        ("train_nonlocal", settings.train_nonlocal),
    ):
        if on and not settings.spin_orbit:
            key = Keys.model_fields[field].alias
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
        (
            settings.pre_adjust_moves > 0 and settings.learning_rate is None,
            "pre_adjust_moves",
            "pre_adjust_moves > 0 without optimizer_lr",
            ["pre_adjust_step_size"] if settings.max_epochs > 0 else [],
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


def _stage_violations(settings: Keys) -> list[Violation]:
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


def _tempering_violations(settings: Keys) -> list[Violation]:
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


def _missing(settings: Keys, field: str, reason: str, needs: list[str]) -> list[Violation]:
    """One violation per setting of `needs` that `reason` makes necessary and nobody gave."""
    return [
        Violation((field, name), f"{reason} needs the key {Keys.model_fields[name].alias}")
        for name in needs
        if getattr(settings, name) in (None, ())
    ]
