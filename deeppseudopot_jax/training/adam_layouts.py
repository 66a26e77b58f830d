"""What PyTorch keeps of every parameter and of all together, for Adam and its relatives."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np
from optax import ScaleByAdamState

from deeppseudopot_jax.errors import InputError
from deeppseudopot_jax.training.adam_family import MOMENTUM_DECAY, WEIGHT_DECAY, with_product

_PRODUCT = "mu_product"


@dataclass(frozen=True)
class Layout:
    """How one optimiser stands in a PyTorch file.

    `mean` and `square` are the names of its moments, `has_product` tells of NAdam's momenta, and
    `options` are those that only some optimisers have.
    """

    square: str
    options: Mapping[str, Any]
    has_product: bool = False
    mean: str = "exp_avg"

    @property
    def keys(self) -> list[str]:
        """The names of all that is kept of a parameter, beside its count."""
        return [*([_PRODUCT] if self.has_product else []), self.mean, self.square]

    def entry(self, part: Any, mean: Any, square: Any) -> dict[str, np.ndarray]:
        """What PyTorch keeps of one parameter, which has these moments."""
        product = {_PRODUCT: np.asarray(part.mu_product)} if self.has_product else {}
        moments = {self.mean: np.asarray(mean), self.square: np.asarray(square)}
        return {"step": np.asarray(part.count, np.float32), **product, **moments}

    def group(
        self, learning_rate: float, betas: tuple[float, float], epsilon: float, n_parameters: int
    ) -> dict[str, Any]:
        """The options of all parameters together."""
        return {
            "lr": float(learning_rate),
            "betas": tuple(float(beta) for beta in betas),
            "eps": float(epsilon),
            "weight_decay": 0,
            **_COMMON,
            **self.options,
            "params": list(range(n_parameters)),
        }

    def state(self, count: int, mu: Any, nu: Any, entry: Mapping[str, Any] | None) -> Any:
        """The state of one channel; `entry` is that of any of its parameters, if it has moved."""
        counted = ScaleByAdamState(jnp.asarray(count, jnp.int32), mu, nu)
        if not self.has_product:
            return counted
        product = 1.0 if entry is None else float(entry[_PRODUCT])
        return with_product(counted, product)


_COMMON = {"maximize": False, "foreach": None, "capturable": False, "differentiable": False}
_OF_ADAM = {"amsgrad": False, "fused": None, "decoupled_weight_decay": False}

LAYOUTS: dict[str, Layout] = {
    "adam": Layout("exp_avg_sq", _OF_ADAM),
    "adamw": Layout(
        "exp_avg_sq", _OF_ADAM | {"weight_decay": WEIGHT_DECAY, "decoupled_weight_decay": True}
    ),
    "sparseadam": Layout("exp_avg_sq", _OF_ADAM),
    "radam": Layout("exp_avg_sq", {"decoupled_weight_decay": False}),
    "nadam": Layout(
        "exp_avg_sq", {"momentum_decay": MOMENTUM_DECAY, "decoupled_weight_decay": False}, True
    ),
    "adamax": Layout("exp_inf", {}),
}
"""By the names of the optimisers in NN_config.par."""


def check_entry(entry: Any, name: str, where: str) -> None:
    """Refuse what is kept of a parameter by an optimiser whose moments mean something else.

    Args:
        entry: what a file has of the parameter.
        name: of the optimiser that is to go on.
        where: of what parameter.

    Raises:
        InputError: naming what was found, and what is legal.
    """
    legal = ["step", *LAYOUTS[name].keys]
    found = list(map(str, entry)) if isinstance(entry, dict) else [type(entry).__name__]
    if sorted(found) == sorted(legal):
        return
    owners = [n for n, layout in LAYOUTS.items() if {"step", *layout.keys} == set(found)]
    whose = f" (as {', '.join(owners)})" if owners else ""
    raise InputError(
        f"the optimizer state has {', '.join(found)}{whose} for {where}; "
        f"legal with optimizer = {name}: {', '.join(legal)}"
    )
