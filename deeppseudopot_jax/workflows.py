"""The two workflows: a whole run, and the evaluation of an initialised potential."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deeppseudopot_jax import stages
from deeppseudopot_jax.bundle.reader import read_bundle
from deeppseudopot_jax.capabilities import UnsupportedError, check_supported
from deeppseudopot_jax.initialize import initial_params
from deeppseudopot_jax.optimisation import optimise
from deeppseudopot_jax.outputs import Outputs
from deeppseudopot_jax.problem import Precision, build_problem
from deeppseudopot_jax.reporting import Report
from deeppseudopot_jax.results.atomic import ResultsFolder
from deeppseudopot_jax.session import Session
from deeppseudopot_jax.types import Bundle


def run(
    inputs: Path | str,
    results: Path | str,
    overwrite: bool = False,
    precision: Precision = "float64",
) -> None:
    """The whole sequence: read, initialise, evaluate, optimise, export.

    Args:
        inputs: folder with the bundle.
        results: folder to write to; created after reading has succeeded.
        overwrite: whether `results` may hold files, which are then replaced.
        precision: of the whole calculation.

    Raises:
        BundleError: listing everything wrong with the inputs.
        UnsupportedError: if the bundle depends on what is not implemented.
        ResultsError: if the results folder cannot be used.
        NumericalError: if energies or costs are not finite; files written before stay.
        ValueError: if the weights or the basis do not fit what is asked for.
    """
    folder = ResultsFolder(results, inputs, overwrite)
    bundle = read_bundle(inputs)
    check_supported(bundle)
    with _session(bundle, folder, precision, "run.log") as session:
        stages.describe(session)
        params = initial = stages.initialise(session)
        stages.baseline(session, initial)
        if bundle.settings.max_epochs > 0:
            params = optimise(session, initial)
        stages.export(session, "final", params, initial if params is not initial else None)
        session.outputs.parameters("final", params)


def evaluate(
    inputs: Path | str,
    results: Path | str,
    overwrite: bool = False,
    precision: Precision = "float64",
) -> None:
    """Bands of an initialised potential at any number of k-points, in bounded memory.

    The potential is init_PPmodel.pth, or the coefficients where PPmodel is ZeroFunction. Nothing
    is trained, whatever NN_config.par says. Arguments and errors are those of `run`.

    Raises:
        UnsupportedError: if PPmodel is a network and the bundle has no init_PPmodel.pth.
    """
    folder = ResultsFolder(results, inputs, overwrite)
    bundle = read_bundle(inputs)
    if not bundle.settings.trains_coefficients and bundle.model_state is None:
        raise UnsupportedError(
            f"PPmodel = {bundle.settings.model}, but {inputs} has no init_PPmodel.pth: copy the "
            "final_PPmodel.pth of a run there under that name"
        )
    with _session(bundle, folder, precision, "eval.log") as session:
        stages.describe(session)
        params = initial_params(bundle, session.problem)
        stages.export(session, "eval", params)
        stages.old_functional_form(session)


@contextmanager
def _session(
    bundle: Bundle, folder: ResultsFolder, precision: Precision, log_name: str
) -> Iterator[Session]:
    """Everything the stages need; whatever ends them is written to the log."""
    problem = build_problem(bundle, precision=precision)
    initial_params(bundle, problem)  # weights that do not fit must not leave a results folder
    report = Report(folder.file(log_name))
    try:
        yield Session(bundle, problem, Outputs(bundle, problem, folder), report)
        report.line(f"Figures and tables are in {folder.path}")
    except BaseException as error:
        report.log(f"ended by {type(error).__name__}: {error}")
        raise
    finally:
        report.close()
