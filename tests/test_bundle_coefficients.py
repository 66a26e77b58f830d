"""Coefficients, step sizes, the tabulated potential and the Monte Carlo helper files."""

import numpy as np
import pytest
from bundle_samples import COUPLINGS, GOOD, problems, read

from deeppseudopot_jax.types import MonteCarloOptions

CONFIG = GOOD["NN_config.par"]
OPTIONS = "betas = 100 1\nstepsAtTemp = 5 6\ntempStepSizeMod = 1.0 0.5\ntotalIter = 20\n"


def test_missing_rows_are_zero_and_species_are_sorted(tmp_path):
    np.testing.assert_array_equal(
        read(tmp_path).coefficients, [[-1, 2, 3, 4, 0, 0, 0, 0, 0], [1, 2, 3, 4, 0, 6, 7, 8, 9]]
    )


def test_without_files_there_are_no_coefficients(tmp_path):
    bundle = read(tmp_path, init_ZnParams=None, init_SParams=None)
    assert bundle.coefficients is None and bundle.notes == ()


@pytest.mark.parametrize(
    ("zinc", "sulphur", "is_noted"),
    [
        ("1 2 3 4 0.5", "1 2 3 4", True),
        ("1 2 3 4 0", "1 2 3 4 0", False),
        ("1 2 3 4 0.5", "1 2 3 4 -0.5 0 0 0 0", False),
    ],
)
def test_a_fifth_row_is_a4_and_noted_where_it_may_be_strain(tmp_path, zinc, sulphur, is_noted):
    bundle = read(tmp_path, init_ZnParams=zinc, init_SParams=sulphur)
    assert bundle.coefficients[1, 4] == float(zinc.split()[4])
    assert any("init_ZnParams.par: the fifth row, 0.5" in note for note in bundle.notes) == is_noted


def test_files_without_the_prefix_are_read_with_a_note(tmp_path):
    bundle = read(tmp_path, init_SParams=None, SParams="5 6 7 8", ZnParams="1 1 1 1")
    np.testing.assert_array_equal(bundle.coefficients[:, 0], [5, 1])
    assert bundle.notes == (
        "SParams.par is read as init_SParams.par.",
        "ZnParams.par is not read: init_ZnParams.par is there.",
    )


@pytest.mark.parametrize("count", [0, 3, 6, 7, 8, 10])
def test_the_number_of_rows_is_checked(tmp_path, count):
    (problem,) = problems(tmp_path, init_SParams="1\n" * count)
    assert problem.startswith("init_SParams.par")
    assert f"found '{count} values'; legal: 4 or 5 or 9 values" in problem


def test_every_species_needs_coefficients_or_none(tmp_path):
    assert problems(tmp_path, init_SParams=None) == [
        "init_SParams.par: is missing, but init_ZnParams.par exists; "
        "legal: one file for every species, or for none"
    ]


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ("PPmodel = ZeroFunction\nnSystem = 1", "PPmodel = ZeroFunction"),
        (
            CONFIG + "init_Zunger_num_epochs = 2\ninit_Zunger_optimizer_lr = 1\n"
            "init_Zunger_scheduler_gamma = 1\ninit_Zunger_plotEvery = 1\n",
            "init_Zunger_num_epochs > 0",
        ),
    ],
)
def test_some_runs_need_coefficients(tmp_path, config, reason):
    assert problems(tmp_path, NN_config=config, init_SParams=None, init_ZnParams=None) == [
        f"init_{symbol}Params.par: is missing, but {reason} needs it" for symbol in ("S", "Zn")
    ]


def test_spin_orbit_without_coefficients_is_noted(tmp_path):
    bundle = read(tmp_path, NN_config=CONFIG + "SObool = 1", init_SParams=None, init_ZnParams=None)
    assert bundle.notes == ("SObool = 1 without init_<atom>Params.par: a5, a6 and a7 start at 0.",)


def test_step_sizes(tmp_path):
    bundle = read(tmp_path, SParamSteps="1 2 3 4 5", ZnParamSteps="1\n2\n3\n4\n5\n6\n7\n8\n9\n")
    np.testing.assert_array_equal(
        bundle.step_sizes, [[1, 2, 3, 4, 5, 0, 0, 0, 0], [1, 2, 3, 4, 5, 6, 7, 8, 9]]
    )
    assert bundle.notes == ("SParamSteps.par has 5 rows: a5 to a8 do not move.",)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"SParamSteps": "1 " * 5}, "ZnParamSteps.par: is missing, but SParamSteps.par exists"),
        (
            {"SParamSteps": "1 " * 5, "ZnParamSteps": "1 1 1 1"},
            "ZnParamSteps.par:1: wrong number of values; found '4 values'; legal: 5 or 9 values",
        ),
        (
            {"SParamSteps": "1 " * 5, "ZnParamSteps": "1\n1\n-1\n1\n1"},
            "ZnParamSteps.par:3: negative step size; found '-1'; legal: a number >= 0",
        ),
    ],
)
def test_bad_step_sizes(tmp_path, files, message):
    (problem,) = problems(tmp_path, **files)
    assert problem.startswith(message)


def test_a_tabulated_potential(tmp_path):
    bundle = read(tmp_path, init_qSpace_pot="0 1 2\n0.5 3 4\n")
    np.testing.assert_array_equal(bundle.tabulated_potential, [[0, 1, 2], [0.5, 3, 4]])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0 1\n", ":1: wrong number of columns; found '2 columns'; legal: 3 columns (q v_S v_Zn)"),
        ("0 1 2\n1 1 2\n1 1 2\n", ":3: q does not ascend; found '1'; legal: a number > 1"),
        ("0 1 2\n2 1 2\n1 1 2\n", ":3: q does not ascend; found '1'; legal: a number > 2"),
        ("-1 1 2\n", ":1: q does not ascend; found '-1'; legal: a number >= 0"),
    ],
)
def test_a_bad_tabulated_potential(tmp_path, text, message):
    assert problems(tmp_path, init_qSpace_pot=text) == ["init_qSpace_pot.par" + message]


def test_monte_carlo_options_come_in_the_order_of_their_numbers(tmp_path):
    bundle = read(
        tmp_path,
        mcOpts10=OPTIONS,
        mcOpts2=OPTIONS + "fitCoupling = True\nfitDefPot = True\nfitEffMass = True\n"
        "optGaps = True\ndefPotWeight = 3\nwritePerIter = 4\n",
        expCoupling_0=COUPLINGS,
        qpoints_0="0 0 0 1\n0.5 0 0 1\n",
        expDefPot_0="-1\n-8\n",
    )
    schedule = ((100.0, 1.0), (5, 6), (1.0, 0.5), 20)
    assert bundle.monte_carlo_options == (
        MonteCarloOptions("mcOpts2.par", *schedule, True, True, True, True, 3.0, 4),
        MonteCarloOptions("mcOpts10.par", *schedule),
    )


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("betas = 100 1\n", "", ": the key betas is missing; legal: 2 numbers > 0, separated"),
        ("betas = 100 1", "betas = 100", ":1: bad value of betas; found '100'; legal: 2 numbers"),
        ("betas = 100 1", "betas = 1 2 3", ":1: bad value of betas; found '1 2 3'"),
        ("betas = 100 1", "betas = 0 1", ":1: bad value of betas; found '0 1'"),
        ("stepsAtTemp = 5 6", "stepsAtTemp = 5 6.5", ":2: bad value of stepsAtTemp; found '5 6.5'"),
        ("totalIter = 20", "totaliter = 20", ":4: unknown key; found 'totaliter'; did you mean"),
        ("totalIter = 20", "totalIter = 20\noptGaps = 1", ":5: bad value of optGaps; found '1'; leg"
         "al: True or False"),
        ("totalIter = 20", "totalIter = 20\nfitDefPot = True", ": fitDefPot = True needs the file"
         " expDefPot_X.par of some system"),
    ],
)  # fmt: skip
def test_bad_monte_carlo_options(tmp_path, old, new, message):
    found = problems(tmp_path, mcOpts1=OPTIONS.replace(old, new))
    assert any(problem.startswith("mcOpts1.par" + message) for problem in found)


def test_a_schedule_of_beta_is_found_next_to_the_config(tmp_path):
    bundle = read(
        tmp_path, NN_config=CONFIG + "mc_beta_schedule = beta.par\n", beta="0 1\n100 2.5\n"
    )
    np.testing.assert_array_equal(bundle.beta_schedule, [[0, 1], [100, 2.5]])
    assert bundle.notes == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0 1\n0 2\n", ":2: iteration does not ascend; found '0'; legal: a number > 0"),
        ("0 1\n1.5 2\n", ":2: bad iteration; found '1.5'; legal: a whole number >= 0"),
        ("0 0\n", ":1: bad beta; found '0'; legal: a number > 0"),
        ("0 1 2\n", ":1: wrong number of columns; found '3 columns'; legal: 2 columns (iteration"),
    ],
)
def test_a_bad_schedule(tmp_path, text, message):
    (problem,) = problems(tmp_path, NN_config=CONFIG + "mc_beta_schedule = beta.par\n", beta=text)
    assert problem.startswith("beta.par" + message)
