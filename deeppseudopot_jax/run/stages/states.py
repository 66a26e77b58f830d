"""The wave functions of an evaluation, in files that other programs can read."""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext

import jax.numpy as jnp
import numpy as np

from deeppseudopot_jax.basis import plane_waves
from deeppseudopot_jax.costs.diagnosis import potential_failure
from deeppseudopot_jax.errors import NumericalError
from deeppseudopot_jax.files.results.states import AddStates, StateSets, states_file
from deeppseudopot_jax.observables.bands import in_order, repeat_spin
from deeppseudopot_jax.observables.bloch_states import bloch_states
from deeppseudopot_jax.observables.spin_texture import SpinTexture, spin_texture
from deeppseudopot_jax.parameters import Parameters
from deeppseudopot_jax.run.session import Session, Solved
from deeppseudopot_jax.settings import Settings
from deeppseudopot_jax.types import SystemInput

_SPIN_COLUMNS = (
    "k_point", "band", "energy(eV)", "sigma_x", "sigma_y", "sigma_z", "multiplet",
    "mean_x", "mean_y", "mean_z",
)  # fmt: skip


def saved_states(session: Session, params: Parameters) -> Solved:
    """The potential with its bands; the states that they are of are in eval_states_sys<X>.npz.

    With spin-orbit, eval_spin_sys<X>.dat has their spins. Bands that are followed along the path
    are solved for once more, since their order follows from all k-points together.

    Raises:
        NumericalError: if a state is not found.
    """
    problem = session.problem
    if failure := potential_failure(problem, params):
        raise NumericalError(failure)
    bands = [_saved(session, params, index) for index in range(len(problem.targets))]
    return session.solved(params) if problem.follows else Solved(problem, params, bands)


def _saved(session: Session, params: Parameters, index: int) -> np.ndarray:
    """Bands (eV) of one system whose states are written."""
    problem, system = session.problem, session.bundle.systems[index]
    target, is_spinor = problem.targets[index], session.bundle.settings.spin_orbit
    energies: list[np.ndarray] = []
    spins: list[SpinTexture] = []
    n_dense = 0

    def last() -> Mapping[str, np.ndarray]:
        return {"energies": np.array(energies), **_spin_arrays(spins)}

    sets = state_sets(system, session.bundle.settings)
    file: AbstractContextManager[AddStates] = nullcontext(lambda states: None)
    if session.outputs.folder is not None:
        file = states_file(session.outputs.file(f"eval_states_sys{system.index}.npz"), sets, last)
    with file as add:
        for states in bloch_states(problem, params, index):
            coefficients = states.coefficients
            if is_spinor:
                found = spin_texture(jnp.asarray(states.energies), jnp.asarray(coefficients))
                coefficients = np.asarray(found.coefficients)
                spins.append(found._replace(coefficients=coefficients[:0]))
            energies.append(states.energies)
            n_dense += states.dense_fallbacks
            add(coefficients)
    if n_dense:
        session.report.line(f"{n_dense} k-points did not converge and were solved densely")
    if is_spinor:
        rows = _spin_rows(energies, spins)
        session.outputs.table(f"eval_spin_sys{system.index}", rows, _SPIN_COLUMNS)
    doubled = repeat_spin(jnp.asarray(np.array(energies)), 2 if is_spinor else 1)
    bands = doubled[:, : target.n_bands].astype(problem.dtype)
    return np.asarray(bands if target.following else in_order(bands, target))


def state_sets(system: SystemInput, settings: Settings) -> StateSets:
    """What the states of a system of a bundle are of."""
    waves = plane_waves(
        system.crystal, system.max_kinetic_energy, settings.basis_sphere, system.k_points
    )
    n_bands = system.n_bands if settings.spin_orbit else -(-system.n_bands // 2)
    return StateSets(
        system.crystal,
        system.k_points,
        system.k_weights,
        waves.integers,
        waves.mask,
        n_bands,
        settings.spin_orbit,
    )


def _spin_arrays(spins: list[SpinTexture]) -> dict[str, np.ndarray]:
    if not spins:
        return {}
    return {
        "sigma": np.array([np.asarray(found.sigma) for found in spins]),
        "sigma_mean": np.array([np.asarray(found.mean) for found in spins]),
        "multiplet": np.array([np.asarray(found.multiplet) for found in spins]),
    }


def _spin_rows(energies: list[np.ndarray], spins: list[SpinTexture]) -> list[tuple]:
    rows = []
    for k, (levels, found) in enumerate(zip(energies, spins, strict=True)):
        sigma, mean, multiplet = map(np.asarray, (found.sigma, found.mean, found.multiplet))
        for n, energy in enumerate(levels):
            rows.append((k, n, float(energy), *sigma[n], int(multiplet[n]), *mean[n]))
    return rows
