"""The whole page: its title, the few numbers that say how it went, and all sections."""

import numpy as np

from deeppseudopot_jax.files.results.report.page import Page, number
from deeppseudopot_jax.run.stages.report.asked import asked
from deeppseudopot_jax.run.stages.report.bands import bands
from deeppseudopot_jax.run.stages.report.fit import costs
from deeppseudopot_jax.run.stages.report.machine import again, machine
from deeppseudopot_jax.run.stages.report.observables import observables
from deeppseudopot_jax.run.stages.report.potentials import potentials
from deeppseudopot_jax.run.stages.report.sampling import sampling
from deeppseudopot_jax.run.stages.report.subject import Subject

SECTIONS = (asked, costs, sampling, bands, observables, potentials, machine, again)
"""In the order of the page; each is None where a folder has nothing for it."""


def page_of(subject: Subject) -> Page:
    """All sections that the folder has something for."""
    sections = [section for make in SECTIONS if (section := make(subject)) is not None]
    bundle = subject.bundle
    names = ", ".join(system.name for system in bundle.systems)
    return Page(
        title=f"{_what(subject)}: {names}",
        subtitle=f"{bundle.settings.model}, species {' '.join(bundle.species)}",
        summary=_summary(subject),
        sections=sections,
    )


def _what(subject: Subject) -> str:
    settings = subject.bundle.settings
    if not subject.finished.is_run:
        return "Evaluation"
    if settings.monte_carlo:
        return "Monte Carlo run"
    return "Fit" if settings.fits else "Initialised potential"


def _summary(subject: Subject) -> list[tuple[str, str]]:
    """The few numbers that say how it went."""
    found = [("Systems", str(len(subject.bundle.systems)))]
    prefix = subject.finished.prefix
    if subject.finished.is_run and prefix != "final":
        found.append(("Interrupted; shown is", prefix.replace("_", " ")))
    history = subject.finished.history("final_training_cost") if subject.finished.is_run else None
    if history is not None and len(history.rows):
        costs = history["cost"]
        found.append(("Epochs", f"{history['epoch'][-1]:g}"))
        found.append(("Cost (eV²), first and lowest", f"{costs[0]:.5g} → {np.nanmin(costs):.5g}"))
    for chain in subject.finished.chains() if subject.finished.is_run else ():
        chained = subject.finished.history(f"{chain}final_mc_cost")
        if chained is not None and len(chained.rows):
            lowest = number(chained["bestLoss"][-1], 3)
            found.append(("Iterations", f"{chained['iter'][-1]:.0f}"))
            found.append(("Lowest cost (eV²)", lowest))
    for name, held_out in (("RMSE", False), ("RMSE of held-out levels", True)):
        errors = {curve: _error(subject, curve, held_out) for curve in ("initial", subject.outcome)}
        told = [number(1000.0 * error, 3) for error in errors.values() if error is not None]
        if told:
            found.append((f"{name} (meV)", " → ".join(told)))
    if stages := subject.timings.get("stages"):
        found.append(("Time", f"{number(sum(stage['seconds'] for stage in stages), 3)} s"))
    return found


def _error(subject: Subject, curve: str, held_out: bool) -> float | None:
    """Root mean square error (eV) of a curve over all systems; None where nothing compares."""
    differences = [
        (plot.curves[curve] - plot.reference)[plot.is_held_out if held_out else plot.is_fitted]
        for _, plot in subject.plots
        if plot.reference is not None and curve in plot.curves
    ]
    flat = np.concatenate([*differences, []])
    return float(np.sqrt(np.mean(flat**2))) if len(flat) else None
