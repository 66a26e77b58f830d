"""A fit needs something to fit: not all weights may be 0."""

from collections.abc import Sequence

from deeppseudopot_jax.files.findings import Findings
from deeppseudopot_jax.settings import Settings
from deeppseudopot_jax.types import GapDeformationTargets, MonteCarloOptions, SystemInput


def check_weights(
    settings: Settings,
    systems: Sequence[SystemInput],
    options: Sequence[MonteCarloOptions],
    findings: Findings,
) -> None:
    """One problem per file of weights that are all 0, where the cost of a fit has nothing else.

    A system without weights beside others that have some is told in a note.
    """
    if not settings.fits or any(_fits_more(stage, systems, options) for stage in settings.by_stage):
        return
    empty = [s for s in systems if not (s.k_weights.any() and s.band_weights.any())]
    for system in empty:
        names = [
            name.format(system.index)
            for name, weights in (
                ("kpoints_{}.par", system.k_weights),
                ("bandWeights_{}.par", system.band_weights),
            )
            if not weights.any()
        ]
        if len(empty) < len(systems):
            verb = "has" if len(names) == 1 else "have"
            findings.note(f"{' and '.join(names)} {verb} no weight but 0: the bands do not count.")
            continue
        for name in names:
            message = "every weight is 0, so there is nothing to fit"
            findings.problem(name, message, found="0", legal="some weight > 0")


def _fits_more(
    stage: Settings, systems: Sequence[SystemInput], options: Sequence[MonteCarloOptions]
) -> bool:
    """Whether the cost of a stage has terms with weights beside the bands."""
    of_options = stage.monte_carlo and stage.trains_coefficients
    deformation, couplings, masses = (
        any(getattr(source, name) for source in (options if of_options else systems))
        for name in ("fit_deformation", "fit_couplings", "fit_masses")
    )
    return (
        masses
        or (deformation and any(_has_deformation(system) for system in systems))
        or (couplings and any(_has_couplings(system) for system in systems))
    )


def _has_deformation(system: SystemInput) -> bool:
    targets = system.deformation_targets
    return isinstance(targets, GapDeformationTargets) or any(target.weight for target in targets)


def _has_couplings(system: SystemInput) -> bool:
    return bool(system.coupling_targets) and bool(
        system.q_weights is not None and system.q_weights.any()
    )
