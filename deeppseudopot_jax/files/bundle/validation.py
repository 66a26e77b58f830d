"""What a fit must not see: validation_k and validation_systems of NN_config.par."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Bool

from deeppseudopot_jax.files.bundle.key_value import KeyFile
from deeppseudopot_jax.settings import Settings
from deeppseudopot_jax.types import MonteCarloOptions, SystemInput


def check_validation_systems(config: KeyFile[Settings]) -> None:
    """validation_systems must name systems that are there, each of them once."""
    named, n_systems = config.values.validation_systems, config.values.n_systems
    if n_systems is not None and any(index >= n_systems for index in named):
        config.problem(
            "validation_systems names a system that is not there",
            "validation_systems",
            found=_spelled(named),
            legal=f"0 to {n_systems - 1} (nSystem = {n_systems})",
        )
    if len(set(named)) < len(named):
        config.problem(
            "validation_systems names a system twice",
            "validation_systems",
            found=_spelled(named),
            legal="every system once",
        )


def hold_out(
    config: KeyFile[Settings],
    systems: tuple[SystemInput, ...],
    options: Sequence[MonteCarloOptions],
) -> tuple[SystemInput, ...]:
    """The systems, told which of their k-points are held out; problems and notes as findings.

    Where nothing is fitted, nothing is held out.
    """
    settings = config.values
    if not settings.fits:
        return systems
    if settings.validation_k is None and not settings.validation_systems:
        return systems
    told = tuple(
        replace(system, held_out=_held_out_points(config, system, options)) for system in systems
    )
    _check_what_is_left(config, told)
    return told


def _held_out_points(
    config: KeyFile[Settings], system: SystemInput, options: Sequence[MonteCarloOptions]
) -> Bool[np.ndarray, " kpt"]:
    """Which k-points of one system are held out."""
    every, n_k = config.values.validation_k, len(system.k_points)
    if system.index in config.values.validation_systems:
        return np.ones(n_k, bool)
    held_out = np.zeros(n_k, bool)
    if every is None:
        return held_out
    held_out[every - 1 :: every] = True
    file, note = f"kpoints_{system.index}.par", config.document.findings.note
    stages = config.values.by_stage
    fits_masses = any(_fits_masses(stage, system, options) for stage in stages)
    masses = system.mass_points if fits_masses else None
    kept = sorted(k for k in masses or () if k < n_k and held_out[k])
    if kept:
        held_out[kept] = False
        points = " and ".join(f"k-point {k}" for k in kept)
        note(
            f"{file}: validation_k = {every} spares {points} (from 0): the masses that are fitted "
            "are those of the reference energies there."
        )
    if not held_out.any():
        note(f"{file}: validation_k = {every} holds none of its {n_k} k-points out.")
    return held_out


def _fits_masses(
    settings: Settings, system: SystemInput, options: Sequence[MonteCarloOptions]
) -> bool:
    """Whether masses of the system join the cost: mcOpts*.par says it for the coefficients."""
    if settings.monte_carlo and settings.trains_coefficients:
        return any(file.fit_masses for file in options)
    return system.fit_masses


def _check_what_is_left(config: KeyFile[Settings], systems: tuple[SystemInput, ...]) -> None:
    """Both the fit and its validation must have levels, and every species must be fitted."""
    every, named = config.values.validation_k, config.values.validation_systems
    fitted = [system for system in systems if system.is_fitted.any()]
    if named and not any(system.level_weights.any() for system in fitted):
        config.problem(
            "validation_systems leaves nothing to fit",
            "validation_systems",
            found=_spelled(named),
            legal="systems beside others that have weights",
        )
        return
    for system in fitted:
        if system.held_out_weights.any() and not system.level_weights.any():
            config.problem(
                f"validation_k leaves nothing of system {system.index} to fit: the other k-points "
                f"in kpoints_{system.index}.par have the weight 0",
                "validation_k",
                found=str(every),
                legal="a number that leaves a k-point with a weight",
            )
    known = {symbol for system in fitted for symbol in system.crystal.symbols}
    for system in systems:
        unknown = sorted(set(system.crystal.symbols) - known)
        if unknown:
            config.problem(
                f"nothing fits {', '.join(unknown)} of system {system.index}, which is held out",
                "validation_systems",
                found=_spelled(named),
                legal=f"systems of species that others have ({', '.join(sorted(known))})",
            )
    is_held_out = [not system.is_fitted.all() for system in systems]
    if any(is_held_out) and not any(system.held_out_weights.any() for system in systems):
        given = [f for f in ("validation_k", "validation_systems") if f in config.lines]
        config.problem(
            "all that is held out has the weight 0, so nothing would be validated",
            *given,
            legal="k-points or systems with weights",
        )


def _spelled(numbers: Sequence[int]) -> str:
    return " ".join(map(str, numbers))
