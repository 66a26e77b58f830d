"""Which entries of the parameter pytree an optimiser moves, and what stays fixed."""

from typing import NamedTuple

from deeppseudopot_jax.parameters import Parameters


class Split(NamedTuple):
    """Parameters in two parts; `merge` puts them together again.

    `trainable` has the moving channels by name, of a network its weights alone; what of `frozen`
    is trainable counts no more.
    """

    trainable: dict
    frozen: Parameters


def split(params: Parameters, names: tuple[str, ...]) -> Split:
    """Separate the channels `names`; a network's batch-norm statistics are never trainable."""
    trainable = {name: params[name] for name in names}
    if isinstance(trainable.get("local"), dict):
        trainable["local"] = trainable["local"].get("params", {})  # ZeroFunction has none
    return Split(trainable, params)


def merge(parts: Split) -> Parameters:
    """The whole parameters of a split."""
    channels, local = dict(parts.trainable), parts.frozen.local
    if "local" in channels and isinstance(local, dict):
        channels["local"] = {**local, "params": channels["local"]}
    return parts.frozen.updated(channels)
