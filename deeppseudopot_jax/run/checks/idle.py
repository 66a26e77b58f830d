"""What of a bundle has no effect on a run, and why: nothing is silently ignored."""

from collections.abc import Callable

import numpy as np

from deeppseudopot_jax.costs.closeness import trained_columns
from deeppseudopot_jax.parameters import COLUMNS
from deeppseudopot_jax.potentials.catalogue import CATALOGUE
from deeppseudopot_jax.run.checks.plan import RunPlan
from deeppseudopot_jax.settings import Settings
from deeppseudopot_jax.training.adam_family import ADAM_FAMILY
from deeppseudopot_jax.training.optimizers import OPTIMIZERS
from deeppseudopot_jax.types import SystemInput

Reason = Callable[[RunPlan], str]
"""Why a key does not act in a run; empty where it acts, or asks for nothing."""


def remarks(*plans: RunPlan) -> list[str]:
    """One sentence for every reason why keys or files do not act in any of the stages of a run."""
    idle = [_idle_in(plan) for plan in plans]
    keys_of: dict[str, list[str]] = {}
    for key in idle[0]:
        if all(key in of_stage for of_stage in idle):
            reason = _joined([of_stage[key] for of_stage in idle])
            keys_of.setdefault(reason, []).append(key)
    found = [f"no effect of {', '.join(keys)}: {reason}." for reason, keys in keys_of.items()]
    if any(CATALOGUE[plan.settings.model].dropout for plan in plans):
        found.append("the dropout rate is 0, the PyTorch code's default, for which it has no key.")
    return found


def _idle_in(plan: RunPlan) -> dict[str, str]:
    """Keys and files that do not act in one stage, with the reason."""
    given = [name for name in Settings.model_fields if name in plan.settings.model_fields_set]
    idle = [(str(Settings.model_fields[n].alias), WHY_IDLE[n](plan)) for n in given]
    return {key: why for key, why in [*idle, *_other_fits(plan), *_idle_inputs(plan)] if why}


def _joined(reasons: list[str]) -> str:
    """One reason where all stages have the same, else that of every stage."""
    if len(set(reasons)) == 1:
        return reasons[0]
    return "; ".join(f"stage {number}: {reason}" for number, reason in enumerate(reasons, 1))


def _other_fits(plan: RunPlan) -> list[tuple[str, str]]:
    """The keys of input_X.par that ask for a fit to something else than bands, and why in vain."""
    return [
        (f"{key} = 1 (input_{system.index}.par)", _why_no_other_fits(plan, system))
        for system in plan.bundle.systems
        for key, asked in (
            ("fit_defPot", system.fit_deformation),
            ("fit_eph", system.fit_couplings),
            ("fit_eff_masses", system.fit_masses),
        )
        if asked
    ]


def _idle_inputs(plan: RunPlan) -> list[tuple[str, str]]:
    """What is idle of the bundle beside NN_config.par, and why."""
    bundle, found = plan.bundle, []
    for index, system in enumerate(bundle.systems):
        _, couplings, _ = plan.asked.has(index)
        found += _idle_edges(system)
        # Where couplings are given they are computed at the end, whatever is fitted.
        if system.q_points is not None and not (couplings or system.coupling_targets):
            found.append((f"qpoints_{system.index}.par", "no cost of this run contains it"))
    if bundle.monte_carlo_options:
        found.append(("mcOpts*.par", _NO_COEFFICIENT_MOVES(plan)))
    if bundle.step_sizes is not None and not _holds_coefficients(plan):
        found.append(("*ParamSteps.par", _NO_COEFFICIENT_MOVES(plan)))
    if bundle.model_state is not None and bundle.settings.trains_coefficients:
        found.append(("init_PPmodel.pth", _NO_WEIGHTS))
    if bundle.optimizer_state is not None:
        found.append(("init_AdamState.pth", _why_no_moments(plan)))
    if bundle.tabulated_potential is not None:
        found.append(("init_qSpace_pot.par", _why_not_fitted(plan)))
    if bundle.coefficients is not None:
        spin = [bundle.coefficients[:, COLUMNS[name]] for name in ("spin_orbit", "nonlocal")]
        if any(part.any() for part in spin) and not bundle.settings.spin_orbit:
            found.append(("a5, a6, a7", "SObool is 0"))
        if bundle.coefficients[:, COLUMNS["strain"]].any() and _NO_DEFORMATION(plan):
            found.append(("a8", _NO_DEFORMATION(plan)))
    return found


def _idle_edges(system: SystemInput) -> list[tuple[str, str]]:
    """Band edges and gap k-point that name no gap, because the others are missing."""
    edges = {"idxVB": system.valence_band, "idxCB": system.conduction_band}
    missing = [key for key, band in edges.items() if band is None]
    reason = f"a gap needs {' and '.join(missing)} too"
    given = {"idxCB": system.conduction_band, "idxGap": system.gap_k_point}
    file = f"(input_{system.index}.par)"
    return [(f"{key} {file}", reason) for key, i in given.items() if i is not None and missing]


def _why_no_other_fits(plan: RunPlan, system: SystemInput) -> str:
    """Why the keys fit_defPot, fit_eph and fit_eff_masses do not act; empty where they do."""
    if not plan.fits:
        return "nothing is trained"
    if not system.is_fitted.any():
        return "validation_systems holds the whole system out"
    if plan.samples_coefficients:
        return "mcOpts*.par says what the coefficients are fitted to"
    return ""


def _why_not_fitted(plan: RunPlan) -> str:
    """Why no network is fitted to curves v(q) before the training; empty where one is."""
    if plan.initial_fit:
        return ""
    if plan.start == "coefficients":
        return _NO_WEIGHTS
    if plan.settings.init_epochs == 0:
        return "there is no initial fit"
    return "the weights of init_PPmodel.pth are not fitted again (force_retrain = 0)"


def _why_no_moments(plan: RunPlan) -> str:
    """Why Adam does not start from init_AdamState.pth; empty where it does."""
    if plan.restores_moments:
        return ""
    if plan.mode != "gradient":
        return "nothing is trained"
    if plan.start == "coefficients":
        return _NO_WEIGHTS
    if plan.settings.optimizer not in ADAM_FAMILY:
        return f"optimizer = {plan.settings.optimizer}"
    return "force_retrain = 1 starts afresh"


_NO_WEIGHTS = "PPmodel = ZeroFunction has no weights"


def _acts(_: RunPlan) -> str:
    return ""


def _idle(reason: str) -> Reason:
    return lambda _: reason


def _needs(condition: Callable[[RunPlan], object], otherwise: str) -> Reason:
    return lambda plan: "" if condition(plan) else otherwise


def _first(*reasons: Reason) -> Reason:
    return lambda plan: next(filter(None, (reason(plan) for reason in reasons)), "")


def _switch(field: str, reason: Reason) -> Reason:
    """A key that is at its default asks for nothing, whatever the run does."""
    default = Settings.model_fields[field].default
    return lambda p: "" if getattr(p.settings, field) == default else reason(p)


def _model_option(field: str) -> Reason:
    return lambda p: (
        "" if field in CATALOGUE[p.settings.model].needs else f"PPmodel = {p.settings.model}"
    )


def _single_fit(plan: RunPlan) -> bool:
    return plan.settings.ensemble_size == 1


def _disturbs(plan: RunPlan) -> bool:
    """Whether parameters are changed at random on the way or before it."""
    asked = plan.settings.perturb_every > 0 or plan.settings.pre_adjust_moves > 0
    return plan.mode == "gradient" and _single_fit(plan) and asked


def _adjusts_by_rate(plan: RunPlan) -> bool:
    """Whether the learning rate is the length of the moves before the first epoch."""
    without = plan.settings.pre_adjust_step_size is None
    return _disturbs(plan) and plan.settings.pre_adjust_moves > 0 and without


def _has_neutral_moves(plan: RunPlan) -> bool:
    """Whether a4 can change with every system staying neutral."""
    counts = [
        [s.crystal.symbols.count(x) for x in plan.bundle.species] for s in plan.bundle.systems
    ]
    return bool(np.linalg.matrix_rank(np.array(counts)) < len(plan.bundle.species))


def _has_long_range(plan: RunPlan) -> bool:
    rows = plan.bundle.coefficients
    given = rows is not None and bool(rows[:, COLUMNS["long_range"]].any())
    return given or (plan.settings.train_long_range and not WHY_IDLE["train_long_range"](plan))


def _force_retrain(plan: RunPlan) -> str:
    if plan.bundle.model_state is not None and plan.settings.init_epochs == 0:
        return "there is nothing to retrain with init_Zunger_num_epochs = 0"
    return _why_not_fitted(plan) or (
        "there is no init_PPmodel.pth" if plan.bundle.model_state is None else ""
    )


def _mc_options_say(plan: RunPlan) -> str:
    given = plan.settings.trains_coefficients and plan.bundle.monte_carlo_options
    return "mcOpts*.par says it for the coefficients" if given else ""


def _network(plan: RunPlan) -> str:
    return "" if plan.settings.trains_coefficients else "a network moves by the mc_* keys"


def _mean_cost(plan: RunPlan) -> str:
    if plan.samples_coefficients:
        return "the Monte Carlo cost of coefficients has no penalties"
    return ""


def _no_priors(plan: RunPlan) -> str:
    if not plan.fits:
        return "nothing is trained"
    if plan.samples_coefficients:
        return "the Monte Carlo cost of coefficients has no priors"
    return ""


def _no_width(plan: RunPlan) -> str:
    of_local = plan.settings.trains_coefficients
    if _no_priors(plan) or trained_columns(plan.trained_channels, of_local):
        return _no_priors(plan)
    return "no coefficient is trained"


def _holds_coefficients(plan: RunPlan) -> bool:
    return plan.settings.prior_width > 0 and not _no_width(plan)


def _steps_say(plan: RunPlan) -> str:
    return "coefficients move by their step sizes" if plan.settings.trains_coefficients else ""


def _ladder_says(plan: RunPlan) -> str:
    return "every replica has its own beta" if plan.settings.mc_replicas > 1 else ""


_UNDEFORMED = "the energies of undeformed crystals do not depend on it"
_NO_DEFORMATION = _first(
    _needs(lambda p: any(s.deformation_targets for s in p.bundle.systems), _UNDEFORMED),
    _needs(lambda p: p.settings.strain, "strainBool is 0"),
)
_TRAINING = _needs(lambda p: p.mode == "gradient", "nothing is trained")
_ADAM = _first(
    _TRAINING,
    _needs(
        lambda p: p.settings.optimizer in ADAM_FAMILY, f"it belongs to {', '.join(ADAM_FAMILY)}"
    ),
)
_RATES = _first(
    _TRAINING,
    _needs(lambda p: not p.settings.least_squares, "optimizer = lm finds the length of its steps"),
)
_MOMENTUM = _first(
    _TRAINING,
    _needs(lambda p: p.settings.optimizer in ("sgd", "rmsprop"), "it belongs to sgd and rmsprop"),
)
_SINGLE_FIT = _first(
    _TRAINING, _needs(_single_fit, "members of an ensemble go their way undisturbed")
)
_NO_MONTE_CARLO = _needs(lambda p: p.mode == "monte_carlo", "there is no Monte Carlo fit")
_NO_COEFFICIENT_MOVES = _first(_NO_MONTE_CARLO, _network)
_SEVERAL_REPLICAS = _needs(lambda p: p.settings.mc_replicas > 1, "mc_replicas is 1")
_TEMPERING = _first(_NO_MONTE_CARLO, _SEVERAL_REPLICAS)
_FIT = _needs(lambda p: p.fits, "nothing is fitted that could be validated")
_ON_THE_WAY = _first(
    _needs(lambda p: p.fits, "nothing is fitted"),
    _needs(_single_fit, "an ensemble writes no files on its way"),
)
_COST = _needs(lambda p: p.has_references, "there is no reference")
_ORDERED = _needs(
    lambda p: any(
        s.band_order is None and s.reference_energies is not None for s in p.bundle.systems
    ),
    "every system has kpoints_X_orderMatrix.par, or no reference",
)
_TAIL = _needs(lambda p: p.settings.tail_strength > 0, "penalize_lambda is not positive")
_MAGNITUDE = _needs(
    lambda p: p.settings.magnitude_strength > 0, "penalize_mag_lambda is not positive"
)

_STEPS_OF_FIT = _first(
    _why_not_fitted,
    _needs(lambda p: not p.solves_initial_fit, "the initial fit is solved without steps"),
)

WHY_IDLE: dict[str, Reason] = {
    "num_cores": _idle("JAX uses every core; OPENBLAS_NUM_THREADS sets LAPACK's share"),
    "separate_k_gradients": _idle("gradients need no extra memory per k-point here"),
    "gradient_checkpointing": _idle("gradients come from the wave functions in any case"),
    "cache_spin_orbit": _idle("spin-orbit and nonlocal parts are projectors, too small to cache"),
    "show_plots": _idle("figures are written to files and not shown"),
    **dict.fromkeys(("log_memory", "log_runtime", "n_systems", "spin_orbit", "model"), _acts),
    "log_gradients": _switch("log_gradients", _TRAINING),
    "long_range_gamma": _needs(_has_long_range, "every a4 is 0 and stays so"),
    "strain": _switch("strain", _NO_DEFORMATION),
    "train_long_range": _switch(
        "train_long_range",
        _first(_TRAINING, _needs(_has_neutral_moves, "neutrality of the systems fixes every a4")),
    ),
    "train_spin_orbit": _switch("train_spin_orbit", _TRAINING),
    "train_nonlocal": _switch("train_nonlocal", _TRAINING),
    "train_strain": _switch(
        "train_strain",
        _first(_TRAINING, _needs(lambda p: p.asked.deformation, _UNDEFORMED), _NO_DEFORMATION),
    ),
    "hidden_layers": _first(
        _needs(lambda p: not p.settings.trains_coefficients, _NO_WEIGHTS),
        _needs(lambda p: not p.settings.is_linear, "the model is linear in its weights"),
    ),
    **{name: _model_option(name) for name in ("decay_rate", "decay_center", "gaussian_std")},
    **{name: _model_option(name) for name in ("scale", "n_frequencies", "model_range", "n_knots")},
    "tail_start": _first(_TAIL, _COST, _mean_cost),
    "tail_strength": _switch("tail_strength", _first(_TAIL, _COST, _mean_cost)),
    "magnitude_threshold": _first(_MAGNITUDE, _COST, _mean_cost),
    "magnitude_strength": _switch("magnitude_strength", _first(_MAGNITUDE, _COST, _mean_cost)),
    **{name: _switch(name, _no_priors) for name in ("prior_roughness", "prior_range")},
    "prior_width": _switch("prior_width", _no_width),
    "init_epochs": _switch("init_epochs", _why_not_fitted),
    **dict.fromkeys(("init_optimizer", "init_learning_rate"), _STEPS_OF_FIT),
    **dict.fromkeys(("init_scheduler_gamma", "init_plot_every"), _STEPS_OF_FIT),
    "init_log_gradients": _switch("init_log_gradients", _why_not_fitted),
    "force_retrain": _switch("force_retrain", _force_retrain),
    **dict.fromkeys(("stages", "max_epochs", "init_from"), _acts),
    "optimizer": _TRAINING,
    "plot_every": _ON_THE_WAY,
    "movie": _switch("movie", _ON_THE_WAY),
    "patience": _first(
        _TRAINING,
        _needs(
            lambda p: _single_fit(p) or not p.settings.least_squares,
            "members of an ensemble end where least squares has converged",
        ),
    ),
    "ensemble_size": _switch("ensemble_size", _TRAINING),
    "ensemble_spread": _first(
        _TRAINING,
        _needs(lambda p: not _single_fit(p), "ensemble_size is 1"),
        _needs(lambda p: not p.has_random_members, "the members start from random weights"),
    ),
    "learning_rate": lambda plan: "" if _adjusts_by_rate(plan) else _RATES(plan),
    **dict.fromkeys(("scheduler_gamma", "scheduler_step"), _RATES),
    "sgd_momentum": _MOMENTUM,
    "clip_gradient": _first(
        _TRAINING,
        _needs(
            lambda p: p.settings.optimizer in OPTIMIZERS, "lm and lbfgs find the length of steps"
        ),
    ),
    "max_cost_increase": _first(
        _SINGLE_FIT, _needs(lambda p: not p.settings.least_squares, "lm never raises the cost")
    ),
    "adam_beta1": _ADAM,
    "adam_beta2": _ADAM,
    "perturb_every": _switch("perturb_every", _SINGLE_FIT),
    "pre_adjust_moves": _switch("pre_adjust_moves", _SINGLE_FIT),
    "pre_adjust_step_size": _first(
        _SINGLE_FIT, _needs(lambda p: p.settings.pre_adjust_moves, "pre_adjust_moves is 0")
    ),
    "validation_k": _first(
        _FIT,
        _needs(
            lambda p: any(s.is_fitted.any() and not s.is_fitted.all() for s in p.bundle.systems),
            "no system has a k-point that it could hold out",
        ),
    ),
    "validation_systems": _switch("validation_systems", _FIT),
    "monte_carlo": _acts,
    **{name: _switch(name, _ORDERED) for name in ("smooth_reorder", "eigenvector_reorder")},
    "mc_iterations": _first(_NO_MONTE_CARLO, _mc_options_say),
    **dict.fromkeys(("mc_perturb_mode", "mc_fraction"), _first(_NO_MONTE_CARLO, _steps_say)),
    "mc_beta": _first(_NO_MONTE_CARLO, _ladder_says, _mc_options_say),
    "mc_beta_schedule": _first(_NO_MONTE_CARLO, _mc_options_say),
    "mc_replicas": _switch("mc_replicas", _NO_MONTE_CARLO),
    **dict.fromkeys(("mc_betas", "mc_swap_every"), _TEMPERING),
    "mc_burn_in": _switch("mc_burn_in", _TEMPERING),
    "mc_delayed_acceptance": _switch("mc_delayed_acceptance", _NO_MONTE_CARLO),
    "relative_band": _needs(
        lambda p: any(
            s.reference_energies is not None and s.relative_band == p.settings.relative_band
            for s in p.bundle.systems
        ),
        "every system has its own, or no reference",
    ),
    "seed": _needs(
        lambda p: (
            (p.start == "random" and not p.solves_initial_fit)
            or p.mode == "monte_carlo"
            or _disturbs(p)
        ),
        "no random numbers are used",
    ),
    **dict.fromkeys(("basis_sphere", "q_max", "n_q", "n_r", "r_max"), _acts),
}
