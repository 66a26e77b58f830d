"""`run --resume` of trainings: the same to the last bit as if nothing had ended them."""

import errno
import os
import re
import shutil
import signal
from pathlib import Path

import bundle_samples
import numpy as np
import pytest
from same_files import told

from deeppseudopot_jax.errors import ResultsError
from deeppseudopot_jax.run.outputs import Outputs
from deeppseudopot_jax.run.signals import Terminated, signals_raised
from deeppseudopot_jax.run.stages import pace
from deeppseudopot_jax.run.stages.training import ensemble, progress, stage
from deeppseudopot_jax.run.workflows import run

GRIDS = "nSystem = 1\nnQGrid = 16\nnRGrid = 8\nmovie = 0\n"
NETWORK = "PPmodel = Net_celu_HeInit_decayGaussian\nPPmodel_gaussian_std = 2\nhiddenLayers = 4\n"
ZERO = "PPmodel = ZeroFunction\n"
RATES = "optimizer_lr = 0.01\nschedulerStep = 2\nscheduler_gamma = 0.5\n"
COEFFICIENTS = "5\n2\n3\n0.4\n0\n0.3\n0.1\n0.2\n0.1\n"
START = {"init_ZnParams": COEFFICIENTS, "init_SParams": COEFFICIENTS}
CASES = {
    "adam": NETWORK + RATES + "init_Zunger_num_epochs = 3\ninit_Zunger_optimizer_lr = 0.01\n"
    "init_Zunger_scheduler_gamma = 0.9\ninit_Zunger_plotEvery = 2\n",
    "lm": ZERO + "patience = 3\nvalidation_k = 2\n",
}


def make_inputs(folder: Path, config: str, epochs: int = 6, plot_every: int = 4) -> Path:
    length = f"max_num_epochs = {epochs}\nplotEvery = {plot_every}\n"
    optimizer = re.search(r"optimizer = \w+", config)
    assert optimizer
    return bundle_samples.write(
        folder, NN_config=GRIDS + config + length, input_0="nBands = 4\nmaxKE = 5\n", **START
    )


def of_case(name: str) -> str:
    return CASES[name] + f"optimizer = {name}\n"


def content(path: Path) -> object:
    if path.suffix != ".npz":
        return path.read_bytes()
    with np.load(path) as arrays:  # how long the log was depends on the names of folders
        return {name: arrays[name].tobytes() for name in arrays.files if "log_size" not in name}


def assert_same(one: Path, two: Path, first: str = "epoch 0: ") -> None:
    """All files bit by bit, and the logs from a line on."""
    own = {"run.log", "run_interrupted.log", "report.html", "run_timings.json"}
    names = {path.name for path in one.iterdir()} - own
    assert names == {path.name for path in two.iterdir()} - own
    assert not [name for name in sorted(names) if content(one / name) != content(two / name)]
    same = [told(folder / "run.log").partition(first)[2] for folder in (one, two)]
    assert same[0] == same[1] and same[0]


@pytest.fixture(autouse=True)
def no_figures(monkeypatch):
    monkeypatch.setattr(Outputs, "save", lambda *_: None)


def ended_in(monkeypatch: pytest.MonkeyPatch, epoch: int) -> None:
    """SIGTERM comes while the line of an epoch is made."""
    original = stage._log_line

    def interrupted(found, *arguments):
        if found.number == epoch:
            monkeypatch.setattr(stage, "_log_line", original)
            signal.raise_signal(signal.SIGTERM)
        return original(found, *arguments)

    monkeypatch.setattr(stage, "_log_line", interrupted)


@pytest.mark.parametrize("name", CASES)
def test_a_training_goes_on_as_if_it_had_not_been_ended(tmp_path, monkeypatch, name):
    inputs = make_inputs(tmp_path / "inputs", of_case(name))
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    run(inputs, whole)
    for epoch in (2, 5):
        ended_in(monkeypatch, epoch)
        with signals_raised(), pytest.raises(Terminated):
            run(inputs, parts, resume=epoch > 2)
        log = (parts / "run.log").read_text()
        assert f"Training was ended by SIGTERM at epoch {epoch}: " in log
        assert "; --resume goes on from training_checkpoint.npz" in log
    run(inputs, parts, resume=True)
    assert_same(whole, parts)
    log = told(whole / "run.log")
    assert log == told(parts / "run.log")
    too_short = "Training ended (max_num_epochs reached)" in log
    assert too_short == ("was reached before the training converged" in log)
    aside = (parts / "run_interrupted.log").read_text()
    assert "resumed before epoch 5" in aside and "ended by SIGTERM\nTraceback" in aside


def test_an_ensemble_goes_on_as_if_it_had_not_been_ended(tmp_path, monkeypatch):
    config = ZERO + RATES + "optimizer = adam\nensemble_size = 2\nensemble_spread = 0.05\n"
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    run(make_inputs(tmp_path / "inputs", config, 4), whole)
    inputs, original = make_inputs(tmp_path / "inputs", config, 3), ensemble.fit_members

    def interrupted(*arguments):
        for number, members in enumerate(original(*arguments)):
            yield members
            if number == 1:
                signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(ensemble, "fit_members", interrupted)
    with signals_raised(), pytest.raises(Terminated):
        run(inputs, parts)
    monkeypatch.setattr(ensemble, "fit_members", original)
    assert "--resume goes on from training_checkpoint.npz" in (parts / "run.log").read_text()
    run(inputs, parts, resume=True)
    run(make_inputs(inputs, config, 4), parts, resume=True)
    assert_same(whole, parts, "Ensemble: ")
    with pytest.raises(ResultsError, match=r"of 4 epochs, max_num_epochs = 3"):
        run(make_inputs(inputs, config, 3), parts, resume=True)


def test_what_a_kill_has_left_behind_its_checkpoint_is_written_again(tmp_path, monkeypatch):
    """As SIGKILL does it: nothing is saved at the end, tables and log are ahead of the state."""
    inputs = make_inputs(tmp_path / "inputs", of_case("adam"))
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    run(inputs, whole)
    monkeypatch.setattr(pace, "_SHARE", 1e-9)  # the first checkpoint remains
    monkeypatch.setattr(progress.Progress, "save_what_there_is", lambda _: "")
    ended_in(monkeypatch, 5)
    with signals_raised(), pytest.raises(Terminated):
        run(inputs, parts)
    with (parts / "final_training_cost.dat").open("a") as table:
        table.write("2 0.0 0.0\n3 0.0 0.0\n")
    assert "epoch 4: " in (parts / "run.log").read_text()
    run(inputs, parts, resume=True)
    assert "resumed before epoch 1" in (parts / "run_interrupted.log").read_text()
    assert_same(whole, parts)


def test_a_training_goes_on_after_its_folder_could_not_be_written_to(tmp_path, monkeypatch):
    inputs = make_inputs(tmp_path / "inputs", of_case("adam"), plot_every=1)
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    run(inputs, whole)
    files, fsync = [], os.fsync

    def read_only(number):
        files.append(number)
        if len(files) > 60:
            raise OSError(errno.EROFS, "Read-only file system")
        fsync(number)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", read_only)
        with pytest.raises(ResultsError, match=r"cannot write to .* \(Read-only file system\)"):
            run(inputs, parts)
    assert (parts / "training_checkpoint.npz").exists()
    run(inputs, parts, resume=True)
    assert_same(whole, parts)


def test_a_training_may_become_longer(tmp_path, trained):
    inputs, results = trained
    make_inputs(inputs, of_case("adam"), 4, 1)
    run(inputs, tmp_path / "longer")
    run(inputs, results, resume=True)
    assert_same(tmp_path / "longer", results)
    make_inputs(inputs, of_case("adam"), 3, 1)
    with pytest.raises(ResultsError, match=r"of 4 epochs, max_num_epochs = 3: legal is 4 or more"):
        run(inputs, results, resume=True)


@pytest.mark.parametrize(
    ("edited", "name"),
    [
        (lambda inputs: _edit(inputs / "kpoints_0.par", "2.0", "3.0"), "systems 0 k weights"),
        (lambda inputs: _edit(inputs / "NN_config.par", "0.01", "0.02"), "optimizer_lr"),
        (lambda inputs: _edit(inputs / "init_ZnParams.par", "5", "6"), "coefficients"),
    ],
)
def test_an_edited_bundle_is_refused(trained, edited, name):
    inputs, results = trained
    edited(inputs)
    before = {path.name: path.read_bytes() for path in results.iterdir()}
    with pytest.raises(ResultsError, match=f"belongs to another run:\n  {name}: "):
        run(inputs, results, resume=True)
    assert before == {path.name: path.read_bytes() for path in results.iterdir()}


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("training_checkpoint.npz", "is damaged or no snapshot"),
        ("final_training_cost.dat", r"has \d rows|begins with another header"),
        ("run.log", r"has \d+ bytes, but the run to resume had written \d+"),
    ],
)
def test_a_damaged_file_is_refused(trained, name, message):
    inputs, results = trained
    path = results / name
    path.write_bytes(path.read_bytes()[: len(path.read_bytes()) // 3])
    with pytest.raises(ResultsError, match=message):
        run(inputs, results, resume=True)


def test_nothing_to_resume_from(tmp_path):
    inputs = make_inputs(tmp_path / "inputs", of_case("adam"))
    with pytest.raises(ResultsError, match=r"has no training_checkpoint\.npz to resume from"):
        run(inputs, tmp_path / "results", resume=True)


@pytest.fixture(scope="module")
def short_training(tmp_path_factory):
    """A folder with inputs and results of a short training."""
    folder = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Outputs, "save", lambda *_: None)
        run(make_inputs(folder / "inputs", of_case("adam"), 2, 1), folder / "results")
    return folder


@pytest.fixture
def trained(tmp_path, short_training):
    """A copy of them."""
    shutil.copytree(short_training, tmp_path / "copy")
    return tmp_path / "copy/inputs", tmp_path / "copy/results"


def _edit(path: Path, old: str, new: str) -> None:
    path.write_text(path.read_text().replace(old, new, 1))
