"""A training that goes on from the files of another one goes on as if it had not ended."""

from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
from numpy.testing import assert_allclose, assert_array_equal
from samples import TRAINING, bundle_of, random_system

from deeppseudopot_jax import build_problem, initial_params
from deeppseudopot_jax.files.atomic import ResultsFolder
from deeppseudopot_jax.files.results.painter import Here
from deeppseudopot_jax.files.torch_pickle import read_checkpoint, read_state_dict
from deeppseudopot_jax.initialise import initial_moments
from deeppseudopot_jax.run.outputs import Outputs
from deeppseudopot_jax.training.adam_state import adam_moments, replace_adam_moments
from deeppseudopot_jax.training.loop import Epoch, train
from deeppseudopot_jax.types import Bundle

RATE = TRAINING["learning_rate"]
CHANNELS = {"train_long_range": True, "train_spin_orbit": True, "train_nonlocal": True}


def sample(**settings: object) -> Bundle:
    """A network beside trained channels; its rate does not change on the way."""
    rng = np.random.default_rng(0)
    model = {"model": "Net_celu_HeInit", "hidden_layers": (3,), "spin_orbit": True}
    own = TRAINING | model | {"scheduler_step": 100, "max_epochs": 5} | settings
    return bundle_of(rng, random_system(rng, n_bands=4), **own)


def epochs(bundle: Bundle, restored: bool = False) -> list[Epoch]:
    """All of a training, from the moments of the bundle where it is restored."""
    problem = build_problem(bundle)
    params, settings = initial_params(bundle, problem), bundle.settings
    if not restored:
        return list(train(problem, params, settings))
    found = initial_moments(bundle, problem, params)
    return list(train(problem, params, settings, lambda state: replace_adam_moments(state, found)))


def started_from(folder: Path, bundle: Bundle, epoch: Epoch, **settings: object) -> Bundle:
    """The bundle that starts from the files of an epoch."""
    outputs = Outputs(bundle, build_problem(bundle), ResultsFolder(folder), Here())
    outputs.parameters("epoch", epoch.params, epoch.optimizer_state)
    rows = [np.loadtxt(folder / f"epoch_{symbol}Params.par") for symbol in bundle.species]
    return replace(
        bundle,
        settings=bundle.settings.model_copy(update=settings),
        coefficients=np.array(rows),
        model_state=read_state_dict(folder / "epoch_PPmodel.pth"),
        optimizer_state=read_checkpoint(folder / "epoch_AdamState.pth"),
    )


def test_it_equals_an_uninterrupted_one_to_the_last_bit(tmp_path):
    bundle = sample(**CHANNELS)
    whole = epochs(bundle)
    parts = epochs(started_from(tmp_path, bundle, whole[2], max_epochs=3), restored=True)
    for found, expected in zip(parts, whole[2:], strict=True):
        assert found.cost == expected.cost
        jax.tree.map(assert_array_equal, found.params, expected.params)
    moments = [adam_moments(training[-1].optimizer_state) for training in (parts, whole)]
    jax.tree.map(assert_array_equal, *moments)
    moved = ("long_range", "spin_orbit", "nonlocal")
    assert all(np.all(whole[0].params[name] != whole[-1].params[name]) for name in moved)


def test_a_new_channel_begins_as_a_fresh_adam_beside_old_moments(tmp_path):
    bundle = sample()
    old = epochs(bundle)
    found = started_from(tmp_path, bundle, old[5], max_epochs=2, **CHANNELS)
    assert "channels" not in found.optimizer_state  # the file is PyTorch's alone, as before
    begun = epochs(found, restored=True)
    for name in ("spin_orbit", "nonlocal"):
        step = np.abs(begun[1].params[name] - begun[0].params[name])
        assert_allclose(step, RATE, rtol=1e-5)  # whatever the gradient is
    counts = {
        name: int(part.count) for name, part in adam_moments(begun[2].optimizer_state).items()
    }
    assert counts == {"local": 7, "long_range": 2, "spin_orbit": 2, "nonlocal": 2}
