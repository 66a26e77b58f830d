"""What a bundle asks for that this version cannot do, and keys that it does not need.

Nothing is silently ignored: an unsupported request ends the run before anything is computed, and
a key without effect is named in the log.
"""

from deeppseudopot_jax.settings import Settings
from deeppseudopot_jax.training.optimizers import OPTIMIZERS
from deeppseudopot_jax.types import Bundle


class UnsupportedError(Exception):
    """The bundle depends on something that is not implemented; the message lists all of it."""


def check_supported(bundle: Bundle) -> None:
    """Refuse a bundle that depends on what is not implemented.

    Raises:
        UnsupportedError: listing every such request.
    """
    settings = bundle.settings
    requests = [
        (settings.monte_carlo, "mc_bool = 1: Monte Carlo fitting"),
        (
            settings.max_epochs > 0 and settings.optimizer not in OPTIMIZERS,
            f"optimizer = {settings.optimizer}: available are {', '.join(OPTIMIZERS)}",
        ),
        (settings.perturb_every > 0, f"perturbEvery = {settings.perturb_every}: random kicks"),
        (
            settings.pre_adjust_moves > 0,
            f"pre_adjust_moves = {settings.pre_adjust_moves}: moves before the first epoch",
        ),
        (settings.smooth_reorder, "smooth_reorder = 1: reordering bands for smoothness"),
        (settings.eigenvector_reorder, "eigvec_reorder = 1: reordering bands by eigenvectors"),
    ]
    for system in bundle.systems:
        file = f"input_{system.index}.par: "
        requests += [
            (system.fit_deformation, f"{file}fit_defPot = 1: fitting deformation potentials"),
            (system.fit_couplings, f"{file}fit_eph = 1: fitting electron-phonon couplings"),
            (system.fit_masses, f"{file}fit_eff_masses = 1: fitting effective masses"),
        ]
    found = [text for asked, text in requests if asked]
    if found:
        raise UnsupportedError("this version cannot do yet:\n  " + "\n  ".join(found))
    missing = [
        f"expBandStruct_{system.index}.par"
        for system in bundle.systems
        if system.reference_energies is None
    ]
    if settings.max_epochs > 0 and missing:
        raise UnsupportedError(
            "max_num_epochs > 0, but there is nothing to fit: missing " + ", ".join(missing)
        )


def remarks(bundle: Bundle) -> list[str]:
    """One sentence for every key or file of the bundle that has no effect on this run."""
    found = _engine_keys(bundle.settings)
    for system in bundle.systems:
        if system.deformation_targets:
            found.append(f"expDefPot_{system.index}.par is not used: fit_defPot is 0.")
        if system.coupling_targets:
            found.append(f"expCoupling_{system.index} is not used: fit_eph is 0.")
    if bundle.monte_carlo_options or bundle.step_sizes is not None:
        found.append("mcOpts*.par and *ParamSteps.par are not used: mc_bool is 0.")
    if bundle.optimizer_state is not None and bundle.settings.max_epochs == 0:
        found.append("init_AdamState.pth is not used: there is no gradient training.")
    if bundle.tabulated_potential is not None and bundle.settings.init_epochs == 0:
        found.append("init_qSpace_pot.par is not used: init_Zunger_num_epochs is 0.")
    if bundle.model_state is not None and bundle.settings.trains_coefficients:
        found.append("init_PPmodel.pth is not used: PPmodel = ZeroFunction has no weights.")
    return found


def _engine_keys(settings: Settings) -> list[str]:
    given = settings.model_fields_set
    sentences = {
        "num_cores": "num_cores: JAX uses every core; OPENBLAS_NUM_THREADS sets LAPACK's share.",
        "separate_k_gradients": "separateKptGrad: gradients need no extra memory per k-point here.",
        "gradient_checkpointing": "checkpoint: gradients are recomputed from the wave functions "
        "in any case.",
        "cache_spin_orbit": "cacheSO: spin-orbit and nonlocal parts are projectors, nothing large "
        "is cached.",
        "show_plots": "SHOWPLOTS: figures are written to files and not shown.",
    }
    found = [text for name, text in sentences.items() if name in given]
    if settings.train_strain:
        found.append("trainStrain: band energies of undeformed crystals do not depend on a8.")
    return found
