"""A bundle looked at as a run would, without running it."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import jax.numpy as jnp
import numpy as np

from deeppseudopot_jax.errors import InputError, UserError
from deeppseudopot_jax.files.bundle.reader import read_bundle
from deeppseudopot_jax.files.findings import BundleError
from deeppseudopot_jax.potentials.networks import NetworkModel
from deeppseudopot_jax.potentials.state_dict import from_state_dict
from deeppseudopot_jax.potentials.zunger import zunger_form
from deeppseudopot_jax.problem import Problem, local_model
from deeppseudopot_jax.run.checks.idle import remarks as idle_remarks
from deeppseudopot_jax.run.checks.plan import RunPlan, plan_of
from deeppseudopot_jax.run.checks.resources import check_resources
from deeppseudopot_jax.run.preparation import prepare, tables_of
from deeppseudopot_jax.toolkit.doctor.checks import CHECKS
from deeppseudopot_jax.toolkit.doctor.examined import Curves, Examined
from deeppseudopot_jax.toolkit.doctor.needs import memory_in_words, seconds_of, time_in_words
from deeppseudopot_jax.toolkit.doctor.remarks import Remark
from deeppseudopot_jax.toolkit.doctor.start import start_bands, start_of
from deeppseudopot_jax.types import Bundle


@dataclass(frozen=True)
class Examination:
    """What is to be said of a bundle.

    Attributes:
        folder: of the bundle.
        facts: about it, by their name.
        remarks: problems first, then warnings, then notes.
    """

    folder: Path
    facts: Mapping[str, str] = field(default_factory=dict)
    remarks: tuple[Remark, ...] = ()

    @property
    def is_refused(self) -> bool:
        """Whether a run of the bundle would end before it computes anything."""
        return any(remark.severity == "problem" for remark in self.remarks)


def examine(folder: Path | str) -> Examination:
    """Everything that can be said of a bundle in seconds: problems, classic mistakes, needs."""
    folder = Path(folder)
    try:
        bundle = read_bundle(folder)
    except BundleError as error:
        found = [Remark("inputs", "problem", str(problem)) for problem in error.problems]
        return Examination(folder, remarks=tuple(found))
    examined = without_bands(bundle)
    plans = examined.plans
    found = [Remark("inputs", "note", note) for note in bundle.notes]
    found += [Remark("idle", "note", text) for text in idle_remarks(*plans)]
    facts = {"bundle": str(folder), **_facts(bundle, plans), "memory": memory_in_words(plans)}
    try:
        found += [Remark("memory", "note", note) for note in check_resources(plans, "float64")]
        problem = _prepared(bundle, plans)
    except UserError as error:
        found.append(Remark("bundle", "problem", str(error)))
    else:
        facts["plane waves"] = ", ".join(
            f"{system.name} {n}" for system, n in zip(bundle.systems, problem.n_waves, strict=True)
        )
        examined = replace(examined, n_waves=problem.n_waves)
        examined, facts["time"], more = _with_start(examined)
        found += more
    found += [remark for check in CHECKS for remark in check(examined)]
    ranks = ("problem", "warning", "note")
    return Examination(folder, facts, tuple(sorted(found, key=lambda r: ranks.index(r.severity))))


def without_bands(bundle: Bundle) -> Examined:
    """What is known of a bundle before anything is computed."""
    plans = [plan_of(replace(bundle, settings=settings)) for settings in bundle.settings.by_stage]
    return Examined(bundle, tuple(plans), curves=_curves(bundle), formula=_formula(bundle))


def _prepared(bundle: Bundle, plans: Sequence[RunPlan]) -> Problem:
    """What a run does before it writes anything; raises what a run would."""
    tables = tables_of(bundle, "float64")
    for plan in plans:
        prepare(plan, tables)
    return tables[0]


def _with_start(examined: Examined) -> tuple[Examined, str, list[Remark]]:
    """The same with bands of the start, the time of a run, and why there are none."""
    name = "start"
    start = start_of(examined.plans[0])
    if start is None:
        text = "no bands are computed: the run starts from random weights"
        return examined, "not known", [Remark(name, "note", text)]
    solved = start_bands(start)
    if solved is None:
        text = "no bands are computed: they would take minutes"
        return examined, "not known", [Remark(name, "note", text)]
    if not all(
        np.isfinite(s.bands).all() and np.isfinite(s.larger_basis).all() for s in solved.bands
    ):
        text = "bands of the potential that the run starts from are not finite"
        remedy = "look at v(q): a2 exp(a3 q^2) - 1 of the Zunger form may have a zero"
        return examined, "not known", [Remark(name, "warning", text, remedy)]
    seconds = seconds_of(examined.plans, solved.seconds)
    told = (
        f"of the order of {time_in_words(seconds)} on this machine, compiling and figures apart "
        f"({1000.0 * solved.seconds:.2g} ms for one k-point from scratch)"
    )
    return replace(examined, start=solved.bands), told, []


def _facts(bundle: Bundle, plans: Sequence[RunPlan]) -> dict[str, str]:
    systems = [
        f"{system.name}: {len(system.k_points)} k-points, {system.n_bands} bands, maxKE "
        f"{system.max_kinetic_energy:g} Ha, atoms {' '.join(system.crystal.symbols)}"
        for system in bundle.systems
    ]
    return {
        "model": bundle.settings.model,
        "species": " ".join(bundle.species),
        "systems": "; ".join(systems),
        "run": "; then ".join(map(_in_words, plans)),
    }


def _in_words(plan: RunPlan) -> str:
    settings = plan.settings
    starts = {
        "coefficients": "init_<atom>Params.par",
        "checkpoint": "init_PPmodel.pth",
        "random": "random weights",
    }
    text = f"{settings.model} from {starts[plan.start]}"
    if plan.initial_fit is not None:
        curve = {"zunger": "the Zunger form", "table": "init_qSpace_pot.par"}[plan.initial_fit]
        text += f", first fitted to {curve}"
    if plan.mode == "gradient":
        text += f", {settings.max_epochs} updates by {settings.optimizer}"
    elif plan.mode == "monte_carlo":
        text += ", Monte Carlo"
    return text


def _curves(bundle: Bundle) -> tuple[tuple[str, Curves], ...]:
    """Of files whose columns or outputs have no names."""
    found: list[tuple[str, Curves]] = []
    table, model, state = bundle.tabulated_potential, local_model(bundle), bundle.model_state
    if table is not None:
        found.append(("init_qSpace_pot.par", partial(_interpolated, table)))
    if state is not None and isinstance(model, NetworkModel):
        with suppress(InputError):  # a run refuses weights of another model, which is told as such
            weights = from_state_dict(model, state)
            found.append(("init_PPmodel.pth", partial(_applied, model, weights)))
    return tuple(found)


def _applied(model: NetworkModel, weights: dict, q: np.ndarray) -> np.ndarray:
    return np.asarray(model.apply(weights, jnp.asarray(q)))


def _interpolated(table: np.ndarray, q: np.ndarray) -> np.ndarray:
    return np.stack([np.interp(q, table[:, 0], column) for column in table.T[1:]], axis=1)


def _formula(bundle: Bundle) -> Curves | None:
    rows = bundle.coefficients
    if rows is None or not rows[:, :4].any():
        return None
    return lambda q: np.asarray(zunger_form(jnp.asarray(q), jnp.asarray(rows[:, :4])))
