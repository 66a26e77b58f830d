"""The text files of a run hold the right numbers and can be read back."""

import numpy as np
import pytest

from deeppseudopot_jax.files.bundle.coefficients import read_coefficients, read_tabulated_potential
from deeppseudopot_jax.files.bundle.folder import InputsFolder
from deeppseudopot_jax.files.bundle.text import read_document
from deeppseudopot_jax.files.findings import Findings
from deeppseudopot_jax.files.results import tables


def test_bands_have_five_decimals(tmp_path):
    file = tmp_path / "final_BS_sys0.dat"
    tables.write_bands(
        file, np.array([0.0, 0.123456]), np.array([[-1.0, 2.000004], [-1234.5, np.nan]])
    )
    assert [line.split() for line in file.read_text().splitlines()] == [
        ["0.00000", "-1.00000", "2.00000"],
        ["0.12346", "-1234.50000", "nan"],
    ]


def test_wide_numbers_stay_apart(tmp_path):
    file = tmp_path / "a.dat"
    tables.write_bands(file, np.zeros(1), np.array([[-123456.0, -123456.0]]))
    assert np.loadtxt(file).tolist() == [0.0, -123456.0, -123456.0]


def test_basis_states(tmp_path):
    file = tmp_path / "basisStates_0.dat"
    integers = np.array([[0, 0, 0], [-1, 2, 0]])
    tables.write_basis_states(file, integers, np.diag([1.0, 2.0, 3.0]))
    assert file.read_text().startswith("# g1 g2 g3")
    assert np.loadtxt(file).tolist() == [[0] * 7, [-1, 2, 0, -1.0, 4.0, 0.0, 8.5]]


def test_q_space_potential_can_start_another_run(tmp_path):
    q = np.linspace(0.0, 20.0, 50)
    v = np.stack([-30.0 * np.exp(-q), 1e-17 * np.cos(q)], axis=1)
    file = tmp_path / "init_qSpace_pot.par"
    tables.write_q_space_potential(file, q, v, ["As", "Ga"])
    assert "v_As v_Ga" in file.read_text().splitlines()[0]
    document = read_document(file, Findings())
    assert document is not None
    read = read_tabulated_potential(document, ("As", "Ga"))
    assert read is not None
    np.testing.assert_allclose(read, np.column_stack([q, v]), rtol=1e-10)


def test_real_space_potential(tmp_path):
    file = tmp_path / "final_pot_Si.dat"
    tables.write_real_space_potential(file, np.array([0.0, 0.1]), np.array([-1.0, 1.0 / 3.0]))
    np.testing.assert_allclose(np.loadtxt(file), [[0.0, -1.0], [0.1, 1.0 / 3.0]], rtol=1e-10)


def test_costs_keep_integers(tmp_path):
    file = tmp_path / "costs.dat"
    tables.write_costs(file, [(0, 2.5), (np.int64(10), float("nan"))])
    assert file.read_text() == "# epoch cost\n0 2.5000000000e+00\n10 nan\n"
    tables.write_costs(file, [(0, 1.0, np.True_)], ("iter", "newLoss", "accept"))
    assert file.read_text() == "# iter newLoss accept\n0 1.0000000000e+00 1\n"


def test_coefficients_come_back_exactly(tmp_path):
    values = np.random.default_rng(0).normal(size=9) * 10.0 ** np.arange(-4.0, 5.0)
    file = tmp_path / "init_SiParams.par"
    tables.write_coefficients(file, values)
    assert file.read_text().splitlines()[8].endswith("# a8")
    read = read_coefficients(InputsFolder.open(tmp_path, Findings()), ("Si",))
    assert read is not None
    np.testing.assert_array_equal(read, [values])


def test_a_table_that_cannot_be_written_leaves_nothing(tmp_path):
    with pytest.raises(ValueError, match="format code"):
        tables.write_costs(tmp_path / "costs.dat", [("a", "b")])  # type: ignore[list-item]
    assert list(tmp_path.iterdir()) == []
