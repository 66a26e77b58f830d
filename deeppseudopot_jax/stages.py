"""The stages of a run beside the optimisation: describe, initialise, evaluate, export."""

from dataclasses import dataclass
from importlib import metadata

import jax
import jax.numpy as jnp
import numpy as np

from deeppseudopot_jax.idle import remarks
from deeppseudopot_jax.initialize import initial_params, is_random, why_not_fitted
from deeppseudopot_jax.outputs import PDF, PDF_AND_PNG
from deeppseudopot_jax.potentials.long_range import long_range_tail
from deeppseudopot_jax.potentials.networks import NetworkModel
from deeppseudopot_jax.potentials.zunger import zunger_form
from deeppseudopot_jax.problem import build_problem, distribute
from deeppseudopot_jax.session import NumericalError, Session
from deeppseudopot_jax.training.regression import Curves, analytic_curves, fit_curves
from deeppseudopot_jax.training.trainable import trained_channels

_FIT_POINTS = 2001
_FIT_LARGEST_Q = 10.0  # Bohr^-1
_NEUTRAL = 1e-8


@dataclass(frozen=True, eq=False)
class Start:
    """Start parameters, and v(q) on the grid of the outputs that a network was fitted to."""

    params: dict
    target: np.ndarray | None = None


def describe(session: Session) -> None:
    """Tell what is calculated, and everything about the bundle that its user should know."""
    bundle, problem, report = session.bundle, session.problem, session.report
    settings = bundle.settings
    report.log(
        f"deeppseudopot-jax {_version()}, JAX {jax.__version__} on {jax.default_backend()}, "
        f"{problem.dtype} arithmetic"
    )
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
            f"  {system.name}: {len(system.k_points)} k-points, {system.n_bands} bands, "
            f"{n_waves} plane waves{', spin-orbit and nonlocal' if settings.spin_orbit else ''}"
        )
        if cut:
            report.line(
                f"    {cut} more waves have |G|^2/2 < maxKE but lie outside the index bound of "
                "the reference code; basis_sphere = G_full includes them"
            )
    if settings.max_epochs > 0:
        report.log(f"trained channels: {', '.join(trained_channels(settings))}")
    for note in (*bundle.notes, *remarks(bundle)):
        report.line(f"  note: {note}")


def load(session: Session) -> dict:
    """The start parameters before any fit, with a line that says where they come from."""
    bundle, problem = session.bundle, session.problem
    params = initial_params(bundle, problem)
    if bundle.settings.trains_coefficients:
        source = "coefficients of init_<atom>Params.par"
    elif is_random(bundle):
        source = f"random, as {bundle.settings.model} defines (seed {bundle.settings.seed})"
    else:
        source = "weights of init_PPmodel.pth"
    session.report.line(f"Initialisation: {source}")
    charges = np.asarray(problem.composition @ params["long_range"])
    for system, charge in zip(bundle.systems, charges, strict=True):
        if abs(charge) > _NEUTRAL:
            session.report.line(
                f"  warning: {system.name} is not neutral: its a4 add up to {charge:.3g}, and the "
                "long-range potential at G = 0 is left out"
            )
    return params


def initialise(session: Session) -> Start:
    """The start parameters, fitted to curves v(q) where the bundle asks for it."""
    bundle, report, outputs = session.bundle, session.report, session.outputs
    settings, model = bundle.settings, session.problem.local
    params = load(session)
    if why_not_fitted(bundle):
        return Start(params)
    assert isinstance(model, NetworkModel)
    curves, source = _target_curves(session, params)
    again = "" if bundle.model_state is None else " again"
    report.line(f"Initialisation: these weights are fitted{again} to {source}")
    target = _on_output_grid(session, curves, params)
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
            _initial_potential_figure(session, Start(params, target))
            counter.update(stage.epoch, f"cost {found[-1]:.3e}")
    outputs.costs("init_train_cost", costs)
    outputs.cost_figure("init_train_cost", {"fit of v(q)": costs}, "(Ha Bohr$^3$)$^2$")
    return Start(params, target)


def baseline(session: Session, start: Start) -> list[np.ndarray]:
    """Bands and curves of the initialised potential, and of the analytic one it came from.

    Returns the band energies (eV) of the initialised potential.
    """
    outputs, params = session.outputs, start.params
    outputs.basis_states()
    old_functional_form(session)
    bands = session.bands(params)
    session.report_errors("Initialised potential", params, bands)
    outputs.band_tables("initZunger", bands)
    outputs.band_figure("initZunger", {"initial": bands}, PDF)
    outputs.potential_tables("initZunger", params)
    _initial_potential_figure(session, start)
    outputs.parameters("initZunger", params)
    return bands


def old_functional_form(session: Session) -> None:
    """oldFunc_*: bands of the Zunger form, where the bundle has its coefficients."""
    bundle = session.bundle
    if bundle.coefficients is None:
        return
    built = build_problem(bundle, "zunger", session.problem.precision, session.problem.solver)
    problem = distribute(built)
    params = initial_params(bundle, problem)
    bands = session.bands(params, problem)
    session.report_errors("Zunger form", params, bands, problem)
    session.outputs.band_tables("oldFunc", bands)
    session.outputs.band_figure("oldFunc", {"Zunger form": bands}, PDF)


def export(
    session: Session,
    prefix: str,
    params: dict,
    initial: tuple[dict, list[np.ndarray]] | None = None,
) -> None:
    """Bands and potentials of the outcome, as tables and figures.

    `initial` are parameters and their bands to compare with.
    """
    outputs = session.outputs
    name = "fit" if initial is not None else "potential"
    bands = session.bands(params)
    session.report_errors(f"{prefix.capitalize()} potential", params, bands)
    curves, potentials = {name: bands}, {name: outputs.form_factors(params)}
    if initial is not None:
        before, curves["initial"] = initial
        potentials["initial"] = outputs.form_factors(before)
    outputs.band_tables(prefix, bands)
    outputs.band_figure(prefix, curves, PDF_AND_PNG)
    outputs.potential_tables(prefix, params)
    outputs.potential_figure(prefix, potentials, PDF_AND_PNG)


def _target_curves(session: Session, params: dict) -> tuple[Curves, str]:
    """What a network is to be at first: a table if there is one, else the Zunger form.

    A table is a whole potential, as *_qSpace_pot.dat is; the network gives its short-range part.
    """
    bundle, problem = session.bundle, session.problem
    table, a4 = bundle.tabulated_potential, params["long_range"]
    if table is None:
        q = jnp.linspace(0.0, _FIT_LARGEST_Q, _FIT_POINTS, dtype=problem.dtype)
        coefficients = jnp.asarray(bundle.coefficients, problem.dtype)
        return analytic_curves(q, zunger_form(q, coefficients[:, :4])), "the Zunger form"
    columns = jnp.asarray(table, problem.dtype)
    q = columns[:, 0]
    v = columns[:, 1:] - long_range_tail(q, a4, bundle.settings.long_range_gamma)
    less = " less the long-range tail of a4" if a4.any() else ""
    return Curves(q, v, jnp.ones(len(q), problem.dtype)), f"init_qSpace_pot.par{less}"


def _on_output_grid(session: Session, curves: Curves, params: dict) -> np.ndarray:
    """The whole potential that belongs to target curves, NaN beyond them."""
    grid = session.outputs.q
    short = [
        np.interp(grid, np.asarray(curves.q), column, left=np.nan, right=np.nan)
        for column in np.asarray(curves.v).T
    ]
    gamma = session.bundle.settings.long_range_gamma
    tail = long_range_tail(jnp.asarray(grid), params["long_range"], gamma)
    return np.stack(short, axis=1) + np.asarray(tail)


def _initial_potential_figure(session: Session, start: Start) -> None:
    curves = {"initial": session.outputs.form_factors(start.params)}
    if start.target is not None:
        curves = {"network": curves["initial"], "target": start.target}
    session.outputs.potential_figure("initZunger", curves, PDF_AND_PNG)


def _version() -> str:
    try:
        return metadata.version("deeppseudopot-jax")
    except metadata.PackageNotFoundError:
        return "(version unknown: not installed)"
