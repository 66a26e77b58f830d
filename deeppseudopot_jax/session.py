"""What the stages of a run share: inputs, outputs, log, and energies that are looked at."""

import resource
import time
from dataclasses import dataclass

import jax
import numpy as np
from jaxtyping import Array

from deeppseudopot_jax.cost_terms import CostOfBands
from deeppseudopot_jax.montecarlo.chain import Chain
from deeppseudopot_jax.observables.band_errors import aligned, fitted_levels, rms_error
from deeppseudopot_jax.observables.bands import bands_of_levels
from deeppseudopot_jax.observables.fallback import with_dense_fallback
from deeppseudopot_jax.observables.states import solve_levels
from deeppseudopot_jax.outputs import Outputs
from deeppseudopot_jax.parallel import gathered, on_host
from deeppseudopot_jax.problem import Problem
from deeppseudopot_jax.reporting import Report
from deeppseudopot_jax.types import Bundle


class NumericalError(Exception):
    """A cost or energy is not finite; the message says where."""


@dataclass(frozen=True, eq=False)
class Session:
    """What every stage needs.

    `cost_of_bands` is what training minimises, `chains` are the Monte Carlo runs that the bundle
    asks for.
    """

    bundle: Bundle
    problem: Problem
    outputs: Outputs
    report: Report
    cost_of_bands: CostOfBands
    chains: tuple[Chain, ...] = ()

    def bands(self, params: dict, problem: Problem | None = None) -> list[np.ndarray]:
        """Band energies (eV) of every system; k-points that do not converge are solved densely.

        Raises:
            NumericalError: if any is not finite.
        """
        start = time.perf_counter()
        problem = problem or self.problem
        states, fallbacks = with_dense_fallback(
            problem, params, jax.jit(solve_levels)(problem, params)
        )
        if fallbacks:
            self.report.line(f"{fallbacks} k-points did not converge and were solved densely")
        found: list[np.ndarray] = on_host(_bands(problem, tuple(s.energies for s in states)))
        for system, bands in zip(self.bundle.systems, found, strict=True):
            failed = np.flatnonzero(~np.isfinite(bands).all(axis=1))
            if len(failed):
                raise NumericalError(
                    f"{system.name}: energies at k-points {failed.tolist()} are not finite; look "
                    "at the potential's parameters"
                )
        settings = self.bundle.settings
        if settings.log_runtime:
            self.report.log(f"band structure: {time.perf_counter() - start:.2f} s")
        if settings.log_memory:
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            self.report.log(f"peak memory so far: {peak:.0f} MB")
        return found

    def cost(
        self, params: dict, bands: list[np.ndarray], problem: Problem | None = None
    ) -> float | None:
        """The cost of known energies; None where a system has no reference to compare with."""
        if any(system.reference_energies is None for system in self.bundle.systems):
            return None
        return float(_cost(self.cost_of_bands, problem or self.problem, params, bands))

    def report_errors(
        self, what: str, params: dict, bands: list[np.ndarray], problem: Problem | None = None
    ) -> None:
        """One line with the root mean square error of every system, and the total cost."""
        errors = []
        for system, found in zip(self.bundle.systems, bands, strict=True):
            reference = system.reference_energies
            if reference is None:
                continue
            comparable = aligned(found, reference, system.relative_band)
            counted = fitted_levels(reference, system.level_weights)
            error = rms_error(comparable, reference, counted)
            if error is not None:
                errors.append(f"{system.name} {1000.0 * error:.0f} meV")
        cost = self.cost(params, bands, problem)
        if cost is not None:
            errors.append(f"cost {cost:.4f}")
        if errors:
            self.report.line(f"{what}: root mean square error " + ", ".join(errors))


@jax.jit
def _cost(cost: CostOfBands, problem: Problem, params: dict, bands: list[Array]) -> Array:
    return cost(problem, params, bands)


@jax.jit
def _bands(problem: Problem, energies: tuple[Array, ...]) -> list[Array]:
    """Bands from the energies (Ha) of every group, whole on every device."""
    levels = tuple(
        gathered(group.layout, found[..., : group.n_levels])
        for found, group in zip(energies, problem.groups, strict=True)
    )
    return bands_of_levels(problem, levels)
