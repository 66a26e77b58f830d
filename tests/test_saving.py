"""Whole runs that are ended, fill their disk or must not go on: what is there, and what is said."""

import errno
import hashlib
import os
import re
import shutil
import signal
from pathlib import Path

import bundle_samples
import numpy as np
import pytest

from deeppseudopot_jax.errors import DiskFullError, ResultsError
from deeppseudopot_jax.files.results import streams
from deeppseudopot_jax.montecarlo.chain import Chain
from deeppseudopot_jax.run import file_names
from deeppseudopot_jax.run.outputs import Outputs
from deeppseudopot_jax.run.signals import Terminated, signals_raised
from deeppseudopot_jax.run.stages import pace
from deeppseudopot_jax.run.stages.sampling import stage
from deeppseudopot_jax.run.stages.training import ensemble
from deeppseudopot_jax.run.stages.training import stage as training
from deeppseudopot_jax.run.workflows import run

GRIDS = "nSystem = 1\nnQGrid = 16\nnRGrid = 8\n"
NETWORK = "PPmodel = Net_celu_HeInit_decayGaussian\nPPmodel_gaussian_std = 2\nhiddenLayers = 4\n"
TRAINING = (
    "max_num_epochs = 50\noptimizer_lr = 0.01\nplotEvery = 200\nschedulerStep = 2\n"
    "scheduler_gamma = 0.5\n"
)
MONTE_CARLO = "mc_bool = 1\nmc_iter = 20\nmc_percentage = 0.02\nmc_beta = 50\n"
TEMPERED = "PPmodel = ZeroFunction\nmc_replicas = 2\nmc_betas = 50 5\nmc_swap_every = 5\n"
COEFFICIENTS = "5\n2\n3\n0.4\n0\n0.3\n0.1\n0.2\n0.1\n"
START = {"init_ZnParams": COEFFICIENTS, "init_SParams": COEFFICIENTS}


def make_inputs(folder: Path, config: str, **changes: str) -> Path:
    return bundle_samples.write(folder, NN_config=GRIDS + config, **(START | changes))


@pytest.fixture(autouse=True)
def few_steps_and_no_figures(monkeypatch):
    monkeypatch.setattr(stage, "_STEPS_PER_CHUNK", 10)
    monkeypatch.setattr(Outputs, "save", lambda *_: None)


@pytest.fixture(scope="module")
def sampled(tmp_path_factory):
    """Inputs and results of a Monte Carlo run that nothing disturbed."""
    folder = tmp_path_factory.mktemp("sampled")
    inputs = make_inputs(folder / "inputs", MONTE_CARLO + TEMPERED)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stage, "_STEPS_PER_CHUNK", 10)
        patch.setattr(Outputs, "save", lambda *_: None)
        run(inputs, folder / "results")
    return inputs, folder / "results"


def contents(folder: Path) -> dict[str, bytes]:
    """All that a run computes, by name."""
    return {
        file.name: file.read_bytes()
        for file in folder.iterdir()
        if file.suffix in (".dat", ".par", ".pth")
    }


def fingerprint(folder: Path) -> dict[str, str]:
    """Every file with what is in it."""
    return {
        str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in folder.rglob("*")
        if file.is_file()
    }


def log_of(folder: Path) -> str:
    return (folder / "run.log").read_text()


def filled(monkeypatch: pytest.MonkeyPatch, room: int) -> None:
    """Lets the disk be full after so many files and rows."""
    fsync, written = os.fsync, []

    def full(number):
        written.append(number)
        if len(written) > room:
            raise OSError(errno.ENOSPC, "No space left on device")
        fsync(number)

    monkeypatch.setattr(os, "fsync", full)


def raises_in(monkeypatch: pytest.MonkeyPatch, module: object, name: str, call: int) -> None:
    """SIGTERM comes while a function is called for the given time, from 1."""
    original, calls = getattr(module, name), []

    def interrupted(*arguments):
        calls.append(name)
        if len(calls) == call:
            signal.raise_signal(signal.SIGTERM)
        return original(*arguments)

    monkeypatch.setattr(module, name, interrupted)


def test_a_terminated_training_keeps_its_best_potential(tmp_path, monkeypatch):
    inputs = make_inputs(tmp_path / "inputs", NETWORK + TRAINING)
    results = tmp_path / "results"
    results.mkdir()
    for name in ("final_PPmodel.pth", "epoch_9_BS_sys0.dat", "notes.txt", "eval_BS_sys0.dat"):
        (results / name).touch()
    raises_in(monkeypatch, training, "_log_line", 3)
    with signals_raised(), pytest.raises(Terminated):
        run(inputs, results, overwrite=True)
    log = log_of(results)
    assert "Training was ended by SIGTERM at epoch 2: cost " in log
    assert ", which best_* hold" in log and "ended by SIGTERM\nTraceback" in log
    found = {file.name for file in results.iterdir()}
    assert {"best_PPmodel.pth", "best_AdamState.pth", "best_ZnParams.par"} <= found
    assert len(np.loadtxt(results / "final_training_cost.dat")) == 3
    assert "2 files of an earlier run were removed" in log
    assert not {"final_PPmodel.pth", "epoch_9_BS_sys0.dat"} & found
    assert "older than this run: eval_BS_sys0.dat, notes.txt" in log


def test_the_best_potential_is_saved_by_time(tmp_path, monkeypatch):
    monkeypatch.setattr(pace, "_SECONDS_BETWEEN_SAVES", -1.0)
    monkeypatch.setattr(pace, "_SHARE", 1e9)
    results, seen = tmp_path / "results", []
    original = training._log_line

    def looking(epoch, *arguments):
        if epoch.number == 2:
            seen.extend(file.name for file in results.iterdir())
            raise KeyboardInterrupt
        return original(epoch, *arguments)

    monkeypatch.setattr(training, "_log_line", looking)
    with pytest.raises(KeyboardInterrupt):
        run(make_inputs(tmp_path / "inputs", "PPmodel = ZeroFunction\n" + TRAINING), results)
    assert {"best_ZnParams.par", "final_training_cost.dat"} <= set(seen)


def test_a_terminated_ensemble_keeps_its_best_member(tmp_path, monkeypatch):
    found, original = [], ensemble.fit_members

    def interrupted(*arguments):
        for members in original(*arguments):
            yield found.append(members) or members
            if len(found) == 2:
                signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(ensemble, "fit_members", interrupted)
    config = "PPmodel = ZeroFunction\n" + TRAINING + "ensemble_size = 2\nensemble_spread = 0.05\n"
    results = tmp_path / "results"
    with signals_raised(), pytest.raises(Terminated):
        run(make_inputs(tmp_path / "inputs", config), results)
    best = int(np.argmin(found[-1].lowest))
    assert f"Ensemble was ended by SIGTERM; best_* hold member {best + 1}, cost" in log_of(results)
    written = np.loadtxt(results / "best_ZnParams.par")[:4]
    assert np.array_equal(written, np.asarray(found[-1].best.local)[best, 1])


ALWAYS = (5, 12, 16)
"""How many files there is room for: before the training, in its first saving, in a later one."""


@pytest.mark.parametrize(
    "room",
    [
        pytest.param(room, marks=() if room in ALWAYS else pytest.mark.exhaustive)
        for room in range(20)
    ],
)
def test_a_full_disk_ends_a_training_with_one_line(tmp_path, monkeypatch, room):
    results = tmp_path / "results"
    inputs = make_inputs(tmp_path / "inputs", "PPmodel = ZeroFunction\n" + TRAINING)
    monkeypatch.setattr(pace, "_SECONDS_BETWEEN_SAVES", -1.0)
    monkeypatch.setattr(pace, "_SHARE", 1e9)
    filled(monkeypatch, room)
    with pytest.raises(DiskFullError) as error:
        run(inputs, results)
    assert re.fullmatch(rf"cannot write to {results}/\w+\.\w+ \(No space.*", str(error.value))
    cause = error.value.__context__
    assert cause.errno == errno.ENOSPC and cause.__context__ is None
    log = log_of(results)
    assert ("could be saved: cannot write" in log) == ("Training was ended" in log)
    assert ("best_* hold" in log) == (results / "best_ZnParams.par").exists()


def test_the_first_checkpoint_follows_the_first_chunk(sampled, tmp_path, monkeypatch):
    seen, advance = [], Chain.advance

    def looking(self, running, n_steps):
        seen.append((tmp_path / "results" / "mc_checkpoint.npz").exists())
        return advance(self, running, n_steps)

    monkeypatch.setattr(Chain, "advance", looking)
    run(sampled[0], tmp_path / "results")
    assert seen == [False, True]


@pytest.mark.parametrize(("name", "call"), [("chunk", 2), ("rows", 2)])
def test_a_terminated_monte_carlo_run_goes_on_bit_by_bit(
    sampled, tmp_path, monkeypatch, name, call
):
    inputs, whole = sampled
    results = tmp_path / "results"
    with monkeypatch.context() as patch:
        if name == "chunk":
            raises_in(patch, Chain, "advance", call)
        else:  # in the second of the tables, after the first chunk
            raises_in_rows(patch, call)
        with signals_raised(), pytest.raises(Terminated):
            run(inputs, results)
    log = log_of(results)
    assert "Monte Carlo was ended by SIGTERM; --resume goes on from mc_checkpoint.npz" in log
    run(inputs, results, resume=True)
    assert contents(results) == contents(whole)
    assert "resumed after step 10" in log_of(results)


def raises_in_rows(monkeypatch: pytest.MonkeyPatch, call: int) -> None:
    """SIGTERM comes while rows are on their way to the disk, of a table counted from 1."""
    original, calls = streams.append, []

    def interrupted(*arguments, **options):
        calls.append(arguments)
        if len(calls) == call:
            signal.raise_signal(signal.SIGTERM)
        return original(*arguments, **options)

    monkeypatch.setattr(streams, "append", interrupted)


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space"), KeyboardInterrupt()])
def test_tables_that_could_not_all_be_written_stay_as_they_were(
    sampled, tmp_path, monkeypatch, error
):
    """In the middle of the second one, once; at the end there is room again."""
    original, calls = streams.append, []

    def failing(*arguments, **options):
        calls.append(arguments)
        original(*arguments, **options)
        if len(calls) == 2:
            raise error

    inputs, whole = sampled
    with monkeypatch.context() as patch:
        patch.setattr(streams, "append", failing)
        with pytest.raises((DiskFullError, KeyboardInterrupt)):
            run(inputs, tmp_path / "results")
    assert "--resume goes on from mc_checkpoint.npz" in log_of(tmp_path / "results")
    run(inputs, tmp_path / "results", resume=True)
    assert contents(tmp_path / "results") == contents(whole)


def test_no_checkpoint_is_promised_where_there_is_none(sampled, tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    results = tmp_path / "results"
    with pytest.raises(DiskFullError, match=r"mc_checkpoint\.npz"):
        run(sampled[0], results)
    log = log_of(results)
    assert "ended by DiskFullError; it could not be saved: cannot write to" in log
    assert "--resume" not in log and not (results / "mc_checkpoint.npz").exists()


def damaged(results: Path) -> None:
    (results / "mc_checkpoint.npz").write_bytes(b"half")


def shortened(results: Path) -> None:
    os.truncate(results / "iterations.dat", 100)


def of_other_columns(results: Path) -> None:
    text = (results / "final_mc_cost.dat").read_text()
    (results / "final_mc_cost.dat").write_text(text.replace("newLoss", "oldLoss"))


@pytest.mark.parametrize(
    ("change", "betas", "message"),
    [
        (damaged, "50 5", "damaged or no snapshot"),
        (shortened, "50 5", "has 100 bytes"),
        (of_other_columns, "50 5", "begins with another header"),
        (lambda _: None, "50 6", "mc_betas"),
    ],
)
def test_a_refused_resume_has_written_nothing(sampled, tmp_path, change, betas, message):
    results = shutil.copytree(sampled[1], tmp_path / "results")
    (results / ".final_ZnParams.1.part.par").touch()
    change(results)
    before = fingerprint(results)
    inputs = make_inputs(tmp_path / "inputs", MONTE_CARLO + TEMPERED.replace("50 5", betas))
    with pytest.raises(ResultsError, match=message):
        run(inputs, results, resume=True)
    assert fingerprint(results) == before


def test_a_state_of_other_shapes_is_refused_before_anything_is_written(
    sampled, tmp_path, monkeypatch
):
    results = shutil.copytree(sampled[1], tmp_path / "results")
    with np.load(results / "mc_checkpoint.npz") as file:
        arrays = dict(file)
    name = next(name for name in arrays if "vectors" in name or "aux" in name)
    arrays[name] = arrays[name][..., :-1]
    np.savez(results / "mc_checkpoint.npz", **arrays)
    before = fingerprint(results)
    with pytest.raises(ResultsError, match="holds another state"):
        run(sampled[0], results, resume=True)
    assert fingerprint(results) == before


def test_a_longer_run_leaves_nothing_of_the_shorter_one(sampled, tmp_path, monkeypatch):
    results = shutil.copytree(sampled[1], tmp_path / "results")
    longer = MONTE_CARLO.replace("mc_iter = 20", "mc_iter = 30")
    inputs = make_inputs(tmp_path / "inputs", longer + TEMPERED)
    raises_in(monkeypatch, Chain, "advance", 1)
    with signals_raised(), pytest.raises(Terminated):
        run(inputs, results, resume=True)
    found = {file.name for file in results.iterdir()}
    assert {"final_mc_cost.dat", "mc_checkpoint.npz", "best_ZnParams.dat"} <= found
    assert not {"final_ZnParams.par", "best_BS_sys0.dat", "final_qSpace_pot.dat"} & found


def test_every_file_of_a_run_has_a_known_name(sampled):
    assert all(file_names.of_run(file.name) for file in sampled[1].iterdir())
    for name in ("init_PPmodel.pth", "notes.txt", "final_report.pdf", "eval_BS_sys0.dat"):
        assert not file_names.of_run(name)
    for name in ("mcOpts1_best_ZnParams.dat", "mcOpts_a_mc_checkpoint.npz"):
        assert file_names.of_run(name) and file_names.continued(name)
    assert file_names.of_run("mcOpts1_final_mc_cost.pdf")
    assert file_names.of_evaluation("eval_pot_Zn.dat")
    assert not file_names.of_evaluation("oldFunc_BS_sys0.dat")
