"""What a model sees of q: q itself, waves of given lengths, or cubic B-splines.

Features are fixed functions of q, hashable, without parameters. What defines them goes into the
state dict of a model, as buffers of a PyTorch module would.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float


@runtime_checkable
class Features(Protocol):
    """Fixed functions of q."""

    @property
    def n(self) -> int:
        """How many there are."""
        ...

    @property
    def buffers(self) -> Mapping[str, Float[np.ndarray, " number"]]:
        """The numbers that define them, by their name in a state dict."""
        ...

    def __call__(self, q: Float[Array, " q"]) -> Float[Array, "q feature"]:
        """Their values at q (Bohr^-1)."""
        ...


@dataclass(frozen=True)
class WaveVector:
    """q alone (Bohr^-1)."""

    n = 1

    @property
    def buffers(self) -> Mapping[str, Float[np.ndarray, " number"]]:
        """None: nothing is to be chosen."""
        return {}

    def __call__(self, q: Float[Array, " q"]) -> Float[Array, "q feature"]:
        """q as a column."""
        return q[:, None]


@dataclass(frozen=True)
class Fourier:
    """q, then cos(q r_n), then sin(q r_n), with r_n = `range` n / `n_frequencies` in Bohr.

    A perceptron of q alone learns the low frequencies of v(q) and stalls. Frequencies of v(q) are
    lengths in real space: the largest one is the range of v(r) that the model resolves.
    """

    n_frequencies: int
    range: float

    @property
    def n(self) -> int:
        """q, and two waves per length."""
        return 1 + 2 * self.n_frequencies

    @property
    def buffers(self) -> Mapping[str, Float[np.ndarray, " number"]]:
        """The lengths r_n in Bohr."""
        steps = np.arange(1, self.n_frequencies + 1)
        return {"frequencies": self.range * steps / self.n_frequencies}

    def __call__(self, q: Float[Array, " q"]) -> Float[Array, "q feature"]:
        """Columns in the order q, cosines, sines."""
        x = q[:, None]
        angles = x * jnp.asarray(self.buffers["frequencies"], q.dtype)[None, :]
        return jnp.concatenate([x, jnp.cos(angles), jnp.sin(angles)], axis=1)


@dataclass(frozen=True)
class CubicSplines:
    """Cubic B-splines on `n_knots` equidistant knots from 0 to `end` (Bohr^-1).

    They are centred at all knots but the last two, so each of them ends at `end` or before: value,
    slope and curvature vanish there. The one that reaches below q = 0 is folded back, which makes
    every feature even in q, as a form factor of finite range is: the slope at q = 0 is 0.
    """

    n_knots: int
    end: float

    @property
    def n(self) -> int:
        """One per knot but the last two."""
        return self.n_knots - 2

    @property
    def buffers(self) -> Mapping[str, Float[np.ndarray, " number"]]:
        """The knots in Bohr^-1."""
        return {"knots": np.linspace(0.0, self.end, self.n_knots)}

    def __call__(self, q: Float[Array, " q"]) -> Float[Array, "q feature"]:
        """Values of the splines, which add up to 1 up to three knots before the end."""
        x = q[:, None] * ((self.n_knots - 1) / self.end)
        centers = jnp.arange(self.n, dtype=q.dtype)[None, :]
        images = jnp.where(centers > 0.0, _cardinal_spline(x + centers), 0.0)
        return _cardinal_spline(x - centers) + images


def _cardinal_spline(x: Float[Array, "q feature"]) -> Float[Array, "q feature"]:
    """The cubic B-spline with knots -2 to 2; its second derivative is exact at the knots too."""
    distance = jnp.abs(x)
    inside = 2.0 / 3.0 - x**2 + 0.5 * x**2 * distance
    outside = jax.nn.relu(2.0 - distance) ** 3 / 6.0
    return jnp.where(distance < 1.0, inside, outside)
