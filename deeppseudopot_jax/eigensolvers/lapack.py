"""LAPACK's subset eigensolver on all cores.

SciPy's wrappers hold the interpreter lock, so its solves cannot run side by side. Here the same
LAPACK is called through its C pointer, which lets the lock go.
"""

import ctypes
import os
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

    def solve(index: tuple[int, ...]) -> None:
        energies[index], vectors[index] = _lowest(matrices[index], energies.shape[-1])

    indices = list(np.ndindex(matrices.shape[:-2]))
    if matrices.shape[-1] >= _WORTH_THREADS:
        with all_blas_threads():
            for index in indices:
                solve(index)
    else:
        list(_workers().map(solve, indices) if len(indices) > 1 else map(solve, indices))


def _lowest(matrix: np.ndarray, n: int) -> tuple[np.ndarray | float, np.ndarray | float]:
    """The n lowest eigenpairs of one matrix by the relatively robust representations (?heevr)."""
    real = np.finfo(matrix.dtype).dtype
    if not np.isfinite(matrix).all():
        return np.nan, np.nan
    rows = len(matrix)
    scratch = np.array(matrix, order="F")  # LAPACK works in it
    energies, vectors = np.empty(rows, real), np.empty((rows, n), matrix.dtype, order="F")
    found, info = np.zeros(1, np.int32), np.zeros(1, np.int32)
    support = np.empty(2 * n, np.int32)
    kinds = [matrix.dtype, *([real] if matrix.dtype != real else []), np.dtype(np.int32)]

    def call(work: list[np.ndarray], sizes: list[int]) -> None:
        sized = [part for pair in zip(work, map(_integer, sizes), strict=True) for part in pair]
        nothing = np.zeros(1, real)  # the bounds are indices 1 to n, the tolerance is the default
        arguments = [
            *map(_letter, "VIU"), _integer(rows), scratch, _integer(rows), nothing, nothing,
            _integer(1), _integer(n), nothing, found, energies, vectors, _integer(rows), support,
            *sized, info,
        ]  # fmt: skip
        _driver(matrix.dtype.name)(*(array.ctypes.data for array in arguments))

    best = [np.zeros(1, kind) for kind in kinds]
    call(best, [-1] * len(kinds))
    sizes = [int(size[0].real) for size in best]
    call([np.empty(size, kind) for size, kind in zip(sizes, kinds, strict=True)], sizes)
    if info[0] or found[0] != n:
        return np.nan, np.nan
    return energies[:n], vectors


def _letter(text: str) -> np.ndarray:
    return np.array([text], "S1")


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


@cache
def _workers() -> ThreadPoolExecutor:
    """One thread for every core that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)  # Linux alone has it
    cores = len(affinity(0)) if affinity else os.cpu_count()
    return ThreadPoolExecutor(cores, "lapack")
