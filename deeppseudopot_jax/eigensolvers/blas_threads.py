"""Threads of the BLAS library behind the dense eigensolvers.

XLA solves batches of small matrices with SciPy's LAPACK on threads of its own. Several BLAS threads
below each of those deadlock (few cores) or corrupt the heap (many cores, JAX issue 39292), so that
SciPy's BLAS is kept to one thread, except in large solves called from here. XLA computes whenever
it likes, so this holds from the moment in which the first such program is traced; a process that
has only imported the package keeps its threads.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import scipy.linalg  # noqa: F401, loads its BLAS
from threadpoolctl import ThreadpoolController


@cache
def keep_to_one_thread() -> None:
    """From the first call on SciPy's BLAS, and what XLA calls of it, uses one thread."""
    controller, _ = _scipy_blas()
    controller.limit(limits=1)


@contextmanager
def all_blas_threads() -> Iterator[None]:
    """As many threads of SciPy's BLAS as the environment allows."""
    controller, n_threads = _scipy_blas()
    with controller.limit(limits=n_threads):
        yield


@cache
def _scipy_blas() -> tuple[ThreadpoolController, int]:
    """SciPy's own BLAS, and its number of threads before it was limited.

    Wheels of SciPy bring a library of their own; elsewhere all loaded ones are taken.
    """
    everything = ThreadpoolController().select(user_api="blas")
    paths = [library["filepath"] for library in everything.info()]
    own = [path for path in paths if "scipy.libs" in path]
    controller = everything.select(filepath=own or paths)
    return controller, max((library["num_threads"] for library in controller.info()), default=1)
