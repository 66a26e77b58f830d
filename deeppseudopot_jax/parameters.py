"""What a potential is made of: the parameters of its channels, and their rows a0 to a8 in files."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from deeppseudopot_jax.records import record
from deeppseudopot_jax.settings import Settings

N_COEFFICIENTS = 9
LONG_RANGE = 4

COLUMNS: dict[str, int | slice] = {
    "local": slice(0, 4),
    "long_range": LONG_RANGE,
    "spin_orbit": 5,
    "nonlocal": slice(6, 8),
    "strain": 8,
}
"""Where the coefficients of every channel stand among a0 to a8."""

BESIDE_LOCAL = tuple(name for name in COLUMNS if name != "local")
"""The channels that have the same coefficients whatever the local model is."""

DEFAULT_FRACTION = 0.01
"""Step of a coefficient without <atom>ParamSteps.par, over its size at the start of the run."""


@record
class Parameters:
    """Parameters of all channels, species sorted by symbol; `params["nonlocal"]` works too.

    `local` is what the local model says: a network's variables, or a0 to a3 of every species.
    """

    local: Any
    long_range: Float[Array, " species"]
    spin_orbit: Float[Array, " species"]
    nonlocal_: Float[Array, "species 2"]
    strain: Float[Array, " species"]

    def __getitem__(self, channel: str) -> Any:
        """The parameters of a channel by its name."""
        return getattr(self, _attribute(channel))

    def updated(self, channels: Mapping[str, Any]) -> "Parameters":
        """The same with other values of some channels, by their names."""
        return from_channels({name: self[name] for name in COLUMNS} | dict(channels))


def from_channels(channels: Mapping[str, Any]) -> Parameters:
    """Parameters from all channels by their names."""
    return Parameters(**{_attribute(name): value for name, value in channels.items()})


def from_coefficients(
    rows: Float[Array, "species 9"] | Float[np.ndarray, "species 9"],
    dtype: jnp.dtype,
    local: Any = None,
) -> Parameters:
    """Parameters from a0 to a8 of every species; `local` replaces a0 to a3 where it is given."""
    channels = {name: rows[:, columns] for name, columns in COLUMNS.items()}
    if local is not None:
        channels["local"] = local
    of_dtype = jax.tree.map(lambda leaf: jnp.asarray(leaf, dtype), channels)
    return from_channels(of_dtype)


def to_coefficients(
    params: Parameters, a0_to_a3: Float[Array, "species 4"] | Float[np.ndarray, "species 4"]
) -> Float[Array, "species 9"]:
    """a0 to a8 of every species, the first four as given."""
    beside = beside_local(params)
    return jnp.concatenate([jnp.asarray(a0_to_a3, beside.dtype), beside], axis=1)


def trained_channels(settings: Settings) -> tuple[str, ...]:
    """Entries under the optimiser: the local potential, and the channels switched on by train*."""
    switches = {
        "long_range": settings.train_long_range,
        "spin_orbit": settings.train_spin_orbit,
        "nonlocal": settings.train_nonlocal,
        "strain": settings.train_strain,
    }
    return ("local", *(name for name, on in switches.items() if on))


def beside_local(params: Parameters) -> Float[Array, "species 5"]:
    """a4 to a8 of every species."""
    columns = [params[name].reshape(len(params.long_range), -1) for name in BESIDE_LOCAL]
    return jnp.concatenate(columns, axis=1)


def _attribute(channel: str) -> str:
    if channel not in COLUMNS:
        raise KeyError(f"{channel!r}: the channels are {', '.join(COLUMNS)}")
    return "nonlocal_" if channel == "nonlocal" else channel
