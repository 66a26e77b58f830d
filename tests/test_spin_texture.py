"""Mean spins of states, and what is the same in every basis of a multiplet."""

import jax.numpy as jnp
import numpy as np
from density_samples import zinc_sulphide
from numpy.testing import assert_allclose
from test_states_files import literal_h, saved

from deeppseudopot_jax.observables.spin_texture import spin_texture

SIGMA = np.array([[[0, 1], [1, 0]], [[0, -1j], [1j, 0]], [[1, 0], [0, -1]]])


def spins(states):
    """<sigma> of every state, literally, (band, 3)."""
    return np.einsum("bsw,ast,btw->ba", states.conj(), SIGMA, states).real


def orthonormal(rng, n, n_waves=6):
    square = rng.normal(size=(2 * n_waves, n)) + 1j * rng.normal(size=(2 * n_waves, n))
    return np.linalg.qr(square)[0].T.reshape(n, 2, n_waves)


def texture(energies, states):
    return [np.asarray(leaf) for leaf in spin_texture(jnp.asarray(energies), jnp.asarray(states))]


def test_single_states_have_their_mean_spin():
    states = orthonormal(np.random.default_rng(1), 4)
    found, sigma, mean, multiplet = texture(np.arange(4.0), states)
    assert_allclose(sigma, spins(states), atol=1e-14)
    assert_allclose(mean, sigma, atol=1e-14)
    assert multiplet.tolist() == [0, 1, 2, 3]
    assert_allclose(np.abs(np.einsum("bsw,bsw->b", found.conj(), states)), 1, atol=1e-13)
    up_along_y = np.array([[[1.0], [1j]]]) / np.sqrt(2)
    assert_allclose(texture(np.zeros(1), up_along_y)[1], [[0, 1, 0]], atol=1e-15)


def test_a_multiplet_has_one_texture_in_every_basis():
    rng = np.random.default_rng(2)
    states = orthonormal(rng, 5)
    energies = np.array([-1.0, 0.0, 4e-6, 8e-6, 2.0])
    mixing = np.eye(5, dtype=complex)
    mixing[1:4, 1:4] = np.linalg.qr(rng.normal(size=(3, 3)) + 1j * rng.normal(size=(3, 3)))[0]
    mixed = np.einsum("mb,bsw->msw", mixing, states)
    one, other = texture(energies, states), texture(energies, mixed)
    assert one[3].tolist() == [0, 1, 1, 1, 2]
    assert_allclose(one[1], other[1], atol=1e-12)
    assert_allclose(one[2], other[2], atol=1e-13)
    assert_allclose(one[2][1], spins(states[1:4]).mean(axis=0), atol=1e-13)
    projected = np.einsum("msw,st,ntw->mn", states[1:4].conj(), SIGMA[2], states[1:4])
    assert_allclose(one[1][1:4, 2], np.linalg.eigvalsh(projected)[::-1], atol=1e-13)
    for found, _, *_ in (one, other):
        flat = found.reshape(5, -1)
        assert_allclose(flat.conj() @ flat.T, np.eye(5), atol=1e-13)
    assert_allclose(spins(one[0]), one[1], atol=1e-13)


def test_spins_of_an_evaluation_are_those_of_the_usual_waves(tmp_path):
    changes = {
        "kpoints_0": "0.12 0.2 0.31 1\n-0.12 -0.2 -0.31 1\n0 0 0 1\n",
        "input_0": "nBands = 9\nmaxKE = 1.2\nidxVB = 7\n",
        "bandWeights_0": "1\n" * 9,
        # Strong coupling, so that levels at a k-point of no symmetry are far apart.
        "init_SParams": "70.3\n3.20\n3.0\n0.665\n0\n60\n0\n0\n0\n",
    }
    folder = zinc_sulphide(tmp_path / "inputs", "basis_sphere = G_full\nSObool = 1\n", **changes)
    arrays = saved(folder, tmp_path / "results")
    sigma = arrays["sigma"]
    matrix = literal_h(folder, arrays["k_points"][0], arrays["integers"], True)
    energies, vectors = np.linalg.eigh(matrix)
    assert np.diff(energies[:10]).min() > 1e-5
    expected = spins(vectors[:, :9].T.reshape(9, 2, -1))
    assert_allclose(sigma[0], expected, atol=1e-4)
    assert np.abs(expected).max() > 0.1
    # Time reversal: the same level at -k has the opposite spin.
    assert_allclose(sigma[1], -sigma[0], atol=1e-4)
    assert_allclose(spins(arrays["coefficients"][0]), sigma[0], atol=1e-12)
    table = np.loadtxt(tmp_path / "results" / "eval_spin_sys0.dat")
    assert table.shape == (27, 10)
    assert_allclose(table[:9, 3:6], sigma[0], atol=1e-9)
    assert_allclose(table[9:18, 7:10], arrays["sigma_mean"][1], atol=1e-9)
    assert table[:, 0].tolist() == [0] * 9 + [1] * 9 + [2] * 9 and table[:9, 1].tolist() == list(
        range(9)
    )
