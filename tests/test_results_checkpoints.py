"""Checkpoints written by a run can start another one."""

import jax
import numpy as np
import pytest

from deeppseudopot_jax.files.atomic import ResultsFolder
from deeppseudopot_jax.files.results.checkpoints import write_adam_state, write_model
from deeppseudopot_jax.files.torch_pickle import read_checkpoint, read_state_dict
from deeppseudopot_jax.potentials.catalogue import ModelOptions
from deeppseudopot_jax.potentials.networks import NetworkModel
from deeppseudopot_jax.potentials.state_dict import from_state_dict


@pytest.mark.parametrize(
    "name",
    [
        "Net_relu_HeInit",
        "Net_He_BN",
        "Net_fourier_celu_HeInit_decayGaussian",
        "BSpline",
        "ZeroFunction",
    ],
)
def test_a_network_comes_back_exactly(tmp_path, name):
    options = ModelOptions(
        gaussian_std=2.0, n_frequencies=3, model_range=8.0, n_knots=6, largest_q=5.0
    )
    model = NetworkModel(name, (5, 4), 2, options)
    variables = jax.tree.map(np.asarray, model.init(jax.random.key(0)))
    write_model(ResultsFolder(tmp_path / "results"), "final", model, variables)
    state = read_state_dict(tmp_path / "results" / "final_PPmodel.pth")
    read = from_state_dict(model, state)
    assert jax.tree.structure(read) == jax.tree.structure(variables)
    jax.tree.map(np.testing.assert_array_equal, read, variables)


def test_equal_networks_give_equal_files(tmp_path):
    model = NetworkModel("Net_relu_HeInit", (5,), 1)
    variables = model.init(jax.random.key(0))
    for folder in ("a", "b"):
        write_model(ResultsFolder(tmp_path / folder), "final", model, variables)
    files = [(tmp_path / folder / "final_PPmodel.pth").read_bytes() for folder in ("a", "b")]
    assert files[0] == files[1]


def test_an_optimizer_state_comes_back(tmp_path):
    state = {"state": {0: {"step": np.float32(3) * np.ones(())}}, "param_groups": [{"lr": 0.1}]}
    write_adam_state(ResultsFolder(tmp_path), "epoch_3", state)
    assert read_checkpoint(tmp_path / "epoch_3_AdamState.pth") == state
