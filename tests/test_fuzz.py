"""Broken bundles: refused with an error meant for users, or understood and sane; never a hang.

300 always; `pytest -m exhaustive tests/test_fuzz.py` tries 10,000, and runs some of those that are
accepted. Each case is told by its seed: `mutate(folder, seed)` does it again.
"""

import re
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import jax
import numpy as np
import pytest
from bundle_samples import COUPLINGS, write
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mutations import mutate

from deeppseudopot_jax import initial_params, read_bundle
from deeppseudopot_jax.errors import UserError
from deeppseudopot_jax.files.atomic import ResultsFolder
from deeppseudopot_jax.files.results.checkpoints import write_model
from deeppseudopot_jax.problem import build_problem
from deeppseudopot_jax.run.preparation import prepare, tables_of
from deeppseudopot_jax.run.sequence import stages_of
from deeppseudopot_jax.run.workflows import evaluate
from deeppseudopot_jax.types import Bundle

LONGEST = 20  # s
MOST_MEMORY = 4 * 1024**2  # KiB, beside what the tests before have left
KINDS = ("network", "coefficients", "monte_carlo")
NETWORK = (
    "PPmodel = Net_celu_HeInit_decayGaussian\nhiddenLayers = 4 3\nPPmodel_gaussian_std = 2\n"
    "nSystem = 1\nmax_num_epochs = 3\noptimizer = adam\noptimizer_lr = 0.01\nSObool = 1\n"
    "scheduler_gamma = 0.9\nschedulerStep = 2\ntrainSO = 1\nplotEvery = 1\nseed = 2\nmovie = 0\n"
    "perturbEvery = 2\nclip_gradient = 10\nmax_cost_increase = 5\npre_adjust_moves = 1\n"
)
COEFFICIENTS = (
    "PPmodel = ZeroFunction\nhiddenLayers = 1\nnSystem = 1\nmax_num_epochs = 3\noptimizer = lm\n"
    "plotEvery = 1\nmovie = 0\nprior_width = 100\nvalidation_k = 2\n"
    "smooth_reorder = 1\n"
)
MONTE_CARLO = (
    "PPmodel = ZeroFunction\nhiddenLayers = 1\nnSystem = 1\nmc_bool = 1\nmc_replicas = 2\n"
    "mc_betas = 5 1\nmc_swap_every = 5\nmc_iter = 10\nmc_percentage = 0.01\nmc_beta = 5\nseed = 1\n"
)
COUPLED = (
    "nBands = 4\nmaxKE = 5\nidxVB = 1\nidxCB = 2\nidxGap = 0\nfit_eph = 1\nfit_defPot = 1\n"
    "systemName = zinc sulphide\n"
)
STEPS = "0.1\n0.1\n0.1\n0.1\n0\n0\n0\n0\n0\n"


@pytest.fixture(scope="session")
def originals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Good bundles of three kinds, with every kind of file that there is."""
    folder = tmp_path_factory.mktemp("originals")
    network = write(folder / "network", NN_config=NETWORK)
    bundle = read_bundle(network)
    problem = build_problem(bundle)
    start = initial_params(bundle, problem).local
    write_model(ResultsFolder(folder / "weights"), "init", problem.local, start)
    shutil.copyfile(folder / "weights" / "init_PPmodel.pth", network / "init_PPmodel.pth")
    write(
        folder / "coefficients",
        NN_config=COEFFICIENTS,
        input_0=COUPLED,
        expDefPot_0="0 1 1 2 1.02 -3.0 1.0\n",
        expCoupling_0=COUPLINGS,
        qpoints_0="0.5 0 0 1.0\n0.1 0.2 0.3 1.0\n",
    )
    write(folder / "monte_carlo", NN_config=MONTE_CARLO, ZnParamSteps=STEPS, SParamSteps=STEPS)
    for kind in KINDS:
        assert understood(folder / kind, folder / "results") is not None
    return folder


def understood(inputs: Path, results: Path) -> Bundle | None:
    """What a run makes of a bundle before it computes anything; None where it refuses it."""
    try:
        bundle = read_bundle(inputs)
        stages = stages_of(bundle, ResultsFolder(results, inputs, overwrite=True))
        tables = tables_of(bundle, "float64")
        for stage in stages:
            prepare(stage.plan, tables)
    except UserError as error:
        assert str(error).strip()
        return None
    return bundle


@contextmanager
def in_memory() -> Iterator[None]:
    """Fail where a block takes too much memory."""

    def status(name: str) -> int:
        text = Path("/proc/self/status").read_text()
        found = re.search(rf"^{name}:\s*(\d+) kB", text, flags=re.MULTILINE)
        assert found is not None
        return int(found[1])

    try:
        Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    except OSError:
        pytest.skip("the peak of memory can only be measured on Linux")
    before = status("VmRSS")
    yield
    assert status("VmHWM") - before < MOST_MEMORY


class TooLong(BaseException):
    """No reader may take this for an error of a file."""


@contextmanager
def in_time() -> Iterator[None]:
    """Raise in a block that takes too long."""

    def late(*_: object) -> None:
        raise TooLong(f"more than {LONGEST} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(LONGEST)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def assert_sane(bundle: Bundle) -> None:
    """Nothing that no physicist can have meant, whatever the reader thinks of it."""
    for system in bundle.systems:
        cell = np.asarray(system.crystal.lattice)
        assert np.isfinite(cell).all() and abs(np.linalg.det(cell)) > 1.0
        assert np.abs(system.k_points).max() < 1e3
        assert np.abs(system.crystal.fractional_positions).max() < 1e3
        shifts = np.stack(np.meshgrid(*[np.arange(-2, 3)] * 3, indexing="ij"), -1).reshape(-1, 3)
        positions = np.asarray(system.crystal.fractional_positions)
        for index, first in enumerate(positions):
            for second in positions[:index]:
                offset = (first - second) - np.round(first - second) + shifts
                assert np.linalg.norm(offset @ cell, axis=1).min() > 0.1, "atoms coincide"
        if system.reference_energies is not None:
            assert np.isfinite(system.reference_energies).all()
            if system.band_order is None and not bundle.settings.follows_bands:
                assert np.diff(system.reference_energies, axis=1).min(initial=0.0) > -0.1


def tried(originals: Path, scratch: Path, kind: str, seed: int) -> Bundle | None:
    """One broken bundle."""
    inputs = scratch / "inputs"
    shutil.rmtree(scratch, ignore_errors=True)
    shutil.copytree(originals / kind, inputs)
    done = mutate(inputs, seed)
    try:
        with in_time():
            bundle = understood(inputs, scratch / "results")
        if bundle is not None:
            assert_sane(bundle)
    except BaseException as error:
        error.add_note(f"{kind}, {done}")
        raise
    return bundle


@pytest.mark.parametrize("kind", KINDS)
def test_broken_bundles_are_refused_or_understood(originals, tmp_path, kind):
    with in_memory():
        accepted = [tried(originals, tmp_path / "case", kind, seed) for seed in range(80)]
    assert 10 < sum(bundle is None for bundle in accepted) < 80


@given(st.sampled_from(KINDS), st.integers(10_000, 2**31))
@settings(
    max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True,
    database=None,
)  # fmt: skip
def test_random_seeds(originals, tmp_path_factory, kind, seed):
    tried(originals, tmp_path_factory.getbasetemp() / "random", kind, seed)


@pytest.mark.exhaustive
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("part", range(10))
def test_ten_thousand(originals, tmp_path, kind, part):
    """One of twenty that are accepted is solved, too."""
    n_accepted, ran = 0, tmp_path / "ran"
    with in_memory():
        for seed in range(100 + 334 * part, 100 + 334 * (part + 1)):
            bundle = tried(originals, tmp_path / "case", kind, 1_000_000 + seed)
            n_accepted += bundle is not None
            if bundle is not None and n_accepted % 20 == 0:
                jax.clear_caches()
                with suppress(UserError), in_time():
                    evaluate(tmp_path / "case" / "inputs", ran, overwrite=True)
    assert n_accepted > 20
