"""Which entries of the parameter pytree an optimiser moves, and what stays fixed."""

from typing import NamedTuple

from deeppseudopot_jax.parameters import Parameters
from deeppseudopot_jax.settings import Settings


class Split(NamedTuple):
    """Parameters in two parts; `merge` puts them together again.

    `trainable` has the moving channels by name, of a network its weights alone; what of `frozen`
    is trainable counts no more.
    """

    trainable: dict
    frozen: Parameters


def trained_channels(settings: Settings) -> tuple[str, ...]:
    """Entries under the optimiser: the local potential, and the channels switched on by train*."""
    switches = {
        "long_range": settings.train_long_range,
        "spin_orbit": settings.train_spin_orbit,
        "nonlocal": settings.train_nonlocal,
        "strain": settings.train_strain,
    }
    return ("local", *(name for name, on in switches.items() if on))


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
