"""Batches of small factorisations, one after the other where XLA's own batches can lock up."""

from collections.abc import Callable
from functools import wraps
from typing import Any

import jax
import jax.numpy as jnp

from deeppseudopot_jax.eigensolvers.blas_threads import keep_to_one_thread


def one_by_one_on_cpu(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function` of arrays alone, which `jax.vmap` turns into a loop on CPUs.

    XLA's CPU threads wait for one another inside batched LAPACK calls (Cholesky, triangular solves,
    eigh): as many such calls at a time as there are threads, from independent parts of a program or
    from several devices of a process, lock up. Single calls do not wait, and for matrices of a few
    dozen rows a loop over them is about as fast.
    """
    looped = jax.custom_batching.custom_vmap(function)

    @looped.def_vmap
    def _batched(axis_size: int, in_batched: list[Any], *arguments: Any) -> tuple[Any, Any]:
        del axis_size
        if jax.default_backend() != "cpu":
            axes = jax.tree.map(lambda batched: 0 if batched else None, in_batched)
            arrays = jax.tree.map(jnp.asarray, arguments)  # constants may come as NumPy's
            found = jax.vmap(function, in_axes=tuple(axes))(*arrays)
        else:
            leaves, structure = jax.tree.flatten(arguments)
            flags = jax.tree.leaves(in_batched)
            mapped = [leaf for leaf, batched in zip(leaves, flags, strict=True) if batched]

            def one(mapped: list[Any]) -> Any:
                rest = iter(mapped)
                whole = [
                    next(rest) if batched else leaf
                    for leaf, batched in zip(leaves, flags, strict=True)
                ]
                return looped(*jax.tree.unflatten(structure, whole))

            found = jax.lax.map(one, mapped)
        return found, jax.tree.map(lambda _: True, found)

    @wraps(function)
    def traced(*arguments: Any) -> Any:
        keep_to_one_thread()
        return looped(*arguments)

    return traced
