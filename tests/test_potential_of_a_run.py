"""`eval --potential RESULTS`: the potential of a run instead of that of the inputs."""

import shutil
from pathlib import Path

import bundle_samples
import numpy as np
import pytest

from deeppseudopot_jax import BundleError, InputError, read_bundle
from deeppseudopot_jax.run.workflows import evaluate, run

GRIDS = "nSystem = 1\nnQGrid = 32\nnRGrid = 16\nLRgamma = 0.3\n"
NETWORK = "PPmodel = Net_celu_HeInit_decayGaussian\nPPmodel_gaussian_std = 2\nhiddenLayers = 4\n"
ZERO = "PPmodel = ZeroFunction\n"
START = {
    f"init_{symbol}Params": f"5\n2\n3\n0.4\n{a4}\n" for symbol, a4 in (("Zn", 0.2), ("S", -0.2))
}
OTHER = {f"init_{symbol}Params": "7\n2\n3\n0.4\n" for symbol in ("Zn", "S")}


class Nobody:
    """A painter that draws nothing."""

    def paint(self, _):
        """No file."""

    def make(self, _):
        """No page."""

    def wait(self):
        """Nothing is left to do."""

    def close(self):
        """Nothing is left to do."""


def inputs(folder: Path, config: str, **changes) -> Path:
    return bundle_samples.write(folder, NN_config=GRIDS + config, **changes)


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    """The results of a network with a long-range tail."""
    folder = tmp_path_factory.mktemp("network")
    run(
        inputs(folder / "inputs", NETWORK + "seed = 3\n", **START),
        folder / "results",
        painter=Nobody(),
    )
    return folder / "results"


def test_weights_and_coefficients_are_those_of_the_run(tmp_path, network):
    folder = inputs(tmp_path / "inputs", NETWORK, **OTHER)
    evaluate(folder, tmp_path / "eval", potential=network, painter=Nobody())
    found = np.loadtxt(tmp_path / "eval/eval_BS_sys0.dat")
    assert np.array_equal(found, np.loadtxt(network / "final_BS_sys0.dat"))
    log = (tmp_path / "eval/eval.log").read_text()
    assert f"weights of final_PPmodel.pth in {network}\n" in log and "not read" not in log


def test_the_best_potential_of_a_run_that_was_killed(tmp_path, network):
    results = tmp_path / "results"
    shutil.copytree(network, results)
    for path in results.glob("final_*"):
        if path.suffix in (".pth", ".par"):
            path.rename(results / path.name.replace("final", "best").replace(".par", ".dat"))
        else:
            path.unlink()
    on_their_way = results / ".best.whole"  # killed while they took their places
    on_their_way.mkdir()
    for name in ("best_PPmodel.pth", "best_ZnParams.dat"):
        (results / name).rename(on_their_way / name)
    bundle = read_bundle(inputs(tmp_path / "inputs", NETWORK), "eval", potential=results)
    assert bundle.model_state and bundle.coefficients[:, 4].tolist() == [-0.2, 0.2]


def test_gaps_without_a_reference_are_those_of_the_potential_that_is_named(tmp_path, network):
    """No errors stand before them: what belongs to the untrained start must be told apart."""
    changes = {"kpoints_0": "0.5 0 0 1\n0.1 0 0 1\n", "expBandStruct_0": None}
    folder = inputs(tmp_path / "inputs", NETWORK, **OTHER, **changes)
    evaluate(folder, tmp_path / "eval", potential=network, painter=Nobody())
    lines = (tmp_path / "eval/eval.log").read_text().splitlines()
    gaps = [line.partition("] ")[2] for line in lines if ": system_0 gap " in line]
    names = ["Eval potential", f"Zunger form of final_<atom>Params in {network}"]
    assert [line.partition(":")[0] for line in gaps] == names
    assert "root mean square" not in "".join(lines)


@pytest.mark.parametrize(
    ("config", "changes", "message"),
    [
        (ZERO, {}, r"holds the potential of a network; .* legal: PPmodel = ZeroFunction"),
        (
            NETWORK,
            {"system_0": bundle_samples.GOOD["system_0.par"].replace("Zn", "Cd")},
            r"other species; found 'S Zn'; legal: Cd S",
        ),
        (NETWORK.replace("= 4", "= 5"), {}, r"hidden_l\.0\.weight has shape"),
        (NETWORK.replace("std = 2", "std = 3"), {}, r"v\(q\) of (S|Zn) at q = .*PPmodel_\* keys"),
        (NETWORK.replace("celu_HeInit", "sigmoid_xavier"), {}, r"another potential"),
        (NETWORK + "LRgamma = 0.2\n", {}, r"LRgamma must be those of the run"),
    ],
)
def test_the_potential_of_another_model_is_refused(tmp_path, network, config, changes, message):
    grids = GRIDS.replace("LRgamma = 0.3\n", "") if "LRgamma" in config else GRIDS
    folder = bundle_samples.write(tmp_path / "inputs", NN_config=grids + config, **changes)
    with pytest.raises((BundleError, InputError), match=message):
        evaluate(folder, tmp_path / "eval", potential=network)
    assert not (tmp_path / "eval").exists()


def test_a_folder_without_the_potential_is_refused(tmp_path):
    folder = inputs(tmp_path / "inputs", NETWORK)
    with pytest.raises(BundleError, match="absent: does not exist; legal: the results folder"):
        read_bundle(folder, "eval", potential=tmp_path / "absent")
    with pytest.raises(BundleError, match="holds no potential of a run"):
        read_bundle(folder, "eval", potential=folder)
    for symbol in ("S", "Zn"):
        (tmp_path / f"final_{symbol}Params.par").write_text("1\n2\n3\n4\n")
    with pytest.raises(BundleError, match=r"has no final_PPmodel\.pth, but PPmodel = Net_celu"):
        read_bundle(folder, "eval", potential=tmp_path)
    (tmp_path / "final_ZnParams.par").write_text("1\nx\n3\n4\n")
    zero = inputs(tmp_path / "zero", ZERO)
    with pytest.raises(BundleError, match=r"final_ZnParams\.par:2: not a number"):
        read_bundle(zero, "eval", potential=tmp_path)


def test_coefficients_of_more_species_than_needed_serve(tmp_path):
    for symbol in ("S", "Se", "Zn"):
        (tmp_path / f"final_{symbol}Params.par").write_text(f"{len(symbol)}\n2\n3\n4\n")
    folder = inputs(tmp_path / "inputs", ZERO, init_SParams=None, init_ZnParams=None)
    bundle = read_bundle(folder, "eval", potential=tmp_path)
    assert bundle.coefficients[:, 0].tolist() == [1, 2]
