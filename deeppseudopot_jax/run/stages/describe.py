"""What a run says of itself before it begins."""

from collections.abc import Sequence

import jax

from deeppseudopot_jax.band_curves import ascends
from deeppseudopot_jax.observables.band_order import order_in_words
from deeppseudopot_jax.parameters import Parameters
from deeppseudopot_jax.problem import Target
from deeppseudopot_jax.run.session import Session
from deeppseudopot_jax.training.least_squares.coordinates import coordinates_of
from deeppseudopot_jax.training.least_squares.uncertainty import independent_data
from deeppseudopot_jax.training.trainable import split
from deeppseudopot_jax.types import SystemInput
from deeppseudopot_jax.version import version


def describe(session: Session, notes: Sequence[str], title: str = "") -> None:
    """Tell what is calculated, and everything about the bundle that its user should know.

    Args:
        session: of the run, or of one of its stages.
        notes: about the bundle, from reading and checking it.
        title: of the stage.
    """
    bundle, problem, report = session.bundle, session.problem, session.report
    settings = bundle.settings
    report.log(
        f"deeppseudopot-jax {version()}, JAX {jax.__version__} on {jax.default_backend()}, "
        f"{problem.dtype} arithmetic"
    )
    if title:
        report.line(title)
    if problem.mesh is not None:
        axes = ", ".join(f"{name} {size}" for name, size in problem.mesh.shape.items() if size > 1)
        report.log(
            f"{problem.mesh.size} devices of {jax.process_count()} processes, split over: {axes}"
        )
    report.log("settings: " + ", ".join(f"{k} = {v}" for k, v in settings.changed().items()))
    report.line(f"Bundle {bundle.folder}: {settings.model}, species {' '.join(problem.species)}")
    for system, n_waves, cut in zip(
        bundle.systems, problem.n_waves, problem.cut_off_by_reference, strict=True
    ):
        report.line(
            f"  {system.name}: {_k_points(system)}, {system.n_bands} bands, "
            f"{n_waves} plane waves{', spin-orbit and nonlocal' if settings.spin_orbit else ''}"
        )
        if cut:
            report.line(
                f"    {cut} more waves have |G|^2/2 < maxKE but lie outside the index bound of "
                "the reference code; basis_sphere = G_full includes them"
            )
    for system, target in zip(bundle.systems, problem.targets, strict=True):
        _describe_order(session, system, target)
    if session.plan.trained_channels:
        report.log(f"trained channels: {', '.join(session.plan.trained_channels)}")
    if session.plan.fits:
        report.log(f"terms of the cost: {', '.join(session.cost.names)}")
    if problem.holds_out:
        text = "no cost contains what is held out"
        if session.plan.mode == "gradient" and settings.patience is not None:
            text += "; patience and best_* go by the held-out cost"
        report.line(f"  {text}")
    for note in notes:
        report.line(f"  note: {note}")


def describe_fit(session: Session, params: Parameters) -> None:
    """Tell how many numbers are trained on how many levels, aloud if there are more numbers."""
    parts = split(params, session.plan.trained_channels)
    n_numbers = coordinates_of(session.problem.composition, parts.trainable).size(parts.trainable)
    n_levels = independent_data(session.problem)
    text = f"{n_numbers} numbers are trained on {n_levels} fitted levels"
    if n_numbers <= n_levels:
        session.report.log(text)
    else:
        session.report.line(f"  note: {text}: data alone do not determine them.")


def _describe_order(session: Session, system: SystemInput, target: Target) -> None:
    """Tell the order in which bands are compared, aloud where it is not that of energy."""
    text = f"{system.name}: errors are those of bands {order_in_words(target)}"
    if target.following is None:
        session.report.log(text.replace("_X_", f"_{system.index}_"))
        return
    assert system.reference_energies is not None
    of_reference = (
        "ascends and is followed by extrapolated energies"
        if ascends(system.reference_energies)
        else "has columns that are taken as continuous bands"
    )
    file = f"expBandStruct_{system.index}.par"
    session.report.line(f"  {text}; {file} {of_reference}; tables *_BS_sys ascend in energy")


def _k_points(system: SystemInput) -> str:
    """How many there are, and how many of them are held out."""
    n_k, n_fitted = len(system.k_points), int(system.is_fitted.sum())
    if n_fitted == 0:
        return f"{n_k} k-points, all held out"
    return f"{n_k} k-points" + ("" if n_fitted == n_k else f" ({n_k - n_fitted} held out)")
