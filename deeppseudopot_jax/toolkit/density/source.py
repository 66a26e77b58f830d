"""The states that a density is made of: solved for here, or read from a file."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from deeppseudopot_jax.costs.diagnosis import potential_failure
from deeppseudopot_jax.errors import InputError, NumericalError
from deeppseudopot_jax.files.bundle.potential import Potential
from deeppseudopot_jax.files.results.states import SavedStates, StateSets, read_states
from deeppseudopot_jax.observables.bloch_states import BlochStates, bloch_states
from deeppseudopot_jax.problem import build_problem, local_model, with_local
from deeppseudopot_jax.run.checks.potential import parameters_of
from deeppseudopot_jax.run.stages.states import state_sets
from deeppseudopot_jax.types import Bundle, SystemInput

_SAME_LENGTH = 1e-5
"""Of lattice and positions; files carry eight decimals."""


@dataclass(frozen=True, eq=False)
class Solving:
    """States of a potential, solved for one k-point after the other."""

    bundle: Bundle
    system: SystemInput
    taken: Potential | None = None

    @property
    def sets(self) -> StateSets:
        """What the states are of."""
        return state_sets(self.system, self.bundle.settings)

    @property
    def name(self) -> str:
        """Where they come from."""
        where = self.bundle.folder if self.taken is None else self.taken.folder
        return f"the potential of {where}"

    def states(self) -> Iterator[BlochStates]:
        """Those of every k-point in turn.

        Raises:
            NumericalError: if a state is not found.
            InputError: if the potential of a run is another one under these settings.
        """
        alone = replace(self.bundle, systems=(self.system,))
        # A network knows the largest wave number of all systems of its bundle.
        problem = with_local(build_problem(alone), local_model(self.bundle))
        params = parameters_of(alone, problem, self.taken)
        if failure := potential_failure(problem, params):
            raise NumericalError(failure)
        yield from bloch_states(problem, params, 0)


@dataclass(frozen=True, eq=False)
class Reading:
    """States of a file that `eval --save-states` has written."""

    saved: SavedStates

    @property
    def sets(self) -> StateSets:
        """What the states are of."""
        return self.saved.sets

    @property
    def name(self) -> str:
        """Where they come from."""
        return str(self.saved.path)

    def states(self) -> Iterator[BlochStates]:
        """Those of every k-point in turn.

        Raises:
            InputError: if the file is damaged.
        """
        for k, coefficients in enumerate(self.saved.coefficients()):
            yield BlochStates(self.saved.energies[k], coefficients, self.sets.waves_at(k))


Source = Solving | Reading


def system_alone(system: SystemInput, n_bands: int) -> SystemInput:
    """A system with its lowest bands and without anything that it may be compared with."""
    return replace(
        system,
        n_bands=n_bands,
        band_weights=np.ones(n_bands),
        band_order=None,
        path_length=None,
        reference_energies=None,
        valence_band=None,
        conduction_band=None,
        gap_k_point=None,
        relative_band=None,
        fit_deformation=False,
        fit_couplings=False,
        fit_masses=False,
        deformation_targets=(),
        coupling_targets=(),
        held_out=None,
    )


def reading(path: Path, system: SystemInput, is_spinor: bool, n_levels: int) -> Reading:
    """The states of a file, which must be those of this system.

    Raises:
        InputError: if they are of another crystal or kind, or too few.
    """
    saved = read_states(path)
    crystal, expected = saved.sets.crystal, system.crystal
    if crystal.symbols != expected.symbols:
        found, legal = " ".join(crystal.symbols), " ".join(expected.symbols)
        raise InputError(
            f"{path}: symbols: found {found}; legal: {legal}, as system_{system.index}.par"
        )
    for name, one, other in (
        ("lattice", crystal.lattice, expected.lattice),
        ("positions", crystal.fractional_positions, expected.fractional_positions),
    ):
        if np.abs(one - other).max() > _SAME_LENGTH * max(1.0, np.abs(other).max()):
            raise InputError(f"{path}: {name}: found others than in system_{system.index}.par")
    if saved.sets.is_spinor != is_spinor:
        raise InputError(
            f"{path}: spinor: found {saved.sets.is_spinor}; legal: {is_spinor}, as SObool says"
        )
    if saved.sets.n_bands < n_levels:
        each = "one band" if is_spinor else "two bands"
        raise InputError(
            f"{path}: found {saved.sets.n_bands} levels of {each} each; legal: {n_levels} at least "
            "for the bands asked for"
        )
    return Reading(saved)
