"""The seven moves of `mc_perturb_mode` on a network's weights and the SO and NL coefficients.

Modes 4 to 7 add numbers drawn independently of where the walker is: symmetric moves, which sample
exp(-beta sqrt(cost)). Modes 1 to 3 scale their steps with the weights, and their log-ratio is set
to 0 all the same, as the PyTorch code does: they search, they do not sample that density. The exact
ratio would stop them: a factor u of mode 1 can be undone only if 1/u is in [1 - eps, 1 + eps],
which fails for one weight with probability eps / (2 + 2 eps) and so for some weight of a network
practically always; mode 2 never leaves |w| > 20 by a step that it could undo.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, Key

from deeppseudopot_jax.errors import InputError
from deeppseudopot_jax.montecarlo.interface import Proposal
from deeppseudopot_jax.parameters import Parameters
from deeppseudopot_jax.records import record, static

TensorMove = Callable[[Array, Array, Array, Array], Array]
"""move(eps, x, u, v) -> x: u is uniform in (-1, 1) and v in [0, 1), one number per entry of x."""

_LARGE, _SMALL = 20.0, 0.01
_PROBABILITY = 0.6


def scaled_entries(eps: Array, x: Array, u: Array, v: Array) -> Array:
    """Every entry times U[1 - eps, 1 + eps]."""
    return x * (1.0 + eps * u)


def magnitude_aware(eps: Array, x: Array, u: Array, v: Array) -> Array:
    """Entries above 20 are pulled towards 0 by up to eps |w|; below 0.01 they move tenfold."""
    size = jnp.abs(x)
    change = jnp.where(size > _LARGE, -jnp.abs(u), jnp.where(size < _SMALL, 10.0 * u, u))
    return x * (1.0 + eps * change)


def shifted_in_spreads(eps: Array, x: Array, u: Array, v: Array) -> Array:
    """A random half is shifted by N(0, eps) times the tensor's standard deviation.

    That is: normalise to mean 0 and deviation 1, shift, restore. A constant tensor stays.
    """
    normal = jnp.sqrt(2.0).astype(x.dtype) * jax.lax.erf_inv(u)
    return x + jnp.where(v < 0.5, eps * jnp.std(x) * normal, 0.0)


def shifted_tensor(eps: Array, x: Array, u: Array, v: Array) -> Array:
    """With probability 0.6, every entry plus U(-eps, eps)."""
    return x + jnp.where(v.ravel()[0] < _PROBABILITY, eps * u, 0.0)


def shifted_entries(eps: Array, x: Array, u: Array, v: Array) -> Array:
    """Each entry plus U(-eps, eps) with probability 0.6."""
    return x + jnp.where(v < _PROBABILITY, eps * u, 0.0)


def _with_coefficients(move: TensorMove, factor: float) -> dict[str, tuple[TensorMove, float]]:
    return {"spin_orbit": (move, factor), "nonlocal": (move, factor)}


MODES: dict[int, dict[str, tuple[TensorMove, float]]] = {
    1: {"local": (scaled_entries, 1.0), **_with_coefficients(scaled_entries, 1e-2)},
    2: {"local": (magnitude_aware, 1.0), **_with_coefficients(scaled_entries, 1e-3)},
    3: {"local": (shifted_in_spreads, 1.0)},
    4: {"local": (shifted_tensor, 1.0), **_with_coefficients(shifted_entries, 1e-3)},
    5: {"local": (shifted_tensor, 0.1), **_with_coefficients(shifted_entries, 1.0)},
    6: {"spin_orbit": (shifted_entries, 1.0)},
    7: {"nonlocal": (shifted_entries, 1.0)},
}
"""Entry of the parameters -> its move, and the factor on eps."""


@record
class NetworkMove:
    """One mode: what it does to each entry of the parameters, with eps = `mc_percentage`."""

    eps: Float[Array, ""]
    channels: tuple[tuple[str, TensorMove, float], ...] = static()

    def __call__(
        self, key: Key[Array, ""], params: Parameters, step_factor: Float[Array, ""]
    ) -> Proposal:
        """Weights and coefficients at once; the statistics of batch norms stay."""
        eps = self.eps * step_factor
        trees = {name: _movable(params, name) for name, _, _ in self.channels}
        u, v = _draws(key, trees)
        moved = {}
        for name, move, factor in self.channels:
            new = jax.tree.map(partial(move, factor * eps), trees[name], u[name], v[name])
            moved[name] = {**params.local, "params": new} if name == "local" else new
        return Proposal(params.updated(moved), jnp.zeros_like(eps))


def _movable(params: Parameters, name: str) -> Any:
    return params.local["params"] if name == "local" else params[name]


def _draws(key: Array, trees: dict) -> tuple[dict, dict]:
    """U(-1, 1) and U[0, 1) for every number in a pytree.

    All from one call of the generator, which is what takes the time to compile.
    """
    flat, unravel = ravel_pytree(trees)
    above_minus_one = float(np.nextafter(np.array(-1.0, flat.dtype), np.array(0.0, flat.dtype)))
    u, v = jax.random.uniform(key, (2, flat.size), flat.dtype, above_minus_one)
    return unravel(u), unravel(0.5 * (v + 1.0))


def network_move(mode: int, eps: float, spin_orbit: bool, dtype: jnp.dtype) -> NetworkMove:
    """The move of `mc_perturb_mode`; without spin-orbit its coefficients stay where they are.

    Raises:
        InputError: if there is no such mode, eps is not positive, or nothing would move.
    """
    if mode not in MODES:
        raise InputError(f"mc_perturb_mode = {mode}: legal are 1 to {max(MODES)}")
    if eps <= 0:
        raise InputError(f"mc_percentage = {eps:g}: it must be positive")
    channels = tuple(
        (name, *how) for name, how in MODES[mode].items() if spin_orbit or name == "local"
    )
    if not channels:
        raise InputError(f"mc_perturb_mode = {mode} moves SO or NL coefficients: SObool is 0")
    return NetworkMove(jnp.asarray(eps, dtype), channels)
