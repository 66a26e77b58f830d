"""report.html, made at the end of a run or later."""

import traceback
from pathlib import Path

from deeppseudopot_jax.errors import ResultsError
from deeppseudopot_jax.files.atomic import ResultsFolder
from deeppseudopot_jax.files.bundle.reader import read_bundle
from deeppseudopot_jax.files.results.painter import Drawing, Here, Painter
from deeppseudopot_jax.files.results.report.finished import Finished
from deeppseudopot_jax.run.sequence import stages_of
from deeppseudopot_jax.run.session import Session
from deeppseudopot_jax.run.stages.report.subject import Subject
from deeppseudopot_jax.run.stages.report.whole import page_of
from deeppseudopot_jax.types import Bundle

FILE = "report.html"

_MODULE = "deeppseudopot_jax.files.results.report.render"


def at_the_end(session: Session) -> None:
    """report.html of what a session has left; where it cannot be made, the log says why."""
    outputs = session.outputs
    if outputs.folder is None:
        return
    try:
        evaluated = session.plan.mode == "evaluate"
        write_report(session.bundle, outputs.file(FILE), evaluated, outputs.painter)
    except Exception as error:  # results are worth more than what is told about them
        session.report.log(traceback.format_exc())
        session.report.line(
            f"{FILE} could not be made ({type(error).__name__}: {error}); once that is mended, "
            "the command deeppseudopot report makes it"
        )


def report_again(
    inputs: Path | str, results: Path | str, painter: Painter | None = None
) -> list[Path]:
    """report.html of a folder that a run has filled, also of one that was interrupted or goes on.

    Args:
        inputs: folder with the bundle.
        results: folder of a run of it, or of an evaluation; of all its stages.
        painter: who draws the figures.

    Returns:
        The reports, one of every stage.

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
    evaluated = max(known, key=lambda name: known[name]) == "eval"
    bundle = read_bundle(inputs, purpose="eval" if evaluated else "run")
    filled = [(bundle, folder)]
    if not evaluated:
        filled = [(stage.plan.bundle, stage.folder) for stage in stages_of(bundle, folder)]
    written = []
    try:
        for of_stage, where in filled:
            if evaluated or (where.path / "run.log").is_file():
                write_report(of_stage, where.path / FILE, evaluated, painter)
                written.append(where.path / FILE)
    except (ValueError, KeyError, OSError) as error:
        raise ResultsError(
            f"the files in {folder.path} do not make a report ({error}): legal are those of a run "
            f"of {inputs}"
        ) from error
    finally:
        painter.close()
    return written


def write_report(bundle: Bundle, path: Path, evaluated: bool, painter: Painter) -> None:
    """A report beside the files that it tells of; raises what is wrong with them.

    Args:
        bundle: what was asked.
        path: of the report.
        evaluated: whether it was an evaluation, and no run.
        painter: who draws the figures and writes the page.
    """
    folder = path.parent
    finished = Finished(folder, "eval") if evaluated else Finished.of_run(folder)
    page = page_of(Subject(bundle, finished))
    painter.make(Drawing("html_page", (page,), (path,), _MODULE))
