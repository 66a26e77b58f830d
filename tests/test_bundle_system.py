"""The files of one system: good ones, and every way in which one can be wrong."""

import numpy as np
import pytest
from bundle_samples import COUPLINGS, GOOD, problems, read

from deeppseudopot_jax.types import DeformationTarget, GapDeformationTargets, PlotRange

CONFIG, INPUT, SYSTEM = GOOD["NN_config.par"], GOOD["input_0.par"], GOOD["system_0.par"]
Q_POINTS = "0 0 0 1\n0.5 0 0 2\n"


def test_a_good_system(tmp_path):
    bundle = read(tmp_path)
    (system,) = bundle.systems
    np.testing.assert_array_equal(system.crystal.lattice, 5.0 * (1.0 - np.eye(3)))
    np.testing.assert_array_equal(system.crystal.fractional_positions, [[0] * 3, [0.25] * 3])
    assert system.crystal.symbols == ("Zn", "S") and bundle.species == ("S", "Zn")
    assert (system.name, system.n_bands, system.max_kinetic_energy) == ("system_0", 4, 5.0)
    np.testing.assert_array_equal(system.k_points, [[0, 0, 0], [0.5, 0.5, 0.5]])
    np.testing.assert_array_equal(system.k_weights, [1, 2])
    np.testing.assert_array_equal(system.band_weights, [1, 2, 3, 4])
    np.testing.assert_array_equal(system.path_length, [0, 0.5])
    np.testing.assert_array_equal(system.reference_energies, [[-1, 0, 2, 3], [-2, -1, 3, 4]])
    assert (system.valence_band, system.conduction_band, system.gap_k_point) == (1, 2, 0)
    assert system.plot_range == PlotRange() and system.band_order is None
    assert not bundle.notes


def test_the_keys_of_a_system(tmp_path):
    (system,) = read(
        tmp_path,
        input_0=INPUT + "systemName = zinc blende ZnS\nBS_plot_center = -3\n"
        "BS_plot_CBVB_range = 4\nBS_plot_CBVB_range_zoom = 2\nfit_eff_masses = 1\n",
    ).systems
    assert system.name == "zinc blende ZnS" and system.fit_masses
    assert system.plot_range == PlotRange(-3.0, 4.0, 2.0)


@pytest.mark.parametrize(
    ("in_config", "in_input", "resolved"),
    [("", "", None), ("1", "", 1), ("1", "2", 2), ("", "0", 0)],
)
def test_the_reference_band_of_the_system_wins(tmp_path, in_config, in_input, resolved):
    (system,) = read(
        tmp_path,
        NN_config=CONFIG + (in_config and f"relE_bIdx = {in_config}"),
        input_0=INPUT + (in_input and f"relE_bIdx = {in_input}"),
    ).systems
    assert system.relative_band == resolved


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("scale = 10.0", "scale = 0", ":1: bad scale; found '0'; legal: a number > 0"),
        ("scale = 10.0", "scale = 1 1", ":1: bad scale; found '1 1'; legal: a number > 0"),
        ("scale = 10.0", "scale = ten", ":1: not a number; found 'ten'; legal: a finite number"),
        ("scale = 10.0", "", ": `scale` is missing; legal: scale = <Bohr>"),
        ("scale = 10.0", "scale = 1\nscale = 2", ":2: `scale` is given twice; found 'scale = 2'"),
        ("scale = 10.0", "Scale = 10.0", ": `scale` is missing"),
        ("cell\n", "", ": the section `cell` is missing"),
        ("0.5 0.5 0.0\n", "", ":5: wrong number of lattice vectors; found '2 rows'"),
        ("0.5 0.5 0.0\n", "0 0 1\n0 0 1\n", ":7: wrong number of lattice vectors; found '4 rows'"),
        ("0.5 0.5 0.0", "0.5 0.5", ":6: wrong number of coordinates; found '0.5 0.5'"),
        ("0.5 0.5 0.0", "0.5 0.0 0.5", ":4: the cell has no volume"),
        ("0.5 0.5 0.0", "0.5 0.5 nan", ":6: not a number; found 'nan'; legal: a finite number"),
        ("atoms\nZn 0 0 0\nS 0.25 0.25 0.25", "atoms", ": there are no atoms"),
        ("atoms\nZn 0 0 0\nS 0.25 0.25 0.25", "", ": the section `atoms` is missing"),
        ("Zn 0 0 0", "zn 0 0 0", ":9: not a chemical symbol; found 'zn'; legal: letters"),
        ("Zn 0 0 0", "1 0 0 0", ":9: not a chemical symbol; found '1'"),
        ("Zn 0 0 0", "Zn 0 0", ":9: wrong number of coordinates; found 'Zn 0 0'"),
        ("Zn 0 0 0", "Zn 0 0 O", ":9: not a number; found 'O'"),
    ],
)
def test_a_bad_crystal(tmp_path, old, new, message):
    found = problems(tmp_path, system_0=SYSTEM.replace(old, new))
    assert found[0].startswith("system_0.par" + message)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nBands = 4\n", ": the key maxKE is missing; legal: a number > 0"),
        ("nBands = 0\nmaxKE = 5\n", ":1: bad value of nBands; found '0'"),
        ("nBands = 4\nmaxKE = -5\n", ":2: bad value of maxKE; found '-5'; legal: a number > 0"),
        (INPUT + "idxVb = 1\n", ":6: unknown key; found 'idxVb'; did you mean idxVB?"),
        (INPUT + "fit_eph = yes\n", ":6: bad value of fit_eph; found 'yes'; legal: 0 or 1"),
        (
            INPUT.replace("idxCB = 2", "idxCB = 4"),
            ":4: bad value of idxCB; found '4'; legal: 0 to 3 (nBands = 4)",
        ),
        (
            INPUT.replace("idxVB = 1", "idxVB = 2"),
            ":4: the valence band must be below the conduction band; "
            "found 'idxVB = 2, idxCB = 2'; legal: idxVB < idxCB",
        ),
        (
            INPUT.replace("idxGap = 0", "idxGap = 2"),
            ":5: bad value of idxGap; found '2'; legal: 0 to 1 (k-points = 2)",
        ),
        (INPUT + "relE_bIdx = 4\n", ":6: bad value of relE_bIdx; found '4'; legal: 0 to 3"),
        (
            INPUT.replace("idxGap = 0", "fit_eff_masses = 1"),
            ": fit_eff_masses = 1 needs the key idxGap",
        ),
    ],
)
def test_bad_keys_of_a_system(tmp_path, text, message):
    assert problems(tmp_path, input_0=text)[0].startswith("input_0.par" + message)


def test_a_reference_band_in_the_config_is_checked_with_every_system(tmp_path):
    assert problems(tmp_path, NN_config=CONFIG + "relE_bIdx = 9\n") == [
        "NN_config.par:4: bad value of relE_bIdx; found '9'; "
        "legal: 0 to 3 (nBands of input_0.par = 4)"
    ]


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("kpoints_0", "# none\n", ": is empty; legal: rows of k1 k2 k3 weight"),
        ("kpoints_0", "0 0 0\n0 0 0 1", ":1: wrong number of columns; found '3 columns'; legal: 4"),
        ("kpoints_0", "0 0 0 1\n0 0 0 -1", ":2: negative weight; found '-1'; legal: a number >= 0"),
        ("kpoints_0", "0 0 0 1\n0 0 0 inf", ":2: not a number; found 'inf'"),
        ("qpoints_0", "0 0 1", ":1: wrong number of columns; found '3 columns'"),
        ("kpoints_0_orderMatrix", "0 1 2 3", ":1: wrong number of rows; found '1 rows'; legal: 2"),
        (
            "kpoints_0_orderMatrix",
            "0 1 2 3\n0 1 1 3",
            ":2: not an order of the bands; found '0 1 1 3'; legal: each of 0 to 3 once",
        ),
        ("kpoints_0_orderMatrix", "0 1 2 3\n1 2 3 4", ":2: not an order of the bands"),
        ("kpoints_0_orderMatrix", "0 1 2\n0 1 2", ":1: wrong number of columns"),
        (
            "expBandStruct_0",
            "0 1 2 3 4\n0 1 2 3",
            ":2: wrong number of columns; found '4 columns'; "
            "legal: 5 columns (path length and one energy per band)",
        ),
        ("bandWeights_0", "1 2\n3", ":2: wrong number of values; found '3 values'; legal: 4"),
        ("bandWeights_0", "1 2\n3 -4", ":2: negative band weight; found '-4'"),
        ("bandWeights_0", "", ": wrong number of values; found '0 values'"),
        ("bandWeights_0", "1 2\n3 four", ":2: not a number; found 'four'"),
    ],
)
def test_bad_tables(tmp_path, file, text, message):
    found = problems(tmp_path, **{file: text})
    assert found[0].startswith(f"{file}.par{message}")


def test_a_band_order_is_read(tmp_path):
    (system,) = read(tmp_path, kpoints_0_orderMatrix="0 1 2 3\n3 2 1 0\n").systems
    np.testing.assert_array_equal(system.band_order, [[0, 1, 2, 3], [3, 2, 1, 0]])
    assert system.band_order.dtype == np.int64


def test_deformation_potentials_of_transitions_and_states(tmp_path):
    (system,) = read(tmp_path, expDefPot_0="0 1 1 2 1.01 -7.5 2\n1 3 0.99 4 0 # a state\n").systems
    assert system.deformation_targets == (
        DeformationTarget((0, 1), (1, 2), 1.01, -7.5, 2.0),
        DeformationTarget((1, 3), None, 0.99, 4.0, 0.0),
    )


def test_deformation_potentials_in_the_old_form(tmp_path):
    (system,) = read(tmp_path / "a", expDefPot_0="-1.5\n-8\n").systems
    assert system.deformation_targets == GapDeformationTargets(-1.5, -8.0)
    assert problems(tmp_path / "b", expDefPot_0="-1\n-8\n", input_0="nBands = 4\nmaxKE = 5") == [
        f"input_0.par: the two-line form of expDefPot_0.par needs the key {key}"
        for key in ("idxVB", "idxCB", "idxGap")
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", ": is empty; legal: rows of kVB bVB kCB bCB"),
        ("1\n2\n3\n", ":3: wrong number of deformation potentials; found '3 lines"),
        ("0 1 1.01 2", ":1: wrong number of columns; found '4 columns'; legal: 5 or 7 columns"),
        ("0 1 2 2 1.01 1 1", ":1: bad k-point index; found '2'; legal: 0 to 1"),
        ("0 4 1.01 1 1", ":1: bad band index; found '4'; legal: 0 to 3"),
        ("0 1.5 1.01 1 1", ":1: bad band index; found '1.5'; legal: 0 to 3"),
        ("0 1 1 1 1", ":1: bad latConst_ratio; found '1'; legal: a number > 0 other than 1"),
        ("0 1 -0.9 1 1", ":1: bad latConst_ratio; found '-0.9'"),
        ("0 1 1.01 1 -1", ":1: bad weight; found '-1'; legal: a number >= 0"),
        ("0 1 1.01 x 1", ":1: not a number; found 'x'"),
    ],
)
def test_bad_deformation_potentials(tmp_path, text, message):
    assert problems(tmp_path, expDefPot_0=text)[0].startswith("expDefPot_0.par" + message)


@pytest.mark.parametrize(
    "name", ["expCoupling_0.par", "expCoupling_0.dat", "expCoupling_0_GW.dat", "expCoupling_GW.dat"]
)
def test_couplings(tmp_path, name):
    tmp_path.joinpath(name).write_text(COUPLINGS)
    bundle = read(tmp_path, qpoints_0=Q_POINTS)
    targets = bundle.systems[0].coupling_targets
    assert len(targets) == 2 * 2 * 3 and not bundle.notes
    assert [(t.atom, t.symbol, t.band, t.axis) for t in targets[:4]] == [
        (0, "Zn", "vb", "x"),
        (0, "Zn", "vb", "y"),
        (0, "Zn", "vb", "z"),
        (0, "Zn", "cb", "x"),
    ]
    np.testing.assert_array_equal(targets[0].values, [0.1, 0.2])
    np.testing.assert_array_equal(targets[3].values, [0.3, 0.4])  # on two lines in the file
    np.testing.assert_array_equal(bundle.systems[0].q_weights, [1, 2])


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("atom = Zn", "atom = S", ":1: the atom does not belong to the system; found 'idx = 0"),
        ("idx = 1", "idx = 7", "the atom does not belong to the system; found 'idx = 7 atom = S'"),
        ("0.1 0.2", "0.1", ":2: wrong number of couplings below this line; found '1 numbers'"),
        ("0.1 0.2", "0.1 high", ":3: not a number; found 'high'"),
        ("0.1 0.2", "high", ":3: unknown line; found 'high'; legal: `Atom idx = 0"),
        ("derivative = y", "derivative = x", ":4: the block of expCoupling_0.par:2 is given again"),
        ("vb-vb coupling elements. ", "", ":2: no band edge is named above"),
        ("Atom idx = 0   atom = Zn   position = XXX\n", "", ":1: no atom is named above"),
        ("vb-vb", "vb-cb", ":2: unknown line; found 'vb-cb coupling"),
        (COUPLINGS, "\n", ": holds no couplings"),
    ],
)
def test_bad_couplings(tmp_path, old, new, message):
    found = problems(tmp_path, expCoupling_0=COUPLINGS.replace(old, new, 1), qpoints_0=Q_POINTS)
    assert any(problem.startswith("expCoupling_0.par") and message in problem for problem in found)


def test_couplings_need_their_q_points(tmp_path):
    assert problems(tmp_path, expCoupling_0=COUPLINGS) == [
        "qpoints_0.par: is missing, but expCoupling_0.par needs it"
    ]


@pytest.mark.parametrize(
    ("key", "missing"),
    [("fit_defPot", ["expDefPot_0.par"]), ("fit_eph", ["expCoupling_0.par", "qpoints_0.par"])],
)
def test_what_is_fitted_must_be_there(tmp_path, key, missing):
    assert problems(tmp_path, input_0=INPUT + f"{key} = 1\n") == [
        f"{name}: is missing, but {key} = 1 needs it" for name in missing
    ]


@pytest.mark.parametrize("file", ["system_0", "input_0", "kpoints_0"])
def test_a_required_file_is_missed(tmp_path, file):
    assert problems(tmp_path, **{file: None}) == [f"{file}.par: is missing"]


def test_a_missing_file_may_only_be_misnamed(tmp_path):
    found = problems(tmp_path, kpoints_0=None, kpoint_0=GOOD["kpoints_0.par"])
    assert found == ["kpoints_0.par: is missing; did you mean kpoint_0.par?"]
