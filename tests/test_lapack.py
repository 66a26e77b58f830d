"""LAPACK called through its C pointer, and by XLA, against NumPy."""

import ctypes
import os
import re
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import lapack_worker
import numpy as np
import pytest

from deeppseudopot_jax.eigensolvers import lapack, lapack_ffi, one_by_one
from deeppseudopot_jax.eigensolvers.lapack import lowest_eigenpairs
from deeppseudopot_jax.eigensolvers.lapack_ffi import subset_eigenpairs
from deeppseudopot_jax.eigensolvers.rayleigh_ritz import hermitian_eigh

WORKER = Path(lapack_worker.__file__)
DTYPES = ["complex128", "complex64", "float64", "float32"]


def matrices(rng: np.random.Generator, dtype: str, *shape: int) -> np.ndarray:
    found = rng.normal(size=shape) + 1j * rng.normal(size=shape)
    found = found if np.dtype(dtype).kind == "c" else found.real
    return (found + found.conj().swapaxes(-1, -2)).astype(dtype)


def solve(stack: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    energies = np.zeros((*stack.shape[:-2], n), np.finfo(stack.dtype).dtype)
    vectors = np.zeros((*stack.shape[:-1], n), stack.dtype)
    lowest_eigenpairs(stack, energies, vectors)
    return energies, vectors


def worker(task: str, **variables: str) -> str:
    """What a process of its own prints."""
    path = os.pathsep.join(map(str, (WORKER.parents[1], WORKER.parent)))
    return subprocess.run(
        [sys.executable, WORKER, task], env={**os.environ, "PYTHONPATH": path, **variables},
        check=True, stdout=subprocess.PIPE, text=True, timeout=120,
    ).stdout  # fmt: skip


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("batch", [(), (1,), (2, 3)])
def test_lowest_eigenpairs(dtype, batch):
    stack = matrices(np.random.default_rng(0), dtype, *batch, 30, 30)
    energies, vectors = solve(stack, 5)
    accuracy = 100 * np.finfo(dtype).eps
    assert np.abs(energies - np.linalg.eigvalsh(stack)[..., :5]).max() < 10 * accuracy
    assert np.abs(stack @ vectors - vectors * energies[..., None, :]).max() < 30 * accuracy
    overlaps = vectors.conj().swapaxes(-1, -2) @ vectors
    assert np.abs(overlaps - np.eye(5)).max() < accuracy


def test_all_states_and_a_single_row():
    stack = matrices(np.random.default_rng(1), "complex128", 4, 6, 6)
    assert np.allclose(solve(stack, 6)[0], np.linalg.eigvalsh(stack))
    assert np.allclose(solve(stack[:, :1, :1], 1)[0][:, 0], stack[:, 0, 0].real)


def test_matrices_that_are_not_finite_give_nan_and_leave_the_others_alone():
    stack = matrices(np.random.default_rng(2), "complex128", 3, 8, 8)
    stack[1, 0, 0] = np.nan
    energies, vectors = solve(stack, 2)
    assert np.isnan(energies[1]).all() and np.isnan(vectors[1]).all()
    assert np.isfinite(energies[[0, 2]]).all() and np.isfinite(vectors[[0, 2]]).all()


def test_large_matrices_take_turns(monkeypatch):
    monkeypatch.setattr(lapack, "_WORTH_THREADS", 8)
    stack = matrices(np.random.default_rng(3), "complex128", 2, 8, 8)
    assert np.allclose(solve(stack, 3)[0], np.linalg.eigvalsh(stack)[:, :3])


def test_the_matrices_are_left_as_they_were():
    stack = matrices(np.random.default_rng(4), "complex128", 2, 8, 8)
    before = stack.copy()
    solve(stack, 3)
    assert np.array_equal(stack, before)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("batch", [(), (1,), (2, 3), (0,)])
def test_xla_calls_lapack(dtype, batch):
    stack = matrices(np.random.default_rng(5), dtype, *batch, 12, 12)
    with jax.enable_x64(True):
        found = lambda matrix: subset_eigenpairs(matrix, 4)  # noqa: E731
        for _ in batch:
            found = jax.vmap(found)
        for result, expected in zip(jax.jit(found)(stack), solve(stack, 4), strict=True):
            assert result.dtype == expected.dtype and np.array_equal(result, expected)


def test_xla_gets_nan_for_a_matrix_that_is_not_finite():
    stack = matrices(np.random.default_rng(6), "complex64", 2, 8, 8)
    stack[1, 3, 3] = np.nan
    energies, vectors = jax.jit(jax.vmap(lambda matrix: subset_eigenpairs(matrix, 2)))(stack)
    assert np.isnan(energies[1]).all() and np.isnan(vectors[1]).all()
    assert np.isfinite(energies[0]).all() and np.isfinite(vectors[0]).all()


def test_xla_raises_what_a_call_raises(monkeypatch):
    def fail(*_):
        raise ValueError("a mistake")

    monkeypatch.setattr(lapack_ffi, "lowest_eigenpairs", fail)
    with pytest.raises(jax.errors.JaxRuntimeError, match="ValueError: a mistake"):
        jax.block_until_ready(subset_eigenpairs(jnp.eye(4), 2))
    wrong = jax.ffi.ffi_call(lapack_ffi._TARGET, 2 * (jax.ShapeDtypeStruct((4, 2), jnp.float32),))
    with pytest.raises(jax.errors.JaxRuntimeError, match="TypeError: shapes"):
        jax.block_until_ready(wrong(jnp.ones((3, 4), jnp.float32)))


def test_structs_that_are_too_small_and_other_stages_are_refused():
    messages = []

    @type(lapack_ffi._Api().create_error)
    def note(arguments):
        messages.append(arguments.contents.message.decode())

    api = lapack_ffi._Api(create_error=note)
    for size in (8, ctypes.sizeof(lapack_ffi._CallFrame)):
        frame = lapack_ffi._CallFrame(struct_size=size, api=ctypes.pointer(api))
        lapack_ffi._handler(ctypes.byref(frame))
    assert "CallFrame of XLA's FFI has 8 bytes" in messages[0] and "a call takes" in messages[1]


def test_the_structs_are_those_of_the_header():
    header = (Path(jax.ffi.include_dir()) / "xla/ffi/api/c_api.h").read_text()
    major, minor = (
        int(re.search(rf"#define XLA_FFI_API_{part} (\d+)", header)[1])
        for part in ("MAJOR", "MINOR")
    )
    assert major == lapack_ffi._VERSION[0] and minor >= lapack_ffi._VERSION[1]


@pytest.mark.parametrize("platform", ["cuda", "tpu"])
@pytest.mark.parametrize("dtype", ["complex128", "complex64"])
def test_other_platforms_do_without(platform, dtype):
    with jax.enable_x64(True):
        shape = jax.ShapeDtypeStruct((2, 8, 8), dtype)
        solve_all = jax.jit(lapack_worker.energies)
        there = jax.export.export(solve_all, platforms=[platform])(shape).mlir_module()
        assert "custom_call" in there and lapack_ffi._TARGET not in there
        assert lapack_ffi._TARGET in solve_all.lower(shape).as_text()


@pytest.mark.parametrize("devices", [2, pytest.param(4, marks=pytest.mark.exhaustive)])
def test_many_devices_on_few_cores_do_not_lock_up(devices):
    worker("solve", XLA_FLAGS=f"--xla_force_host_platform_device_count={devices}")


def test_scipy_keeps_its_threads_until_something_is_solved(monkeypatch):
    threads = worker("threads", OPENBLAS_NUM_THREADS="2").split()
    assert threads in (["2", "1"], [])  # none where SciPy has no BLAS of its own
    calls = []
    monkeypatch.setattr(one_by_one, "keep_to_one_thread", lambda: calls.append(1))
    jax.jit(hermitian_eigh).lower(jnp.eye(4, dtype=jnp.complex64))
    assert calls


def test_programs_with_the_dense_solver_are_kept_for_the_next_process(tmp_path):
    kept = {
        "JAX_COMPILATION_CACHE_DIR": str(tmp_path),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }
    first, second = (worker("compile", **kept).split() for _ in range(2))
    assert (first[0], second[0]) == ("0", "1")
    assert first[1:] == second[1:] and len(first) == 1 + 4 * 3
    assert np.allclose(
        np.array(first[1:], float),
        np.linalg.eigvalsh(lapack_worker.hermitian(4, 8, 8))[:, :3].ravel(),
    )
