"""What a run needs is estimated before anything is built, and refused where it is too much."""

import time
from dataclasses import replace

import numpy as np
import pytest
from bundle_samples import GOOD, problems, read, write
from samples import bundle_of, random_system, waves_of

from deeppseudopot_jax import build_problem
from deeppseudopot_jax.basis import differences, integers_in_sphere
from deeppseudopot_jax.crystal import reciprocal_lattice
from deeppseudopot_jax.errors import InputError
from deeppseudopot_jax.files.bundle import read_bundle
from deeppseudopot_jax.resources import estimate, largest_basis, plane_waves_in_sphere
from deeppseudopot_jax.run import workflows
from deeppseudopot_jax.run.checks import resources
from deeppseudopot_jax.run.checks.plan import plan_of

CONFIG, INPUT, SYSTEM = GOOD["NN_config.par"], GOOD["input_0.par"], GOOD["system_0.par"]
FIT = (
    "max_num_epochs = 50\noptimizer_lr = 1\nplotEvery = 1\nschedulerStep = 1\nscheduler_gamma = 1\n"
)
MONTE_CARLO = (
    "mc_bool = 1\nmc_iter = 10\nmc_percentage = 0.1\nmc_beta = 1\n"
    "mc_betas = 10 1\nmc_swap_every = 1\n"
)
GIGABYTE = 2.0**30


@pytest.fixture
def sixteen_gigabytes(monkeypatch):
    """A machine of that size, whatever runs the tests."""
    monkeypatch.setattr(resources, "available_memory", lambda: 16.0 * GIGABYTE)


@pytest.mark.parametrize("seed", range(5))
def test_plane_waves_and_differences_are_as_many_as_estimated(seed):
    system = random_system(np.random.default_rng(seed), max_kinetic_energy=12.0)
    lattice = system.crystal.lattice
    waves = waves_of(system, "G_full")
    expected = plane_waves_in_sphere(lattice, 12.0)
    assert waves.n_waves == pytest.approx(expected, rel=0.1)
    found = differences(waves, reciprocal_lattice(lattice))
    assert len(found.integers) == pytest.approx(8.0 * expected, rel=0.2)
    for center in (np.zeros(3), system.k_points[0] @ reciprocal_lattice(lattice)):
        sphere = integers_in_sphere(reciprocal_lattice(lattice), 12.0, center)
        assert len(sphere) < largest_basis(lattice, 12.0)


@pytest.mark.parametrize(
    ("files", "largest"),
    [
        ({"input_0": INPUT.replace("maxKE = 5", "maxKE = 300")}, "dense matrix of one k-point"),
        ({"input_0": INPUT.replace("maxKE = 5", "maxKE = 1e29")}, "dense matrix of one k-point"),
        ({"system_0": SYSTEM.replace("= 10.0", "= 1e4")}, "dense matrix of one k-point"),
        ({"NN_config": CONFIG.replace("4 3", "4 2000000000") + FIT}, "the network"),
        ({"NN_config": CONFIG.replace("4 3", "90000 90000") + FIT}, "the network"),
        ({"NN_config": CONFIG + FIT + "ensemble_size = 10000000\n"}, "wave functions of all"),
        ({"NN_config": CONFIG + MONTE_CARLO + "mc_replicas = 2000000000\n"}, "wave functions of"),
        ({"NN_config": CONFIG + FIT + "nQGrid = 2000000000\n"}, "the output grids"),
        ({"NN_config": CONFIG + FIT + "nRGrid = 2000000000\n"}, "the output grids"),
    ],
)
def test_what_does_not_fit_into_the_memory_is_refused_at_once(
    tmp_path, sixteen_gigabytes, files, largest
):
    folder = write(tmp_path / "inputs", **({"NN_config": CONFIG + FIT} | files))
    start = time.perf_counter()
    with pytest.raises(InputError) as caught:
        workflows.run(folder, tmp_path / "results")
    assert time.perf_counter() - start < 2.0  # a tenth of it on a quiet machine
    message = str(caught.value)
    assert message.startswith("the run needs about ") and largest in message
    assert "(plane waves: system_0 about " in message and "but this machine has 16 GB" in message
    assert not (tmp_path / "results").exists()


def test_much_of_the_memory_is_worth_a_note(tmp_path, sixteen_gigabytes):
    keys = INPUT.replace("maxKE = 5", "maxKE = 100")
    plan = plan_of(read(tmp_path, NN_config=CONFIG + FIT, input_0=keys))
    (note,) = resources.check_resources([plan], "float64")
    assert note.startswith("the run needs about ") and note.endswith("; this machine has 16 GB.")
    short = replace(plan.bundle, settings=plan.settings.model_copy(update={"max_epochs": 3}))
    assert resources.check_resources([plan_of(short)], "float64") == []  # no dense spot check
    assert resources.needs_of([plan]).n_bytes > resources.needs_of([plan], 4).n_bytes
    evaluation = plan_of(plan.bundle, "eval")
    assert resources.needs_of([evaluation]).n_bytes < 0.1 * resources.needs_of([plan]).n_bytes


def test_k_points_count(tmp_path):
    bundle = bundle_of(np.random.default_rng(0), random_system(np.random.default_rng(0)))
    bundle = replace(bundle, settings=bundle.settings.model_copy(update={"max_epochs": 30}))
    many = np.zeros((10**6, 3))
    changes = {"k_points": many, "k_weights": many[:, 0], "reference_energies": None}
    system = replace(bundle.systems[0], max_kinetic_energy=9.0, **changes)
    parts = estimate(replace(bundle, systems=(system,)), is_fitted=True).parts
    states = next(part.n_bytes for part in parts if part.what.startswith("wave functions"))
    n_waves = plane_waves_in_sphere(system.crystal.lattice, 9.0)
    assert states == pytest.approx(4.0 * 10**6 * n_waves * (3 + 4) * 16.0, rel=1e-3)


def test_hardly_any_plane_waves(tmp_path):
    bundle = read(tmp_path, input_0=INPUT.replace("maxKE = 5", "maxKE = 1e-300"))
    assert estimate(bundle, is_fitted=False).n_bytes > 0.0


def test_the_machine_has_some_memory():
    assert 2.0**26 < resources.available_memory() < 2.0**50


def test_a_problem_built_from_python_is_refused_too():
    system = random_system(np.random.default_rng(0), max_kinetic_energy=1e9)
    with pytest.raises(
        InputError, match=r"input_0\.par: maxKE = 1e\+09 gives about .* plane waves"
    ):
        build_problem(bundle_of(np.random.default_rng(0), system))


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"input_0": INPUT.replace("maxKE = 5", "maxKE = 1e300")}, "at most 1e+30 in size"),
        ({"kpoints_0": "0 0 0 1e300\n0.5 0.5 0.5 2.0\n"}, "too large a number; found '1e300'"),
        ({"system_0": SYSTEM.replace("= 10.0", "= 1e300")}, "too large a number; found '1e300'"),
        ({"init_SParams": "1e300\n2\n3\n4\n"}, "init_SParams.par:1: too large a number"),
        ({"input_0": INPUT.replace("nBands = 4", "nBands = 3000")}, "found '3000'; legal: less"),
        (
            {"input_0": INPUT.replace("nBands = 4", "nBands = 2147483647")},
            "a whole number > 0 and <= 100000",
        ),
        ({"NN_config": CONFIG + "max_num_epochs = 9999999999\n"}, ">= 0, at most 2147483647"),
        ({"NN_config": CONFIG + "qmax = 1e7\n"}, "a number > 0 and <= 1e+06"),
        ({"NN_config": CONFIG.replace("4 3", "4 9999999999")}, "at most 2147483647"),
    ],
)
def test_numbers_that_overflow_are_told_on_reading(tmp_path, files, message):
    assert message in problems(tmp_path, **files)[0]


def test_seeds_may_have_more_bits(tmp_path):
    folder = write(tmp_path, NN_config=CONFIG + "seed = 123456789012345\n")
    assert read_bundle(folder).settings.seed == 123456789012345
