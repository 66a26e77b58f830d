"""What compares the files of two runs tells a difference in every kind of them."""

import json

import matplotlib.pyplot as plt
import numpy as np
import pytest
from same_files import KINDS, assert_same_file, assert_same_folder

from deeppseudopot_jax.files.results.snapshots import write_snapshot
from deeppseudopot_jax.files.torch_pickle import write_checkpoint

LOG = (
    "[     0.01 s] 4 devices of 2 processes, split over: kpt 4\n[     2.00 s] compiling: bands\n"
    "[     3.00 s] bands: 4 programs in 1.1 s, 0 of them from the cache\n"
    "[     4.00 s] Monte Carlo: 20/20 3.4 s each, 0 s remaining lowest cost 8.5\n"
    "[     5.00 s] Final potential: cost 867.5853\n"
)


def adam(step: float) -> dict:
    moments = {"exp_avg": np.ones(3), "exp_avg_sq": np.array([1.0, 2.0, 2.0 + step])}
    return {"state": {0: {"step": np.float32(3), **moments}}, "param_groups": [{"lr": 0.1}]}


def write(path, value):
    """A file of its kind that holds a number."""
    path.parent.mkdir(exist_ok=True)
    match path.suffix:
        case ".log":
            path.write_text(LOG.replace("867.5853", f"{867.5853 + value:.4f}"))
        case ".html":
            path.write_text(f"<p>gap {1.0 + value:.4f}</p><div><dt>Time</dt><dd>3 s</dd></div>")
        case ".dat" | ".par":
            path.write_text(f"# path energies\n0.0 {1.0 + value:.5f}\n")
        case ".npz":
            vectors = np.exp(1j * value) * np.eye(3)[None]
            write_snapshot(path, {"cost": np.array([5.0, 1.0 + value]), "vectors": vectors}, {})
        case ".json":
            stages = [{"name": "training", "seconds": 1.0 / (1.0 + value)}]
            path.write_text(json.dumps({"stages": stages, "cost": 5.0 + value}))
        case ".pth":
            write_checkpoint(path, adam(value))
        case ".png" | ".pdf":
            figure, axes = plt.subplots(figsize=(2, 2))
            axes.plot([0.0, 1.0, 0.5 + value])
            figure.savefig(path, metadata={"CreationDate": None} if path.suffix == ".pdf" else {})
            plt.close(figure)
    return path


@pytest.mark.parametrize("suffix", KINDS)
def test_a_difference_of_any_kind_is_told(tmp_path, suffix):
    one = write(tmp_path / "one" / f"file{suffix}", 0.0)
    assert_same_folder(one.parent, write(tmp_path / "rounded" / f"file{suffix}", 1e-13).parent)
    other = write(tmp_path / "other" / f"file{suffix}", 0.01)
    with pytest.raises(AssertionError, match=f"file{suffix}: "):
        assert_same_folder(one.parent, other.parent)


def test_a_log_is_the_same_but_for_times_and_the_machine(tmp_path):
    one = write(tmp_path / "one" / "run.log", 0.0)
    two = tmp_path / "two" / "run.log"
    two.parent.mkdir()
    lines = LOG.replace("[     ", "[    1").splitlines(keepends=True)
    two.write_text("".join([lines[1].replace("bands", "all"), lines[4]]))
    assert_same_file(one, two)
    two.write_text("".join(lines[:4]))
    with pytest.raises(AssertionError):
        assert_same_file(one, two)


def test_a_missing_file_and_a_kind_that_is_not_known_are_told(tmp_path):
    one = write(tmp_path / "one" / "a.dat", 0.0).parent
    two = write(tmp_path / "two" / "b.dat", 0.0).parent
    with pytest.raises(AssertionError):
        assert_same_folder(one, two)
    for folder in (one, two):
        (folder / "a.dat").unlink(missing_ok=True)
        (folder / "b.dat").unlink(missing_ok=True)
        (folder / "file.csv").touch()
    with pytest.raises(KeyError, match="csv"):
        assert_same_folder(one, two)
