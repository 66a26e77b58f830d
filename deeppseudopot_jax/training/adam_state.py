"""Moments of Adam and its relatives, here and as `torch.optim.Adam.state_dict()` has them.

Channels beside the network stand in an entry of the dict that PyTorch does not look at.
"""

from collections.abc import Mapping
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from optax import OptState, ScaleByScheduleState

from deeppseudopot_jax.errors import InputError
from deeppseudopot_jax.potentials.networks import NetworkModel
from deeppseudopot_jax.potentials.state_dict import from_state_dict, to_state_dict
from deeppseudopot_jax.training.adam_family import EPSILON, AdamOfChannels
from deeppseudopot_jax.training.adam_layouts import LAYOUTS, check_entry

Part = TypeVar("Part")
Moments = dict[str, Any]
"""Adam's count and moments of every trained channel; of a network, those of its weights."""

_CHANNELS = "channels"


def to_torch_adam(
    model: NetworkModel,
    moments: Moments,
    learning_rate: float,
    betas: tuple[float, float] = (0.9, 0.999),
    epsilon: float = EPSILON,
    optimizer: str = "adam",
) -> dict:
    """The `state_dict()` of PyTorch's optimiser of that name.

    Args:
        model: the network.
        moments: those of "local" have the structure of the network's weights,
            `params["local"]["params"]`.
        learning_rate: at present, after the schedule.
        betas: decay rates of the moments.
        epsilon: added to the root of the second moment.
        optimizer: one of the Adam family.
    """
    layout = LAYOUTS[optimizer]
    network = moments["local"]
    means, squares = (_by_name(model, moment) for moment in (network.mu, network.nu))
    unused = f"hidden_bn.{len(model.widths) - 1}."  # PyTorch's last batch norm takes no part
    entries = {
        i: layout.entry(network, means[name], squares[name])
        for i, name in enumerate(means)
        if unused not in name
    }
    options = layout.group(learning_rate, betas, epsilon, len(means))
    found = {"state": entries if int(network.count) else {}, "param_groups": [options]}
    others = {
        name: layout.entry(part, part.mu, part.nu)
        for name, part in moments.items()
        if name != "local" and int(part.count)
    }
    return found | {_CHANNELS: others} if others else found


def from_torch_adam(
    model: NetworkModel, trainable: Mapping[str, Any], state: dict, optimizer: str = "adam"
) -> Moments:
    """Counts and moments from a `torch.optim.Adam.state_dict()`, or that of one of its relatives.

    Args:
        model: the network.
        trainable: channels by name, whose structure and dtypes the moments get; "local" has the
            network's weights, `params["local"]["params"]`. A weight without an entry, which PyTorch
            never moved, gets zeros.
        state: may have the other channels in an entry of their own; those that it lacks are absent
            from what is returned.
        optimizer: which is to go on, one of the Adam family.

    Raises:
        InputError: if `state` is that of another optimiser, whose moments mean something else, or
            one of other parameters.
    """
    others = _others(trainable, state.get(_CHANNELS, {}), optimizer)
    return {"local": _of_network(model, trainable["local"], state, optimizer), **others}


def _others(trainable: Mapping[str, Any], entries: Any, optimizer: str) -> Moments:
    """Those of the channels beside the network that have an entry."""
    if not isinstance(entries, dict):
        found = type(entries).__name__
        raise InputError(f"{_CHANNELS} of the optimizer state is a {found}; legal: a dict")
    return {
        name: _of_channel(name, value, entries[name], optimizer)
        for name, value in trainable.items()
        if name != "local" and name in entries
    }


def _of_channel(name: str, value: Any, entry: Any, optimizer: str) -> Any:
    check_entry(entry, optimizer, name)
    layout = LAYOUTS[optimizer]
    moments = [np.asarray(entry[key]) for key in (layout.mean, layout.square)]
    for moment in moments:
        if moment.shape != value.shape:
            raise InputError(
                f"the optimizer state has shape {moment.shape} for {name}, expected {value.shape}"
            )
    mu, nu = (jnp.asarray(moment, value.dtype) for moment in moments)
    return layout.state(int(entry["step"]), mu, nu, entry)


def _of_network(model: NetworkModel, parameters: dict, state: dict, optimizer: str) -> Any:
    layout = LAYOUTS[optimizer]
    shapes = {name: value.shape for name, value in _by_name(model, parameters).items()}
    try:
        indices = [i for group in state["param_groups"] for i in group["params"]]
        entries = dict(state["state"])
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"this is not the state of an optimizer: {error!r}") from error
    if len(indices) != len(shapes):
        raise InputError(
            f"the optimizer state has {len(indices)} parameters, PPmodel = {model.name} "
            f"has {len(shapes)}"
        )
    for index, entry in entries.items():
        check_entry(entry, optimizer, f"parameter {index}")
    steps = {int(entry["step"]) for entry in entries.values()}
    if len(steps) > 1:
        raise InputError(f"the parameters of the optimizer state differ in steps: {sorted(steps)}")
    places = dict(zip(shapes, indices, strict=True))
    mu, nu = (
        _like(model, parameters, places, {i: np.asarray(e[key]) for i, e in entries.items()})
        for key in (layout.mean, layout.square)
    )
    return layout.state(max(steps, default=0), mu, nu, next(iter(entries.values()), None))


def _by_name(model: NetworkModel, parameters: dict) -> dict[str, np.ndarray]:
    """The parameters by their PyTorch names, in the order of `model.parameters()`."""
    state = to_state_dict(model, {"params": parameters, "batch_stats": {}})
    return {name: v for name, v in state.items() if name.endswith((".weight", ".bias"))}


def _like(
    model: NetworkModel, parameters: dict, indices: dict[str, int], moments: dict[int, np.ndarray]
) -> dict:
    """A tree like `parameters` of the moments, zeros where there is none."""
    state = to_state_dict(model, {"params": parameters, "batch_stats": {}})
    for name, index in indices.items():
        zeros = np.zeros_like(state[name])
        state[name] = moments.get(index, zeros)
        if state[name].shape != zeros.shape:
            raise InputError(
                f"the optimizer state has shape {state[name].shape} for {name}, expected "
                f"{zeros.shape}"
            )
    tree = from_state_dict(model, state).get("params", {})
    return jax.tree.map(lambda leaf, like: jnp.asarray(leaf, like.dtype), tree, parameters)


def adam_moments(optimizer_state: OptState) -> Moments | None:
    """Adam's part of a chained optimizer state; None where the optimizer is another one."""
    part = _part(optimizer_state, AdamOfChannels)
    return None if part is None else part.channels


def schedule_count(optimizer_state: OptState) -> int:
    """Steps that the schedule of the learning rate has made, which restored moments do not set."""
    part = _part(optimizer_state, ScaleByScheduleState)
    return 0 if part is None else int(part.count)


def replace_adam_moments(optimizer_state: OptState, moments: Moments) -> OptState:
    """The same optimizer state with other Adam moments of some channels."""
    return jax.tree.map(
        lambda part: AdamOfChannels(part.channels | moments) if _is_adam(part) else part,
        optimizer_state,
        is_leaf=_is_adam,
    )


def _is_adam(part: object) -> bool:
    return isinstance(part, AdamOfChannels)


def _part(optimizer_state: OptState, kind: type[Part]) -> Part | None:
    parts = jax.tree.leaves(optimizer_state, is_leaf=lambda part: isinstance(part, kind))
    return next((part for part in parts if isinstance(part, kind)), None)
