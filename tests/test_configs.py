"""The bundles in configs/ that show a workflow each, run in a reduced form."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from deeppseudopot_jax.run.outputs import Outputs
from deeppseudopot_jax.run.workflows import evaluate, run

SHORTER = {
    "init_Zunger_num_epochs": "20", "init_Zunger_plotEvery": "10", "max_num_epochs": "2",
    "plotEvery": "2", "mc_iter": "20", "mc_replicas": "2", "nQGrid": "64", "nRGrid": "32",
    "totalIter": "20", "PPmodel_n_frequencies": "2", "hiddenLayers": "4",
}  # fmt: skip
EVERY_NTH = 8


def reduced(bundle: Path, folder: Path) -> Path:
    """A copy with fewer k-points, epochs and steps, and a smaller network."""
    shutil.copytree(bundle, folder)
    for name in ("NN_config.par", "mcOpts1.par"):
        if (path := folder / name).exists():
            text = path.read_text()
            for key, value in SHORTER.items():
                text = re.sub(rf"^{key} = [^#\n]*", f"{key} = {value} ", text, flags=re.MULTILINE)
            path.write_text(text)
    for name in ("kpoints_0.par", "expBandStruct_0.par"):
        lines = (folder / name).read_text().splitlines(keepends=True)
        (folder / name).write_text("".join(lines[::EVERY_NTH]))
    return folder


@pytest.fixture(autouse=True)
def no_figures(monkeypatch):
    monkeypatch.setattr(Outputs, "save", lambda *_: None)


@pytest.mark.parametrize(
    ("name", "left"),
    [
        ("silicon_gradient", {"epoch_2_AdamState.pth", "final_training_cost.dat"}),
        ("silicon", {"final_covariance.npz", "final_training_cost.dat"}),
        ("silicon_monte_carlo", {"final_mc_cost.dat", "mc_checkpoint.npz"}),
        ("silicon_hybrid", {"1_monte_carlo", "2_zunger", "final_training_cost.dat"}),
        ("silicon_start", {"initZunger_PPmodel.pth", "init_train_cost.dat"}),
    ],
)
def test_every_workflow_runs(configs, tmp_path, name, left):
    results = tmp_path / "results"
    run(reduced(configs / name, tmp_path / name), results)
    found = {path.name for path in results.iterdir()}
    assert found >= left | {"final_observables.json", "report.html", "run_timings.json"}
    table = np.loadtxt(results / "final_BS_sys0.dat")
    assert np.isfinite(table).all() and len(table) == len(
        (tmp_path / name / "kpoints_0.par").read_text().splitlines()
    )


def test_an_evaluation_of_its_own_potential_and_of_that_of_a_run(configs, tmp_path):
    inputs = reduced(configs / "silicon_evaluation", tmp_path / "inputs")
    start = reduced(configs / "silicon_zunger", tmp_path / "start")
    run(start, tmp_path / "fitted")
    for name, potential in (("own", None), ("of_the_fit", tmp_path / "fitted")):
        evaluate(inputs, tmp_path / name, potential=potential)
        assert (tmp_path / name / "eval_observables.json").exists()
    own, fitted = (np.loadtxt(tmp_path / n / "eval_BS_sys0.dat") for n in ("own", "of_the_fit"))
    assert np.array_equal(own[:, 0], fitted[:, 0]) and not np.array_equal(own, fitted)


def test_every_bundle_names_its_source(configs):
    for folder in sorted(path.parent for path in configs.rglob("NN_config.par")):
        text = (folder / "README.md").read_text()
        assert "**Source.**" in text and "**Script.**" in text, folder.name
