"""The potential of a bundle, or of a run of it, ready to be evaluated anywhere."""

from dataclasses import dataclass
from pathlib import Path

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from deeppseudopot_jax.files.bundle.potential import Potential
from deeppseudopot_jax.parameters import COLUMNS, LONG_RANGE, Parameters
from deeppseudopot_jax.potentials.compose import LocalModel
from deeppseudopot_jax.potentials.long_range import long_range_potential, long_range_tail
from deeppseudopot_jax.problem import Problem, build_problem
from deeppseudopot_jax.run.checks.capabilities import check_initialised
from deeppseudopot_jax.run.checks.plan import RunPlan
from deeppseudopot_jax.run.checks.potential import evaluation_of, parameters_of
from deeppseudopot_jax.run.potential_files import coefficients_of
from deeppseudopot_jax.types import Bundle


@dataclass(frozen=True, eq=False)
class LoadedPotential:
    """A potential with the bundle that says what it is of.

    Attributes:
        bundle: with the coefficients and weights of the potential.
        problem: of that bundle.
        params: of the potential.
        source: the folder that it comes from.
    """

    bundle: Bundle
    problem: Problem
    params: Parameters
    source: Path

    @property
    def species(self) -> tuple[str, ...]:
        """Sorted by symbol, as the columns of every array here."""
        return self.problem.species

    @property
    def model(self) -> LocalModel:
        """The short-range local model."""
        return self.problem.local

    @property
    def gamma(self) -> float:
        """Of the long-range tail, Bohr^-1."""
        return float(self.problem.channels.long_range_gamma)

    @property
    def has_tail(self) -> bool:
        """Whether any species has a long-range part."""
        return bool(np.any(np.asarray(self.params.long_range)))

    @property
    def rows(self) -> Float[np.ndarray, "species 9"]:
        """a0 to a8 of every species, as coefficient files have them."""
        return coefficients_of(self.bundle, self.problem, self.params)

    @property
    def acting(self) -> Float[np.ndarray, "species 9"]:
        """The same with 0 for the channels that SObool and strainBool switch off."""
        rows = self.rows.copy()
        off = {"spin_orbit", "nonlocal"} if not self.bundle.settings.spin_orbit else set()
        off |= set() if self.bundle.settings.strain else {"strain"}
        for channel in off:
            rows[:, COLUMNS[channel]] = 0.0
        return rows

    def short_range(self, q: Float[np.ndarray, " q"]) -> Float[np.ndarray, "q species"]:
        """v(q) in Ha Bohr^3 without the tail, for q in Bohr^-1."""
        return np.asarray(self.model.apply(self.params.local, jnp.asarray(q)), np.float64)

    def tail(self, q: Float[np.ndarray, " q"]) -> Float[np.ndarray, "q species"]:
        """The tail in Ha Bohr^3, for q in Bohr^-1."""
        a4 = self.params.long_range
        return np.asarray(long_range_tail(jnp.asarray(q), a4, self.gamma), np.float64)

    def tail_in_real_space(self, r: Float[np.ndarray, " r"]) -> Float[np.ndarray, "r species"]:
        """The tail in Ha, for r in Bohr."""
        a4 = self.params.long_range
        return np.asarray(long_range_potential(jnp.asarray(r), a4, self.gamma), np.float64)


def plan_to_load(
    inputs: Path | str, results: Path | str | None = None
) -> tuple[RunPlan, Potential | None]:
    """What `load` needs: the bundle is read, and nothing is computed.

    Raises:
        BundleError: listing everything wrong with the inputs, or with the files in `results`.
        UnsupportedError: if PPmodel is a network and nobody has trained it.
    """
    plan, taken = evaluation_of(inputs, results)
    check_initialised(plan)
    return plan, taken


def load(plan: RunPlan, taken: Potential | None) -> LoadedPotential:
    """The potential of a plan.

    Raises:
        InputError: if the weights do not fit PPmodel, or the settings make another potential of
            the files of a run than they were there.
    """
    problem = build_problem(plan.bundle)
    params = parameters_of(plan.bundle, problem, taken)
    source = plan.bundle.folder if taken is None else taken.folder
    return LoadedPotential(plan.bundle, problem, params, source)


def load_potential(inputs: Path | str, results: Path | str | None = None) -> LoadedPotential:
    """The potential of the bundle `inputs`, or the one that a run of it has left in `results`.

    Raises:
        BundleError: listing everything wrong with the inputs, or with the files in `results`.
        UnsupportedError: if PPmodel is a network and nobody has trained it.
        InputError: if the weights do not fit PPmodel, or the settings make another potential of
            the files of a run than they were there.
    """
    return load(*plan_to_load(inputs, results))


def has_tail(bundle: Bundle) -> bool:
    """Whether a bundle gives any species a long-range part."""
    rows = bundle.coefficients
    return rows is not None and bool(np.any(rows[:, LONG_RANGE]))
