"""A whole inputs folder: all problems at once, notes for all that is absent or not read."""

import json

import numpy as np
import pytest
from bundle_samples import GOOD, problems, read, write

from deeppseudopot_jax.errors import InputError
from deeppseudopot_jax.files.bundle import BundleError, read_bundle
from deeppseudopot_jax.files.torch_pickle import read_state_dict, write_checkpoint
from deeppseudopot_jax.run.checks.plan import plan_of
from deeppseudopot_jax.run.preparation import prepare, tables_of

CONFIG = GOOD["NN_config.par"]
FIT = (
    "max_num_epochs = 1\noptimizer_lr = 1\nplotEvery = 1\nschedulerStep = 1\nscheduler_gamma = 1\n"
)
INIT = (
    "init_Zunger_num_epochs = 1\ninit_Zunger_optimizer_lr = 1\n"
    "init_Zunger_scheduler_gamma = 1\ninit_Zunger_plotEvery = 1\n"
)
STATE = {"hidden.0.weight": np.ones((4, 1)), "hidden.0.bias": np.zeros(4)}


def test_a_missing_folder(tmp_path):
    with pytest.raises(BundleError, match="nowhere: does not exist; legal: an inputs folder"):
        read_bundle(tmp_path / "nowhere")
    (tmp_path / "file").touch()
    with pytest.raises(BundleError, match="file: is not a folder"):
        read_bundle(str(tmp_path / "file"))


def test_a_missing_config(tmp_path):
    assert problems(tmp_path / "a", NN_config=None) == ["NN_config.par: is missing"]
    assert problems(tmp_path / "b", NN_config=None, nn_config=CONFIG) == [
        "NN_config.par: is missing; did you mean nn_config.par?"
    ]


def test_the_problems_of_all_files_come_together(tmp_path):
    found = problems(
        tmp_path,
        NN_config=CONFIG + "seed = -1\n",
        system_0=GOOD["system_0.par"].replace("Zn", "zn"),
        input_0="nBands = 4\n",
        kpoints_0="0 0 0\n",
        expBandStruct_0="0 1 2 3\n",
        bandWeights_0=None,
        mcOpts1="betas = 1 2\n",
    )
    files = ["NN_config", "system_0", "input_0", "kpoints_0", "expBandStruct_0", "mcOpts1"]
    assert list(dict.fromkeys(problem.split(".par")[0] for problem in found)) == files


def test_more_systems_than_files_are_one_problem(tmp_path):
    (problem,) = problems(tmp_path, NN_config=CONFIG.replace("= 1", "= 1000000"))
    assert problem == "NN_config.par:3: there are fewer files than systems; found '1000000'"


def test_several_systems_share_their_species(tmp_path):
    second = {
        name.replace("0", "1"): text
        for name, text in ((k.removesuffix(".par"), v) for k, v in GOOD.items() if "_0" in k)
    }
    second["system_1"] = GOOD["system_0.par"].replace("Zn", "Cd")
    bundle = read(
        tmp_path, NN_config=CONFIG.replace("= 1", "= 2"), init_CdParams="1 2 3 4", **second
    )
    assert bundle.species == ("Cd", "S", "Zn")
    assert [system.index for system in bundle.systems] == [0, 1]
    np.testing.assert_array_equal(bundle.coefficients[:, 0], [1, -1, 1])


def test_absent_files_are_noted(tmp_path):
    bundle = read(tmp_path, bandWeights_0=None, expBandStruct_0=None)
    assert bundle.notes == (
        "expBandStruct_0.par is absent: the bands are not compared with a reference.",
        "bandWeights_0.par is absent: every band counts 1.",
    )
    np.testing.assert_array_equal(bundle.systems[0].band_weights, np.ones(4))
    assert bundle.systems[0].reference_energies is None


def test_a_fit_needs_its_reference(tmp_path):
    assert problems(tmp_path, NN_config=CONFIG + FIT, expBandStruct_0=None) == [
        "expBandStruct_0.par: is missing, but max_num_epochs > 0 needs it"
    ]


def test_a_reference_for_other_k_points_can_only_be_left_out(tmp_path):
    one_row = "0 1 2 3 4\n"
    assert problems(tmp_path / "fit", NN_config=CONFIG + FIT, expBandStruct_0=one_row) == [
        "expBandStruct_0.par:1: wrong number of rows; found '1 rows'; "
        "legal: 2 rows (one row per k-point)"
    ]
    bundle = read(tmp_path / "evaluation", expBandStruct_0=one_row)
    assert bundle.systems[0].reference_energies is None
    assert bundle.notes == (
        "expBandStruct_0.par has 1 rows for 2 k-points: the bands are not compared with it.",
    )


def test_a_folder_prepared_for_fits_can_be_evaluated(tmp_path):
    fits = INIT + "force_retrain = 1\n" + FIT
    folder = write(
        tmp_path,
        NN_config=CONFIG + fits,
        kpoints_0="0.1 0 0 1\n",
        input_0=GOOD["input_0.par"].replace("idxGap = 0", "idxGap = 1") + "fit_defPot = 1\n",
        expDefPot_0="1 1 1 2 1.01 -1.0 1\n",
        init_ZnParams=None,
        init_SParams=None,
    )
    with pytest.raises(BundleError, match=r"(?s)expBandStruct_0.*expDefPot_0.*init_SParams"):
        read_bundle(folder)
    bundle = read_bundle(folder, purpose="eval")
    assert bundle.settings.max_epochs == bundle.settings.init_epochs == 0
    assert bundle.systems[0].reference_energies is None and not bundle.systems[0].fit_deformation
    keys = "max_num_epochs, init_Zunger_num_epochs, force_retrain"
    assert bundle.notes == (
        f"NN_config.par: {keys} left out, nothing is fitted here.",
        "input_0.par: fit_defPot left out, nothing is fitted here.",
        "expBandStruct_0.par has 2 rows for 1 k-points: the bands are not compared with it.",
    )
    (folder / "expBandStruct_0.par").unlink()
    assert read_bundle(folder, purpose="eval").systems[0].reference_energies is None


def test_no_file_is_ignored_silently(tmp_path):
    (tmp_path / "notes.md").touch()
    (tmp_path / "init_PPmodel.pt.txt").touch()
    (tmp_path / "results").mkdir()
    bundle = read(
        tmp_path,
        kpoint_0="x",
        kpoints_1_orderMatrix="x",
        system_4="x",
        bandweights_0="x",
        mcopt1="x",
        something_else="x",
    )
    beyond = "nSystem = 1 reads the systems 0 to 0"
    assert bundle.notes == (
        "bandweights_0.par is not read; the nearest name that would be is bandWeights_0.par",
        "init_PPmodel.pt.txt is not read; the nearest name that would be is init_PPmodel.pth",
        "kpoint_0.par is not read; the nearest name that would be is kpoints_0.par",
        f"kpoints_1_orderMatrix.par is not read: {beyond}",
        "mcopt1.par is not read; the nearest name that would be is mcOpts1.par",
        "something_else.par is not read",
        f"system_4.par is not read: {beyond}",
    )


def test_checkpoints_are_read(tmp_path):
    adam = {"state": {0: {"step": np.array(3.0)}}, "param_groups": [{"betas": (0.9, 0.99)}]}
    write_checkpoint(tmp_path / "init_PPmodel.pth", STATE)
    write_checkpoint(tmp_path / "init_AdamState.pth", adam)
    bundle = read(tmp_path)
    assert list(bundle.model_state) == list(STATE) and bundle.notes == ()
    assert bundle.optimizer_state["param_groups"] == adam["param_groups"]


def test_checkpoints_that_are_not_used_are_noted(tmp_path):
    write_checkpoint(tmp_path / "init_AdamState.pth", {})
    assert read(tmp_path).notes == ("init_AdamState.pth is not used: init_PPmodel.pth is absent.",)
    write_checkpoint(tmp_path / "init_PPmodel.pth", STATE)
    assert read(tmp_path).notes == ()


def test_bad_checkpoints_are_told_with_the_rest(tmp_path):
    (tmp_path / "init_PPmodel.pth").write_bytes(b"x")
    write_checkpoint(tmp_path / "init_AdamState.pth", [1])
    found = problems(tmp_path, NN_config=CONFIG + "seed = x\n")
    assert [problem.split(";")[0] for problem in found] == [
        "NN_config.par:4: bad value of seed",
        "init_PPmodel.pth: is damaged or not a zip file (File is not a zip file)",
        "init_AdamState.pth: is no optimizer state",
    ]


def test_weights_that_do_not_fit_the_model_name_their_file(tmp_path):
    write_checkpoint(tmp_path / "init_PPmodel.pth", STATE)
    plan = plan_of(read(tmp_path))
    message = r"init_PPmodel\.pth: the weights do not fit PPmodel = Net_relu with layers 1 4 3 2"
    with pytest.raises(InputError, match=message + r": hidden\.1\.weight is missing"):
        prepare(plan, tables_of(plan.bundle, "float64"))


def test_reading_writes_nothing(tmp_path):
    write(tmp_path)
    before = {path: path.stat().st_mtime_ns for path in [tmp_path, *tmp_path.iterdir()]}
    read_bundle(tmp_path)
    assert {path: path.stat().st_mtime_ns for path in [tmp_path, *tmp_path.iterdir()]} == before


def test_the_bundle_of_four_semiconductors(shared):
    bundle = read_bundle(shared / "bundles" / "ingaasp_nn")
    assert bundle.species == ("As", "Ga", "In", "P") and bundle.notes == ()
    assert [system.crystal.symbols for system in bundle.systems] == [
        ("In", "As"),
        ("In", "P"),
        ("Ga", "As"),
        ("Ga", "P"),
    ]
    assert all(system.reference_energies.shape == (61, 16) for system in bundle.systems)
    assert bundle.coefficients.shape == (4, 9)
    shapes = [array.shape for array in bundle.model_state.values()]
    assert shapes == [(20, 1), (20,), (20, 20), (20,), (20, 20), (20,), (4, 20), (4,)]


def test_the_perovskite_bundle(shared):
    bundle = read_bundle(shared / "bundles" / "cspbi3_soc")
    (system,) = bundle.systems
    assert system.name == "CsPbI3" and system.plot_range.center == -3.8
    assert bundle.settings.spin_orbit and bundle.species == ("Cs", "I", "Pb")
    assert system.reference_energies.shape == (3, 32)
    assert bundle.notes == ()


def test_the_cdse_bundle(reference_bundle):
    bundle = read_bundle(reference_bundle("cdse_zunger", "PPmodel = ZeroFunction\nnSystem = 1\n"))
    assert bundle.species == ("Cd", "Se") and bundle.coefficients[0, 0] == -31.4518
    assert bundle.notes == ("bandWeights_0.par is absent: every band counts 1.",)


def test_the_monte_carlo_bundle(reference_bundle):
    config = (
        "PPmodel = ZeroFunction\nnSystem = 1\nSObool = 1\n"
        "mc_bool = 1\nmc_iter = 5\nmc_percentage = 0.1\nmc_beta = 10\n"
    )
    bundle = read_bundle(reference_bundle("cspbi3_montecarlo", config))
    assert [option.file for option in bundle.monte_carlo_options] == ["mcOpts1.par", "mcOpts2.par"]
    assert bundle.monte_carlo_options[1].fit_couplings
    assert len(bundle.systems[0].coupling_targets) == 5 * 2 * 3
    assert "CsParams.par is read as init_CsParams.par." in bundle.notes


def test_the_coupling_bundle(reference_bundle):
    """Its reference bands are of another k-path, and its spare files are named."""
    config = "PPmodel = Net_relu\nhiddenLayers = 4\nnSystem = 1\n"
    bundle = read_bundle(reference_bundle("cdse_couplings", config))
    assert bundle.systems[0].q_points.shape == (2, 3)
    assert any("expBandStruct_0.par has 61 rows for 2 k-points" in note for note in bundle.notes)
    assert sum("is not read" in note for note in bundle.notes) == 11


def test_the_state_dicts_of_every_model(shared):
    folder = shared / "golden" / "models"
    models = json.loads((folder / "models.json").read_text())["models"]
    assert len(models) == 29
    for name in models:
        state = read_state_dict(folder / f"{name}.pth")
        assert all(np.isfinite(array).all() for array in state.values())
        assert (state == {}) == (name == "ZeroFunction")
