"""The iterative solver against dense ones on the same matrices, all in one run.

    python benchmarks/solver.py

The matrices are those of one k-point of bundles of $DEEPPSEUDOPOT_SHARED (default ../shared).
"warm" starts from the states of a potential that differs by 0.3 %, as accurate as training asks
for; errors are against `scipy.linalg.eigh(subset_by_index)`. Times are medians, in seconds.
"""

import jax
import numpy as np
import scipy.linalg
from measuring import REPEATS, SHARED, median

import deeppseudopot_jax as dp
from deeppseudopot_jax.eigensolvers.blas_threads import all_blas_threads
from deeppseudopot_jax.eigensolvers.interface import FOR_GRADIENTS, accurate_to
from deeppseudopot_jax.eigensolvers.iterative import Iterative
from deeppseudopot_jax.hamiltonian.assemble import AtK, build_field, hamiltonian_at
from deeppseudopot_jax.units import HARTREE_IN_EV

BUNDLES = ("ingaasp_nn", "cspbi3_soc")
CHANGE = 0.003
RUNS_OF_SLOW_ONES = {"jnp.linalg.eigh": 1, "SciPy subset": 3}


def operators(name: str):
    """H at the second k-point of a bundle's first system, of two potentials, and the levels."""
    bundle = dp.read_bundle(SHARED / name)
    problem = dp.build_problem(bundle)
    params = dp.initial_params(bundle, problem)
    changed = jax.tree.map(lambda leaf: (1.0 + CHANGE) * leaf, params)
    group = problem.groups[0]
    tables = jax.tree.map(lambda leaf: leaf[0], group.tables)
    waves = tables.wave_integers[0], tables.wave_mask[0]

    def operator(params):
        field = build_field(tables, problem.channels, params)
        k_point = group.k_points[0, 1]
        separable = problem.channels.separable
        return hamiltonian_at(AtK(tables, separable, field, k_point, *waves))

    return jax.jit(operator)(params), jax.jit(operator)(changed), group.n_levels


def rows(name: str) -> None:
    """One line per solver."""
    old, new, n = operators(name)
    matrix = np.asarray(new.matrix())
    iterative = Iterative(dense_up_to=0, dense_start_up_to=0)
    begin = jax.jit(lambda operator: iterative.first_guess(operator, n))
    scratch = jax.jit(lambda operator, guess: iterative(operator, n, guess))
    warm = jax.jit(lambda operator, guess: iterative(operator, n, guess, FOR_GRADIENTS))
    tight = accurate_to(1e-6)
    states = jax.jit(lambda operator: iterative(operator, n, None, tight))(old)

    def subset():
        with all_blas_threads():
            return scipy.linalg.eigh(matrix, subset_by_index=(0, n - 1), check_finite=False)

    exact = subset()[0]
    solvers = {
        "SciPy subset": lambda: subset()[0],
        "jnp.linalg.eigh": lambda: np.asarray(jax.numpy.linalg.eigh(matrix)[0][:n]),
        "iterative, scratch": lambda: scratch(new, begin(new)).energies[:n],
        "iterative, warm": lambda: warm(new, states).energies[:n],
    }
    reference = None
    for title, work in solvers.items():
        energies = np.asarray(work())  # compiles
        seconds = median(work, RUNS_OF_SLOW_ONES.get(title, REPEATS))
        reference = reference or seconds
        error = HARTREE_IN_EV * np.abs(energies - exact).max()
        print(
            f"{name:12}{len(matrix):7}{n:6}  {title:20}{seconds:10.4f}{reference / seconds:10.1f}"
            f"{error:12.1e}",
            flush=True,
        )


if __name__ == "__main__":
    print(
        f"{'bundle':12}{'N':>7}{'bands':>6}  {'solver':20}{'s':>10}{'ratio':>10}{'error (eV)':>12}"
    )
    for bundle in BUNDLES:
        rows(bundle)
