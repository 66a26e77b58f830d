"""Adam's moments of a network as optax keeps them and as `torch.optim.Adam.state_dict()` does."""

from typing import TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from optax import OptState, ScaleByAdamState, ScaleByScheduleState

from deeppseudopot_jax.errors import InputError
from deeppseudopot_jax.potentials.networks import NetworkModel
from deeppseudopot_jax.potentials.state_dict import from_state_dict, to_state_dict

Part = TypeVar("Part")


def to_torch_adam(
    model: NetworkModel,
    state: ScaleByAdamState,
    learning_rate: float,
    betas: tuple[float, float] = (0.9, 0.999),
    epsilon: float = 1e-8,
) -> dict:
    """The `torch.optim.Adam.state_dict()` of a network's optimizer state.

    Args:
        model: the network.
        state: optax's count and moments; `mu` and `nu` have the structure of the network's
            parameters, `params["local"]["params"]`.
        learning_rate: at present, after the schedule.
        betas: decay rates of the moments.
        epsilon: added to the root of the second moment.
    """
    means, squares = (_by_name(model, moment) for moment in (state.mu, state.nu))
    unused = f"hidden_bn.{len(model.widths) - 1}."  # PyTorch's last batch norm takes no part
    entries = {
        i: {
            "step": np.asarray(state.count, np.float32),
            "exp_avg": means[name],
            "exp_avg_sq": squares[name],
        }
        for i, name in enumerate(means)
        if unused not in name
    }
    options = {
        "lr": float(learning_rate),
        "betas": tuple(float(beta) for beta in betas),
        "eps": float(epsilon),
        "weight_decay": 0,
        "amsgrad": False,
        "maximize": False,
        "foreach": None,
        "capturable": False,
        "differentiable": False,
        "fused": None,
        "params": list(range(len(means))),
    }
    return {"state": entries if int(state.count) else {}, "param_groups": [options]}


def from_torch_adam(model: NetworkModel, parameters: dict, state: dict) -> ScaleByAdamState:
    """Optax's count and moments from a `torch.optim.Adam.state_dict()`.

    The moments get the structure and dtypes of `parameters`, `params["local"]["params"]`; a
    parameter without an entry, which PyTorch never moved, gets zeros.

    Raises:
        InputError: if `state` is no Adam state, or one of other parameters.
    """
    shapes = {name: value.shape for name, value in _by_name(model, parameters).items()}
    try:
        indices = [i for group in state["param_groups"] for i in group["params"]]
        entries = state["state"]
        steps = {int(entry["step"]) for entry in entries.values()}
        means, squares = (
            {i: np.asarray(entry[key]) for i, entry in entries.items()}
            for key in ("exp_avg", "exp_avg_sq")
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(f"the optimizer state is not one of Adam: {error!r}") from error
    if len(indices) != len(shapes):
        raise InputError(
            f"the optimizer state has {len(indices)} parameters, PPmodel = {model.name} "
            f"has {len(shapes)}"
        )
    if len(steps) > 1:
        raise InputError(f"the parameters of the optimizer state differ in steps: {sorted(steps)}")
    mu, nu = (
        _like(model, parameters, dict(zip(shapes, indices, strict=True)), moment)
        for moment in (means, squares)
    )
    return ScaleByAdamState(jnp.asarray(max(steps, default=0), jnp.int32), mu, nu)


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


def adam_moments(optimizer_state: OptState) -> ScaleByAdamState | None:
    """Adam's part of a chained optimizer state; None where the optimizer is another one."""
    return _part(optimizer_state, ScaleByAdamState)


def schedule_count(optimizer_state: OptState) -> int:
    """Steps that the schedule of the learning rate has made, which restored moments do not set."""
    part = _part(optimizer_state, ScaleByScheduleState)
    return 0 if part is None else int(part.count)


def replace_adam_moments(optimizer_state: OptState, moments: ScaleByAdamState) -> OptState:
    """The same optimizer state with other Adam moments."""
    return jax.tree.map(
        lambda part: moments if _is_adam(part) else part, optimizer_state, is_leaf=_is_adam
    )


def _is_adam(part: object) -> bool:
    return isinstance(part, ScaleByAdamState)


def _part(optimizer_state: OptState, kind: type[Part]) -> Part | None:
    parts = jax.tree.leaves(optimizer_state, is_leaf=lambda part: isinstance(part, kind))
    return next((part for part in parts if isinstance(part, kind)), None)
