"""Which entries of the parameter pytree an optimiser moves, and what stays fixed."""

from typing import NamedTuple

from deeppseudopot_jax.settings import Settings


class Split(NamedTuple):
    """Parameters in two parts; `merge` puts them together again."""

    trainable: dict
    frozen: dict


def trained_channels(settings: Settings) -> tuple[str, ...]:
    """Entries under the optimiser: the local potential, and the channels switched on by train*."""
    switches = {
        "long_range": settings.train_long_range,
        "spin_orbit": settings.train_spin_orbit,
        "nonlocal": settings.train_nonlocal,
        "strain": settings.train_strain,
    }
    return ("local", *(name for name, on in switches.items() if on))


def split(params: dict, names: tuple[str, ...]) -> Split:
    """Separate the entries `names`; a network's batch-norm statistics are never trainable."""
    trainable = {name: params[name] for name in names}
    frozen = {name: value for name, value in params.items() if name not in names}
    if isinstance(trainable.get("local"), dict):
        frozen["local"] = {k: v for k, v in trainable["local"].items() if k != "params"}
        trainable["local"] = trainable["local"].get("params", {})  # ZeroFunction has none
    return Split(trainable, frozen)


def merge(parts: Split) -> dict:
    """The whole parameter pytree of a split."""
    params = {**parts.frozen, **parts.trainable}
    if "local" in parts.frozen and "local" in parts.trainable:
        params["local"] = {**parts.frozen["local"], "params": parts.trainable["local"]}
    return params
