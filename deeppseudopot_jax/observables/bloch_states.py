"""Solved states as wave functions in space, one k-point after the other in bounded memory.

H has the structure factors exp(+i (G - G') . tau), so that its vectors c are those of waves
exp(-i (k+G) . r): as waves exp(+i (k+G) . r) they would show the crystal mirrored at the origin.
Time reversal gives the states of the same energy at the same k that belong to the usual waves,
psi(r) = Omega^(-1/2) sum_G d_G exp(i (k+G) . r), with d = c* and, for spinors, d = i sigma_y c*.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import jax
import numpy as np
from jaxtyping import Complex, Float, Int

from deeppseudopot_jax.batching import SystemGroup, chunks
from deeppseudopot_jax.eigensolvers.interface import States, accurate_to
from deeppseudopot_jax.errors import NumericalError
from deeppseudopot_jax.observables.bands import alone
from deeppseudopot_jax.observables.evaluation import begun, evaluate
from deeppseudopot_jax.observables.hamiltonians import Hamiltonians, group_field
from deeppseudopot_jax.observables.points import chosen_points
from deeppseudopot_jax.parallel import on_host
from deeppseudopot_jax.parameters import Parameters
from deeppseudopot_jax.problem import Problem
from deeppseudopot_jax.units import HARTREE_IN_EV

FOR_STATES = accurate_to(1e-6)
"""Residuals of states that are kept: Ha. Their densities are wrong by that over the distance to
the next level, energies by its square."""


@dataclass(frozen=True, eq=False)
class BlochStates:
    """The lowest states at one k-point, energies (eV) ascending, normalised: sum |d|^2 = 1.

    psi(r) = Omega^(-1/2) sum_G d_G exp(i (k+G) . r); without spin-orbit there is one spin
    component, and a band holds two electrons. `dense_fallbacks` counts the k-points that the
    solver has given up since the last states.
    """

    energies: Float[np.ndarray, " band"]
    coefficients: Complex[np.ndarray, "band spin wave"]
    integers: Int[np.ndarray, "wave 3"]
    dense_fallbacks: int = 0


def bloch_states(problem: Problem, params: Parameters, system_index: int) -> Iterator[BlochStates]:
    """The states of one system at each of its k-points in turn.

    Only as many k-points are solved together as a chunk of `energies` has.

    Args:
        problem: from `build_problem`, on any devices.
        params: potential parameters.
        system_index: of the system.

    Raises:
        IndexError: if there is no such system.
        NumericalError: naming the k-point where a state is not found by a dense solve either.
    """
    group, target = alone(problem, system_index), problem.targets[system_index]
    tables, n_k = group.tables, target.n_k
    n_levels = -(-target.n_bands * tables.n_spin // 2)
    field = _compiled_field(group, problem, params)
    shards = 1 if group.layout is None else group.layout.kpt_shards
    n_chunks, padded = chunks(n_k, tables.dimension**2, problem.dtype, shards)
    together = padded // n_chunks
    integers, masks = on_host((tables.wave_integers[0], tables.wave_mask[0]))
    for first in range(0, n_k, together):
        indices = [min(first + i, n_k - 1) for i in range(together)]
        some = replace(chosen_points(group, indices), n_chunks=1)
        everywhere = Hamiltonians((some,), problem.channels.separable, (field,), problem.solver)
        found = evaluate(everywhere, begun(everywhere), FOR_STATES)
        states = States(*on_host(found.states[0][:3]))
        energies = np.asarray(states.known_energies(n_levels, FOR_STATES))[0]
        vectors = np.asarray(states.vectors)[0]
        for i, k in enumerate(range(first, min(first + together, n_k))):
            if not np.isfinite(energies[i]).all():
                raise NumericalError(f"{target.name}: no states at k-point {k} (not converged)")
            own = k if tables.own_sets else 0
            waves = vectors[i, :, :n_levels].T.reshape(n_levels, tables.n_spin, -1)
            yield BlochStates(
                HARTREE_IN_EV * np.asarray(energies[i], np.float64),
                _in_usual_waves(waves[..., masks[own]]),
                integers[own][masks[own]],
                found.dense_fallbacks if i == 0 else 0,
            )


def _in_usual_waves(c: Complex[np.ndarray, "band spin wave"]) -> np.ndarray:
    """The time-reversed states, normalised in double precision."""
    d = np.array(c.conj(), np.complex128)
    if d.shape[1] == 2:
        d = np.stack([d[:, 1], -d[:, 0]], axis=1)
    return d / np.sqrt(np.sum(np.abs(d) ** 2, axis=(1, 2), keepdims=True))


@jax.jit
def _compiled_field(group: SystemGroup, problem: Problem, params: Parameters):
    return group_field(group, problem.channels, params)
