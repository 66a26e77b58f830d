"""LAPACK's subset eigensolver on all cores.

SciPy's wrappers hold the interpreter lock, so its solves cannot run side by side. Here the same
LAPACK is called through its C pointer, which lets the lock go.
"""

import ctypes
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import numpy as np
from jaxtyping import Float, Inexact
from scipy.linalg import cython_lapack

from deeppseudopot_jax.eigensolvers.blas_threads import all_blas_threads

_DRIVERS = {"complex128": "zheevr", "complex64": "cheevr", "float64": "dsyevr", "float32": "ssyevr"}

_WORTH_THREADS = 1000
"""Rows below which several BLAS threads are slower than one."""


def lowest_eigenpairs(
    matrices: Inexact[np.ndarray, "*batch row row"],
    energies: Float[np.ndarray, "*batch band"],
    vectors: Inexact[np.ndarray, "*batch row band"],
) -> None:
    """The lowest eigenpairs of Hermitian (or real symmetric) matrices, as many as `energies` holds.

    Small matrices are shared out among the cores; large ones come one after the other, each with
    the threads of BLAS. Entries of `energies` and `vectors` that are not found become NaN: those of
    matrices that are not finite, and where LAPACK fails.

    Args:
        matrices: stack of matrices.
        energies: written in place, ascending.
        vectors: written in place, columns.
    """
    n = energies.shape[-1]

    def solve(indices: list[tuple[int, ...]]) -> None:
        lowest = _subset_solver(matrices.dtype, matrices.shape[-1], n)
        for index in indices:
            energies[index], vectors[index] = lowest(matrices[index])

    indices = list(np.ndindex(matrices.shape[:-2]))
    if matrices.shape[-1] >= _WORTH_THREADS:
        with all_blas_threads():
            solve(indices)
    elif len(indices) == 1:
        solve(indices)
    else:
        shares = min(_cores(), len(indices))
        list(_workers().map(solve, [indices[first::shares] for first in range(shares)]))


Lowest = tuple[np.ndarray | float, np.ndarray | float]


def _subset_solver(dtype: np.dtype, rows: int, n: int) -> Callable[[np.ndarray], Lowest]:
    """A function for the n lowest eigenpairs of one matrix, overwritten by the next call's.

    By relatively robust representations (?heevr). All that LAPACK reads and writes is prepared
    once: a matrix of a few dozen rows is solved in less time than two dozen arguments need.
    """
    real = np.finfo(dtype).dtype
    scratch = np.empty((rows, rows), dtype, order="F")  # LAPACK works in it
    energies, vectors = np.empty(rows, real), np.empty((rows, n), dtype, order="F")
    found, info = np.zeros(1, np.int32), np.zeros(1, np.int32)
    size, nothing = _integer(rows), np.zeros(1, real)  # bounds are indices, tolerance the default
    fixed = [
        *(np.array([letter], "S1") for letter in "VIU"), size, scratch, size, nothing, nothing,
        _integer(1), _integer(n), nothing, found, energies, vectors, size,
        np.empty(2 * n, np.int32),
    ]  # fmt: skip
    driver = _driver(dtype.name)

    def pointers(work: list[np.ndarray], sizes: list[int]) -> list[ctypes.c_void_p]:
        lengths = map(_integer, sizes)
        sized = [part for pair in zip(work, lengths, strict=True) for part in pair]
        # These keep the arrays alive.
        return [array.ctypes.data_as(ctypes.c_void_p) for array in (*fixed, *sized, info)]

    kinds = [dtype, *([real] if dtype != real else []), np.dtype(np.int32)]
    best = [np.zeros(1, kind) for kind in kinds]
    driver(*pointers(best, [-1] * len(kinds)))
    sizes = [int(length[0].real) for length in best]
    prepared = pointers(list(map(np.empty, sizes, kinds)), sizes)

    def solve(matrix: np.ndarray) -> Lowest:
        if not np.isfinite(matrix).all():
            return np.nan, np.nan
        scratch[...] = matrix
        driver(*prepared)
        if info[0] or found[0] != n:
            return np.nan, np.nan
        return energies[:n], vectors

    return solve


def _integer(value: int) -> np.ndarray:
    return np.array([value], np.int32)


@cache
def _driver(dtype: str) -> Any:
    """LAPACK's routine for a dtype as a C function of pointers, called without the lock."""
    capsule = cython_lapack.__pyx_capi__[_DRIVERS[dtype]]
    name = ctypes.pythonapi.PyCapsule_GetName
    name.restype, name.argtypes = ctypes.c_char_p, [ctypes.py_object]
    pointer = ctypes.pythonapi.PyCapsule_GetPointer
    pointer.restype, pointer.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    signature = name(capsule)
    n_arguments = signature.count(b",") + 1
    prototype = ctypes.CFUNCTYPE(None, *n_arguments * [ctypes.c_void_p])
    return prototype(pointer(capsule, signature))


def _cores() -> int:
    """How many cores this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)  # Linux alone has it
    return len(affinity(0)) if affinity else os.cpu_count() or 1


@cache
def _workers() -> ThreadPoolExecutor:
    """One thread for every core."""
    return ThreadPoolExecutor(_cores(), "lapack")
