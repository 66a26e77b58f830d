"""report.html: sections put together, made at the end of a run or later."""

import traceback
from pathlib import Path

import numpy as np

from deeppseudopot_jax.errors import ResultsError
from deeppseudopot_jax.files.atomic import ResultsFolder
from deeppseudopot_jax.files.bundle.reader import read_bundle
from deeppseudopot_jax.files.results.painter import Drawing, Here, Painter
from deeppseudopot_jax.files.results.report.finished import Finished
from deeppseudopot_jax.files.results.report.page import Page, number
from deeppseudopot_jax.run.sequence import stages_of
from deeppseudopot_jax.run.session import Session
from deeppseudopot_jax.run.stages.report.asked import asked
from deeppseudopot_jax.run.stages.report.bands import bands
from deeppseudopot_jax.run.stages.report.fit import costs
from deeppseudopot_jax.run.stages.report.machine import again, machine
from deeppseudopot_jax.run.stages.report.observables import observables
from deeppseudopot_jax.run.stages.report.potentials import potentials
from deeppseudopot_jax.run.stages.report.sampling import sampling
from deeppseudopot_jax.run.stages.report.subject import Subject
from deeppseudopot_jax.types import Bundle

FILE = "report.html"

_PACKAGE = "deeppseudopot_jax.files.results.report"
_SECTIONS = (asked, costs, sampling, bands, observables, potentials, machine, again)
"""In the order of the page; each is None where a folder has nothing for it."""


def at_the_end(session: Session, prefix: str) -> None:
    """report.html of what a session has left; where it cannot be made, the log says why.

    Args:
        session: of a run, or of one of its stages, or of an evaluation.
        prefix: of the files of the outcome.
    """
    outputs = session.outputs
    if outputs.folder is None:
        return
    try:
        write_report(session.bundle, outputs.folder, prefix, outputs.painter)
    except Exception as error:  # results are worth more than what is told about them
        session.report.log(traceback.format_exc())
        session.report.line(
            f"{FILE} could not be made ({type(error).__name__}: {error}); once that is mended, "
            "the command deeppseudopot report makes it"
        )


def report_again(inputs: Path | str, results: Path | str, painter: Painter | None = None) -> None:
    """report.html of a folder that a run has filled, also where it was interrupted.

    Args:
        inputs: folder with the bundle.
        results: folder of a run of it, or of an evaluation; of all its stages.
        painter: who draws the figures.

    Raises:
        BundleError: listing everything wrong with the inputs.
        ResultsError: if nothing has run there, or its files cannot be read.
    """
    folder = ResultsFolder(results, inputs, overwrite=True)
    logs = {name: folder.path / f"{name}.log" for name in ("run", "eval")}
    known = {name: path.stat().st_mtime for name, path in logs.items() if path.is_file()}
    if not known:
        raise ResultsError(f"{folder.path} has neither run.log nor eval.log: nothing has run there")
    painter = painter or Here()
    try:
        if max(known, key=lambda name: known[name]) == "eval":
            write_report(read_bundle(inputs, purpose="eval"), folder, "eval", painter)
            return
        for stage in stages_of(read_bundle(inputs), folder):
            if (stage.folder.path / "run.log").is_file():
                write_report(stage.plan.bundle, stage.folder, "final", painter)
    except (ValueError, KeyError, OSError) as error:
        raise ResultsError(
            f"the files in {folder.path} do not make a report ({error}): legal are those of a run "
            f"of {inputs}"
        ) from error
    finally:
        painter.close()


def write_report(bundle: Bundle, folder: ResultsFolder, prefix: str, painter: Painter) -> None:
    """report.html; raises what is wrong with the files behind it.

    Args:
        bundle: what was asked.
        folder: that it has filled.
        prefix: of the files of the outcome.
        painter: who draws the figures and writes the page.
    """
    page = page_of(Subject(bundle, Finished(folder.path, prefix)))
    painter.make(Drawing("html_page", (page,), (folder.file(FILE),), _PACKAGE))


def page_of(subject: Subject) -> Page:
    """All sections that the folder has something for."""
    sections = [section for make in _SECTIONS if (section := make(subject)) is not None]
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
    history = subject.finished.history("final_training_cost") if subject.changes else None
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
    for name, held_out in (("RMSE of fitted levels", False), ("RMSE of held-out levels", True)):
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
