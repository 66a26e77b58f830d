"""The stages of a run beside the optimisation: describe, initialise, evaluate, export."""

import jax
import jax.numpy as jnp
import numpy as np

from deeppseudopot_jax.capabilities import remarks
from deeppseudopot_jax.initialize import initial_params
from deeppseudopot_jax.outputs import PDF, PDF_AND_PNG
from deeppseudopot_jax.potentials.networks import NetworkModel
from deeppseudopot_jax.potentials.zunger import zunger_form
from deeppseudopot_jax.problem import Problem, build_problem
from deeppseudopot_jax.session import NumericalError, Session
from deeppseudopot_jax.training.regression import Curves, analytic_curves, fit_curves
from deeppseudopot_jax.types import Bundle

_FIT_POINTS = 2001
_FIT_LARGEST_Q = 10.0  # Bohr^-1
_NEUTRAL = 1e-8


def describe(session: Session) -> None:
    """Tell what is calculated, and everything about the bundle that its user should know."""
    bundle, problem, report = session.bundle, session.problem, session.report
    settings = bundle.settings
    report.line(f"Bundle {bundle.folder}: {settings.model}, species {' '.join(problem.species)}")
    for system, n_waves, cut in zip(
        bundle.systems, problem.n_waves, problem.cut_off_by_reference, strict=True
    ):
        report.line(
            f"  {system.name}: {len(system.k_points)} k-points, {system.n_bands} bands, "
            f"{n_waves} plane waves{', spin-orbit and nonlocal' if settings.spin_orbit else ''}"
        )
        if cut:
            report.line(
                f"    {cut} more waves have |G|^2/2 < maxKE but lie outside the index bound of "
                "the reference code; basis_sphere = G_full includes them"
            )
        if system.reference_energies is None:
            report.line(f"    no expBandStruct_{system.index}.par: nothing to compare with")
    for note in (*bundle.notes, *remarks(bundle)):
        report.line(f"  note: {note}")
    report.log(f"JAX {jax.__version__} on {jax.default_backend()}, {problem.dtype} arithmetic")


def initialise(session: Session) -> dict:
    """The start parameters, by the strategy that the bundle asks for; the strategy is logged."""
    bundle, problem, report = session.bundle, session.problem, session.report
    settings = bundle.settings
    params = initial_params(bundle, problem)
    _check_neutrality(session, params)
    model = problem.local
    if not isinstance(model, NetworkModel):
        report.line("Initialisation: coefficients of init_<atom>Params.par")
        return params
    wanted = bundle.model_state is None or settings.force_retrain
    if settings.init_epochs == 0 or not wanted:
        loaded = bundle.model_state is not None
        start = "weights of init_PPmodel.pth" if loaded else f"random, as {model.name} defines"
        report.line(f"Initialisation: {start} (seed {settings.seed})")
        return params
    curves, source = _target_curves(bundle, problem)
    report.line(f"Initialisation: {model.name} fitted to {source}")
    costs: list[tuple[int, float]] = []
    with report.progress("initial fit", settings.init_epochs) as counter:
        for stage in fit_curves(model, params["local"], curves, settings):
            found = np.asarray(stage.costs, np.float64)
            if not np.isfinite(found).all():
                raise NumericalError("the fit of the initial potential diverged: lower its rate")
            costs += [(len(costs) + i, float(c)) for i, c in enumerate(found)]
            params = {**params, "local": stage.variables}
            if settings.init_log_gradients:
                report.log(f"initial fit: gradient norm {float(stage.gradient_norms[-1]):.3e}")
            counter.update(stage.epoch, f"cost {found[-1]:.3e}")
    session.outputs.costs("init_train_cost", costs)
    session.outputs.cost_figure("init_train_cost", {"fit of v(q)": costs})
    return params


def baseline(session: Session, params: dict) -> None:
    """Bands and curves of the initialised potential, and of the analytic one it came from."""
    outputs = session.outputs
    outputs.basis_states()
    old_functional_form(session)
    bands = session.bands(params)
    session.report_errors("Initialised potential", params, bands)
    outputs.band_tables("initZunger", bands)
    outputs.band_figure("initZunger", {"initial": bands}, PDF)
    outputs.potential_tables("initZunger", params)
    outputs.potential_figure("initZunger", {"initial": params}, PDF_AND_PNG)
    outputs.parameters("initZunger", params)


def old_functional_form(session: Session) -> None:
    """oldFunc_*: bands of the Zunger form, where the bundle has its coefficients."""
    bundle = session.bundle
    if bundle.coefficients is None:
        return
    problem = build_problem(bundle, "zunger", session.problem.precision, session.problem.solver)
    params = initial_params(bundle, problem)
    bands = session.bands(params, problem)
    session.report_errors("Zunger form", params, bands, problem)
    session.outputs.band_tables("oldFunc", bands)
    session.outputs.band_figure("oldFunc", {"Zunger form": bands}, PDF)


def export(session: Session, prefix: str, params: dict, initial: dict | None = None) -> None:
    """Bands and potentials of the outcome, as tables and figures; `initial` for comparison."""
    outputs = session.outputs
    name = "fit" if initial is not None else "potential"
    bands = session.bands(params)
    session.report_errors(f"{prefix.capitalize()} potential", params, bands)
    curves, potentials = {name: bands}, {name: params}
    if initial is not None:
        curves["initial"], potentials["initial"] = session.bands(initial), initial
    outputs.band_tables(prefix, bands)
    outputs.band_figure(prefix, curves, PDF_AND_PNG)
    outputs.potential_tables(prefix, params)
    outputs.potential_figure(prefix, potentials, PDF_AND_PNG)


def _target_curves(bundle: Bundle, problem: Problem) -> tuple[Curves, str]:
    """The curves that a network starts from: a table if there is one, else the Zunger form."""
    table = bundle.tabulated_potential
    if table is not None:
        columns = jnp.asarray(table, problem.dtype)
        curves = Curves(columns[:, 0], columns[:, 1:], jnp.ones(len(columns), problem.dtype))
        return curves, "init_qSpace_pot.par"
    q = jnp.linspace(0.0, _FIT_LARGEST_Q, _FIT_POINTS, dtype=problem.dtype)
    coefficients = jnp.asarray(bundle.coefficients, problem.dtype)
    return analytic_curves(q, zunger_form(q, coefficients[:, :4])), "the Zunger form"


def _check_neutrality(session: Session, params: dict) -> None:
    charges = np.asarray(session.problem.composition @ params["long_range"])
    for system, charge in zip(session.bundle.systems, charges, strict=True):
        if abs(charge) > _NEUTRAL:
            session.report.line(
                f"  warning: {system.name} is not neutral: its a4 add up to {charge:.3g}, and the "
                "long-range potential at G = 0 is left out"
            )
