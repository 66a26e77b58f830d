"""The potential that a run starts from: loaded, fitted to curves, evaluated."""

from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np

from deeppseudopot_jax.errors import NumericalError
from deeppseudopot_jax.initialise import initial_params
from deeppseudopot_jax.parameters import COLUMNS, Parameters
from deeppseudopot_jax.potentials.long_range import long_range_tail
from deeppseudopot_jax.potentials.networks import NetworkModel
from deeppseudopot_jax.potentials.zunger import zunger_form
from deeppseudopot_jax.problem import local_model, with_local
from deeppseudopot_jax.run.checks.plan import Start
from deeppseudopot_jax.run.outputs import ON_THE_WAY, PDF
from deeppseudopot_jax.run.session import Session, Solved
from deeppseudopot_jax.run.stages.gradients import norms_line
from deeppseudopot_jax.training.regression import Curves, analytic_curves, fit_curves

_FIT_POINTS = 2001
_FIT_LARGEST_Q = 10.0  # Bohr^-1
_NEUTRAL = 1e-8


@dataclass(frozen=True, eq=False)
class Initial:
    """Start parameters, and v(q) on the grid of the outputs that a network was fitted to."""

    params: Parameters
    target: np.ndarray | None = None


def load(session: Session) -> Parameters:
    """The start parameters before any fit, with a line that says where they come from."""
    bundle, problem = session.bundle, session.problem
    params = initial_params(bundle, problem)
    settings = bundle.settings
    weights = session.plan.handed_over.get("weights", "init_PPmodel.pth")
    sources: dict[Start, str] = {
        "coefficients": f"coefficients of {_coefficient_files(session)}",
        "random": f"random, as {settings.model} defines (seed {settings.seed})",
        "checkpoint": f"weights of {weights}",
    }
    session.report.line(f"Initialisation: {sources[session.plan.start]}")
    charges = np.asarray(problem.composition @ params.long_range)
    for system, charge in zip(bundle.systems, charges, strict=True):
        if abs(charge) > _NEUTRAL:
            session.report.line(
                f"  warning: {system.name} is not neutral: its a4 add up to {charge:.3g}, and the "
                "long-range potential at G = 0 is left out"
            )
    return params


def initialise(session: Session) -> Initial:
    """The start parameters, fitted to curves v(q) where the bundle asks for it."""
    bundle, report, outputs = session.bundle, session.report, session.outputs
    settings, model = bundle.settings, session.problem.local
    params = load(session)
    if session.plan.initial_fit is None:
        return Initial(params)
    assert isinstance(model, NetworkModel)
    curves, source = target_curves(session, params)
    if "coefficients" in session.plan.handed_over:
        source += " of the stage before"
    again = "" if bundle.model_state is None else " again"
    directly, n_epochs = "", settings.init_epochs
    if session.plan.solves_initial_fit:
        directly, n_epochs = ", solved directly: v(q) is linear in them", 1
    report.line(f"Initialisation: these weights are fitted{again} to {source}{directly}")
    target = _on_output_grid(session, curves, params)
    costs: list[tuple[int, float]] = []
    with report.progress("initial fit", n_epochs) as counter:
        for stage in fit_curves(model, params.local, curves, settings):
            found = np.asarray(stage.costs, np.float64)
            if not np.isfinite(found).all():
                raise NumericalError("the fit of the initial potential diverged: lower its rate")
            costs += [(len(costs) + i, float(cost)) for i, cost in enumerate(found)]
            params = params.updated({"local": stage.variables})
            if settings.init_log_gradients:
                total = float(stage.gradient_norms[-1])
                report.log(f"initial fit, epoch {stage.epoch}: gradient norm {total:.3e}")
                report.log(norms_line(session.problem, {"local": stage.gradient}))
            _initial_potential_figure(session, Initial(params, target))
            counter.update(stage.epoch, f"cost {found[-1]:.3e}")
    outputs.table("init_train_cost", costs, ("epoch", "cost"))
    curves_of_fit = {"fit of v(q)": np.array(costs)}
    outputs.cost_figure("init_train_cost", curves_of_fit, "(Ha Bohr$^3$)$^2$")
    return Initial(params, target)


def baseline(session: Session, start: Initial) -> Solved:
    """Bands and curves of the initialised potential, and of the analytic one it came from.

    Returns the initialised potential with its bands.
    """
    outputs, params = session.outputs, start.params
    outputs.basis_states()
    with session.report.first_time("bands"):
        solved = session.solved(params)
    old_functional_form(session, solved)
    session.report_errors("Initialised potential", solved)
    outputs.band_tables("initZunger", solved.bands)
    outputs.band_figure("initZunger", {"initial": solved.bands}, PDF)
    outputs.potential_tables("initZunger", params)
    _initial_potential_figure(session, start)
    outputs.parameters("initZunger", params)
    return solved


def old_functional_form(session: Session, solved: Solved) -> None:
    """oldFunc_*: bands of the Zunger form, where the bundle has its coefficients.

    `solved` is the potential of the run, which is that form itself with ZeroFunction.
    """
    bundle, problem = session.bundle, session.problem
    if bundle.coefficients is None:
        return
    form = solved
    if not bundle.settings.trains_coefficients:
        analytic = with_local(problem, local_model(bundle, "zunger"))
        form = session.solved(initial_params(bundle, analytic), analytic, near=solved.carried)
    session.report_errors(f"Zunger form of {_coefficient_files(session)}", form)
    session.outputs.band_tables("oldFunc", form.bands)
    session.outputs.band_figure("oldFunc", {"Zunger form": form.bands}, PDF)


def _coefficient_files(session: Session) -> str:
    """Where the coefficients are from: a network does not train a0 to a3 of the Zunger form."""
    return session.plan.handed_over.get("coefficients", "init_<atom>Params.par")


def target_curves(session: Session, params: Parameters) -> tuple[Curves, str]:
    """What a network is to be at first: a table if there is one, else the Zunger form.

    A table is a whole potential, as *_qSpace_pot.dat is; the network gives its short-range part.
    """
    bundle, problem = session.bundle, session.problem
    table, a4 = bundle.tabulated_potential, params.long_range
    if table is None:
        q = jnp.linspace(0.0, _FIT_LARGEST_Q, _FIT_POINTS, dtype=problem.dtype)
        coefficients = jnp.asarray(bundle.coefficients, problem.dtype)
        return analytic_curves(
            q, zunger_form(q, coefficients[:, COLUMNS["local"]])
        ), "the Zunger form"
    columns = jnp.asarray(table, problem.dtype)
    q = columns[:, 0]
    v = columns[:, 1:] - long_range_tail(q, a4, bundle.settings.long_range_gamma)
    less = " less the long-range tail of a4" if a4.any() else ""
    return Curves(q, v, jnp.ones(len(q), problem.dtype)), f"init_qSpace_pot.par{less}"


def _on_output_grid(session: Session, curves: Curves, params: Parameters) -> np.ndarray:
    """The whole potential that belongs to target curves, NaN beyond them."""
    grid = session.outputs.q
    short = [
        np.interp(grid, np.asarray(curves.q), column, left=np.nan, right=np.nan)
        for column in np.asarray(curves.v).T
    ]
    gamma = session.bundle.settings.long_range_gamma
    q = jnp.asarray(grid, params.long_range.dtype)
    tail = long_range_tail(q, params.long_range, gamma)
    return np.stack(short, axis=1) + np.asarray(tail)


def _initial_potential_figure(session: Session, start: Initial) -> None:
    curves = {"initial": session.outputs.v_q(start.params)}
    if start.target is not None:
        curves = {"network": curves["initial"], "target": start.target}
    session.outputs.potential_figure("initZunger", curves, ON_THE_WAY)
