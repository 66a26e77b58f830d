"""What the stages of a run share: its plan, outputs, log, and potentials with their bands."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from deeppseudopot_jax.costs.bands import held_out_cost
from deeppseudopot_jax.costs.diagnosis import k_points_not_found, potential_failure
from deeppseudopot_jax.costs.interface import Cost, Evaluated
from deeppseudopot_jax.errors import NumericalError
from deeppseudopot_jax.montecarlo.chain import Chain
from deeppseudopot_jax.observables.band_errors import aligned, fitted_levels, rms_error
from deeppseudopot_jax.observables.band_numbers import gaps
from deeppseudopot_jax.observables.evaluation import Carried, evaluate_bands
from deeppseudopot_jax.parallel import on_host
from deeppseudopot_jax.parameters import Parameters
from deeppseudopot_jax.problem import Problem
from deeppseudopot_jax.run.checks.plan import RunPlan
from deeppseudopot_jax.run.compilation import Ahead
from deeppseudopot_jax.run.outputs import Outputs
from deeppseudopot_jax.run.preparation import Prepared
from deeppseudopot_jax.run.reporting import Report
from deeppseudopot_jax.run.timing import host_peak
from deeppseudopot_jax.types import Bundle, SystemInput


@dataclass(frozen=True, eq=False)
class Solved:
    """A potential with its band energies (eV), which nobody needs to solve for again.

    `problem` is the one that the parameters belong to; `carried` has wave functions to start from.
    """

    problem: Problem
    params: Parameters
    bands: list[np.ndarray]
    carried: Carried | None = None


@dataclass(frozen=True, eq=False)
class Session:
    """What every stage needs.

    `cost` is what the log calls the cost of a potential, and what training minimises; `chains` are
    the Monte Carlo runs that the bundle asks for.
    """

    plan: RunPlan
    problem: Problem
    outputs: Outputs
    report: Report
    cost: Cost
    chains: tuple[Chain, ...] = ()
    ahead: Ahead = field(default_factory=Ahead)

    @property
    def bundle(self) -> Bundle:
        """What is calculated."""
        return self.plan.bundle

    @property
    def prepared(self) -> Prepared:
        """What the session was made of."""
        return Prepared(self.plan, self.problem, self.cost, self.chains)

    def solved(
        self, params: Parameters, problem: Problem | None = None, near: Carried | None = None
    ) -> Solved:
        """A potential with its bands; k-points that do not converge are solved densely.

        Args:
            params: of the potential.
            problem: that of the session where it is None.
            near: wave functions of a potential nearby to start from; from scratch without any.

        Raises:
            NumericalError: if any energy is not finite.
        """
        start = time.perf_counter()
        problem = problem or self.problem
        bands, fallbacks, carried = evaluate_bands(problem, params, self.plan.fits, near)
        found: list[np.ndarray] = on_host(bands)
        if fallbacks:
            self.report.line(f"{fallbacks} k-points did not converge and were solved densely")
        if failed := k_points_not_found(problem, found):
            raise NumericalError(potential_failure(problem, params) or failed)
        settings = self.bundle.settings
        if settings.log_runtime:
            self.report.log(f"band structure: {time.perf_counter() - start:.2f} s")
        if settings.log_memory:
            self.report.log(f"peak memory so far: {host_peak() / 2**20:.0f} MiB")
        return Solved(problem, params, found, carried)

    def terms(self, solved: Solved) -> Mapping[str, float]:
        """What every term of the cost adds; nothing where a system has no reference."""
        if not self.plan.has_references:
            return {}
        evaluated = Evaluated([jnp.asarray(bands) for bands in solved.bands])
        values = _values(self.cost, solved.problem, solved.params, evaluated)
        return dict(zip(self.cost.names, values.tolist(), strict=True))

    def held_out(self, solved: Solved) -> float | None:
        """The held-out cost (eV^2); None where nothing is held out."""
        if not solved.problem.holds_out:
            return None
        return float(_held_out(solved.problem, [jnp.asarray(bands) for bands in solved.bands]))

    def report_errors(self, what: str, solved: Solved) -> None:
        """One line with the root mean square errors of every system and the cost, one for its gaps.

        Each begins with `what`, since no errors stand before gaps where there is no reference.
        Errors are those of the fitted levels, and of the held-out ones where there are any.
        """
        errors = []
        for system, found in zip(self.bundle.systems, solved.bands, strict=True):
            reference = system.reference_energies
            if reference is None:
                continue
            comparable = aligned(found, reference, system.relative_band)
            fitted, held_out = (
                rms_error(comparable, reference, fitted_levels(reference, weights))
                for weights in (system.level_weights, system.held_out_weights)
            )
            text = "" if fitted is None else f" {1000.0 * fitted:.0f} meV"
            if held_out is not None:
                unseen = f"held out {1000.0 * held_out:.0f} meV"
                text += f" ({unseen})" if text else f" {unseen}"
            if text:
                errors.append(system.name + text)
        terms = self.terms(solved)
        if terms:
            errors.append(f"{self._cost_name} {sum(terms.values()):.4f} eV^2{spelled(terms)}")
        unseen_cost = self.held_out(solved)
        if unseen_cost is not None:
            errors.append(f"held out {unseen_cost:.4f} eV^2")
        if errors:
            self.report.line(f"{what}: root mean square error{_order(solved)} " + ", ".join(errors))
        for system, found in zip(self.bundle.systems, solved.bands, strict=True):
            if texts := _gap_texts(system, found):
                self.report.line(f"{what}: {system.name} {', '.join(texts)}")

    @property
    def _cost_name(self) -> str:
        """What `cost` is beside the cost that a Monte Carlo run of the coefficients lowers."""
        return "sum of squares" if self.plan.samples_coefficients else "cost"


def _order(solved: Solved) -> str:
    """Of the bands that errors are those of, where it is not given by the bundle."""
    keys = sorted(rule.key for rule in solved.problem.follows)
    return f" (bands followed: {', '.join(keys)})" if keys else ""


def _gap_texts(system: SystemInput, bands: np.ndarray) -> list[str]:
    """Every gap of a system, with its reference where that is known."""
    return [
        f"{gap.name} {gap.value:.3f} eV"
        + ("" if gap.reference is None else f" (reference {gap.reference:.3f} eV)")
        for gap in gaps(system, bands)
    ]


def spelled(terms: Mapping[str, float]) -> str:
    """The terms of a cost behind its sum; empty where the sum says it all."""
    if len(terms) < 2:
        return ""
    return f" ({', '.join(f'{name} {value:.4g}' for name, value in terms.items())})"


_held_out = jax.jit(held_out_cost)


@jax.jit
def _values(cost: Cost, problem: Problem, params: Parameters, evaluated: Evaluated) -> Array:
    return cost.values(problem, params, evaluated)
