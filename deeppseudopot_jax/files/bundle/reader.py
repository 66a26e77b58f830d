"""An inputs folder, read into one Bundle; nothing is written, all problems are told at once."""

from collections.abc import Callable, Collection, Mapping
from os import PathLike
from pathlib import Path
from typing import TypeVar, get_args

import numpy as np

from deeppseudopot_jax.arguments import checked, kind, one_of, optional
from deeppseudopot_jax.files.bundle.coefficients import (
    read_coefficients,
    read_step_sizes,
    read_tabulated_potential,
)
from deeppseudopot_jax.files.bundle.config import MODEL_NEEDS, read_config
from deeppseudopot_jax.files.bundle.folder import InputsFolder
from deeppseudopot_jax.files.bundle.key_value import KeyFile
from deeppseudopot_jax.files.bundle.monte_carlo import (
    check_options,
    read_all_options,
    read_beta_schedule,
)
from deeppseudopot_jax.files.bundle.potential import (
    check_potential,
    potential_of,
    with_potential,
)
from deeppseudopot_jax.files.bundle.purpose import Purpose, without_fits
from deeppseudopot_jax.files.bundle.stages import check_starts, note_unused_moments
from deeppseudopot_jax.files.bundle.system import read_system
from deeppseudopot_jax.files.bundle.validation import check_validation_systems, hold_out
from deeppseudopot_jax.files.bundle.weights import check_weights
from deeppseudopot_jax.files.findings import BundleError, Findings
from deeppseudopot_jax.files.torch_pickle import read_optimizer_state, read_state_dict
from deeppseudopot_jax.settings import Settings
from deeppseudopot_jax.stages import spelled
from deeppseudopot_jax.types import Bundle

Content = TypeVar("Content")


@checked(
    folder=kind(str, PathLike),
    purpose=one_of(*get_args(Purpose)),
    models=kind(Mapping),
    potential=optional(kind(str, PathLike)),
)
def read_bundle(
    folder: Path | str,
    purpose: Purpose = "run",
    models: Mapping[str, Collection[str]] = MODEL_NEEDS,
    potential: Path | str | None = None,
) -> Bundle:
    """Everything that an inputs folder says.

    Args:
        folder: the inputs folder.
        purpose: for an "eval", what asks for a fit is left out with a note, and what only a fit
            needs (reference energies of these k-points, targets, coefficients) may be absent.
        models: the legal values of PPmodel and, per model, the settings it needs.
        potential: the results folder of a run, or a prefix of files in it, whose weights and
            coefficients take the place of those in `folder`; by default what the key `init_from`
            names.

    Raises:
        InputError: if an argument is of another kind, or `purpose` none of these.
        BundleError: listing all that is missing, illegal or contradictory in any of the files.
    """
    findings = Findings()
    inputs = InputsFolder.open(Path(folder), findings)
    config_document = inputs.required("NN_config.par")
    if config_document is None:
        inputs.report_missing()
        raise BundleError(findings.problems, str(folder))
    config = read_config(config_document, models)
    if potential is None and config.values.init_from is not None:
        potential = inputs.root / config.values.init_from
    taken = None if potential is None else potential_of(Path(potential))
    if taken is not None:
        inputs = with_potential(inputs, taken)
    if purpose == "eval":
        fits = "max_epochs", "monte_carlo", "init_epochs", "force_retrain", "stages"
        config = without_fits(config, *fits)
    n_systems = config.values.n_systems or 0  # it is None where nSystem is not legal
    if n_systems > len(inputs.names):
        config.problem("there are fewer files than systems", "n_systems", found=str(n_systems))
        n_systems = 0
    check_validation_systems(config)
    check_starts(config, inputs)
    found = [read_system(inputs, index, config, purpose) for index in range(n_systems)]
    systems = tuple(system for system in found if system is not None)
    options = read_all_options(inputs)
    schedule = read_beta_schedule(inputs, config)
    model_state, optimizer_state = _read_checkpoints(inputs)
    if optimizer_state is not None and note_unused_moments(config):
        optimizer_state = None

    # Which species there are, and so which other files, only all systems together say.
    coefficients = tabulated = steps = None
    species = tuple(sorted({symbol for system in systems for symbol in system.crystal.symbols}))
    if systems and len(systems) == n_systems:
        _check_scale(config, species)
        check_weights(config.values, systems, options, findings)
        if taken is not None and not check_potential(
            taken, config.values, species, findings, purpose == "eval"
        ):
            raise BundleError(findings.problems, str(folder))
        systems = hold_out(config, systems, options)
        check_options(options, [s for s in systems if s.is_fitted.any()], findings)
        reason = _coefficients_needed_by(inputs, config.values)
        coefficients = read_coefficients(inputs, species, reason)
        steps = read_step_sizes(inputs, species)
        table = inputs.optional("init_qSpace_pot.par")
        tabulated = None if table is None else read_tabulated_potential(table, species)
        if coefficients is None and config.values.spin_orbit:
            findings.note("SObool = 1 without init_<atom>Params.par: a5, a6 and a7 start at 0.")
    inputs.report_missing()
    findings.raise_if_any(str(folder))
    inputs.note_unread(n_systems)
    return Bundle(
        folder=Path(folder),
        settings=config.values,
        systems=systems,
        species=species,
        coefficients=coefficients,
        model_state=model_state,
        optimizer_state=optimizer_state,
        tabulated_potential=tabulated,
        step_sizes=steps,
        monte_carlo_options=options,
        beta_schedule=schedule,
        sources={} if taken is None else taken.sources,
        notes=tuple(findings.notes),
    )


def _read_checkpoints(
    inputs: InputsFolder,
) -> tuple[dict[str, np.ndarray] | None, dict | None]:
    """The contents of init_PPmodel.pth and init_AdamState.pth, where they exist."""
    model = inputs.path("init_PPmodel.pth")
    optimizer = inputs.path("init_AdamState.pth")
    if model is None:
        if optimizer is not None:
            inputs.findings.note(f"{optimizer.name} is not used: init_PPmodel.pth is absent.")
        return None, None
    model_state = _attempt(inputs.findings, read_state_dict, model)
    if optimizer is None:
        return model_state, None
    return model_state, _attempt(inputs.findings, read_optimizer_state, optimizer)


def _attempt(findings: Findings, reader: Callable[[Path], Content], path: Path) -> Content | None:
    """What `reader` returns; where it raises, its problems join the others."""
    try:
        return reader(path)
    except BundleError as error:
        findings.problems.extend(error.problems)
        return None


def _check_scale(config: KeyFile[Settings], species: tuple[str, ...]) -> None:
    scale = config.values.scale
    if scale is not None and len(scale) != len(species):
        config.problem(
            "PPmodel_scale must have one number per species",
            "scale",
            found=" ".join(f"{factor:g}" for factor in scale),
            legal=f"{len(species)} numbers ({' '.join(species)})",
        )


def _coefficients_needed_by(inputs: InputsFolder, settings: Settings) -> str | None:
    """What this run cannot do without init_<atom>Params.par; None where it can do without."""
    restarts = "init_PPmodel.pth" in inputs.names and not settings.force_retrain
    if settings.trains_coefficients:
        return "PPmodel = ZeroFunction"
    if any(stage.trains_coefficients for stage in settings.by_stage):
        return spelled(settings.stages)
    if settings.init_epochs > 0 and not restarts and "init_qSpace_pot.par" not in inputs.names:
        return "init_Zunger_num_epochs > 0"
    return None
