"""Many random operators: the iterative solver misses no level and returns no wrong one."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_eigensolvers import ACCURACY, WANTED, always_iterative, random_matrix, with_spectrum

from deeppseudopot_jax.eigensolvers.interface import FOR_GRADIENTS, FOR_RESULTS

BATCH = 50
STRENGTHS = (0.1, 0.3, 1.0, 3.0)

scratch = jax.jit(jax.vmap(lambda operator: always_iterative(operator, WANTED)))
warm = jax.jit(
    jax.vmap(lambda operator, guess: always_iterative(operator, WANTED, guess, FOR_GRADIENTS))
)


def clustered(rng: np.random.Generator):
    """Levels in a few clusters, exactly or nearly degenerate, some across the window's edge."""
    splitting = rng.choice([0.0, 1e-9, 1e-6, 1e-3], WANTED + 1) * rng.random(WANTED + 1)
    return with_spectrum(rng, list(np.sort(rng.choice([-1.0, -0.5, 0.0], WANTED + 1) + splitting)))


def stacked(operators: list):
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *operators)


def wrong(states, operators, accepted: float, accuracy: float) -> int:
    """States that are accepted and are not the lowest ones; unaccepted ones go to dense."""
    exact = np.linalg.eigvalsh(operators.full)[:, :WANTED]
    found = (np.asarray(states.residuals)[:, :WANTED] <= accepted).all(axis=1)
    assert found.mean() > 0.95
    error = np.abs(np.asarray(states.energies)[:, :WANTED] - exact).max(axis=1)
    return int((found & ~(error <= accuracy)).sum())


def check(seed: int) -> None:
    rng = np.random.default_rng(seed)
    kinds = [lambda: clustered(rng)] + [
        lambda s=strength: random_matrix(rng, s) for strength in STRENGTHS
    ]
    operators = stacked([kinds[i % len(kinds)]() for i in range(BATCH)])
    states = scratch(operators)
    assert wrong(states, operators, FOR_RESULTS.accepted, ACCURACY) == 0
    # A step to another operator, large enough for levels to cross.
    change = stacked([random_matrix(rng) for _ in range(BATCH)])
    moved = operators.replace(full=0.95 * operators.full + 0.05 * change.full)
    assert wrong(warm(moved, states), moved, FOR_GRADIENTS.accepted, 10 * ACCURACY) == 0


@pytest.mark.parametrize("seed", range(4))
def test_two_hundred_problems_and_as_many_steps(seed):
    check(seed)


@pytest.mark.exhaustive
@pytest.mark.parametrize("seed", range(1000, 1100))
def test_ten_thousand_problems(seed):
    check(seed)
