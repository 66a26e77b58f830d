"""LAPACK called through its C pointer, against NumPy."""

import numpy as np
import pytest

from deeppseudopot_jax.eigensolvers import lapack
from deeppseudopot_jax.eigensolvers.lapack import lowest_eigenpairs


def matrices(rng: np.random.Generator, dtype: str, *shape: int) -> np.ndarray:
    found = rng.normal(size=shape) + 1j * rng.normal(size=shape)
    found = found if np.dtype(dtype).kind == "c" else found.real
    return (found + found.conj().swapaxes(-1, -2)).astype(dtype)


def solve(stack: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    energies = np.zeros((*stack.shape[:-2], n), np.finfo(stack.dtype).dtype)
    vectors = np.zeros((*stack.shape[:-1], n), stack.dtype)
    lowest_eigenpairs(stack, energies, vectors)
    return energies, vectors


@pytest.mark.parametrize("dtype", ["complex128", "complex64", "float64", "float32"])
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
