"""Checkpoints in PyTorch's own format, which this code and the PyTorch code both start from."""

from collections import OrderedDict

from deeppseudopot_jax.files.atomic import ResultsFolder
from deeppseudopot_jax.files.torch_pickle import write_checkpoint
from deeppseudopot_jax.potentials.networks import NetworkModel
from deeppseudopot_jax.potentials.state_dict import to_state_dict


def write_model(folder: ResultsFolder, name: str, model: NetworkModel, variables: dict) -> None:
    """Write <name>_PPmodel.pth, usable as init_PPmodel.pth: the state dict of a network.

    Args:
        folder: where to.
        name: of the stage, e.g. "epoch_100".
        model: the network.
        variables: its flax variables, `params["local"]`.
    """
    state = OrderedDict(to_state_dict(model, variables))
    write_checkpoint(folder.file(f"{name}_PPmodel.pth"), state)


def write_adam_state(folder: ResultsFolder, name: str, state: dict) -> None:
    """Write <name>_AdamState.pth, usable as init_AdamState.pth.

    Args:
        folder: where to.
        name: of the stage, e.g. "epoch_100".
        state: as `torch.optim.Adam.state_dict()` lays it out; `training.adam_state` converts.
    """
    write_checkpoint(folder.file(f"{name}_AdamState.pth"), state)
