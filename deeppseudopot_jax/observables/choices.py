"""Which system, k-point or band a function is about, where only a running program will tell.

An integer that passes through `jax.jit` arrives traced. Arrays of different systems have different
shapes, so that every system is compiled and the program takes one: right, but dearer than an index
that is static.
"""

import operator
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int

from deeppseudopot_jax.arguments import is_traced
from deeppseudopot_jax.problem import Problem

Index = int | Int[Array, ""]


def for_system(problem: Problem, index: Index, work: Callable[[int], Array]) -> Array:
    """`work(index)`; NaN where a traced index is that of no system.

    Args:
        problem: whose systems are counted.
        index: of a system.
        work: a function whose results have one shape for all systems if the index is traced.
    """
    if not is_traced(index):
        return work(operator.index(index))
    count = len(problem.targets)
    systems = [lambda system=system: work(system) for system in range(count)]
    return known_where(is_one_of(index, count), jax.lax.switch(index, systems))


def is_one_of(index: Index | Int[Array, " index"], count: int) -> Bool[Array, "*index"]:
    """Whether it is one of 0 to count - 1; static ones have been checked before."""
    chosen = jnp.asarray(index)
    return (chosen >= 0) & (chosen < count)


def known_where(legal: Bool[Array, "..."], found: Array) -> Array:
    """`found` where its leading axes are legal, else NaN: no index is put right in silence."""
    legal = legal.reshape(legal.shape + (1,) * (found.ndim - legal.ndim))
    return jnp.where(legal, found, jnp.nan)
