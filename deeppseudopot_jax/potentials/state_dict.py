"""Network parameters in the names of the PyTorch code, and back."""

import numpy as np

from deeppseudopot_jax.errors import InputError
from deeppseudopot_jax.potentials.networks import NetworkModel

_SAME = 1e-6
"""Buffers that differ by less, relative to their size, are those of another precision."""


def _names(model: NetworkModel) -> tuple[str, str]:
    """Prefixes of the linear layers and of the batch norms of a model's state dict."""
    wrapper = "" if model.spec.envelope == "none" else "neural_network."
    return f"{wrapper}{model.spec.layers}", f"{wrapper}hidden_bn"


def parameter_names(model: NetworkModel) -> dict[str, dict[str, str]]:
    """The names in a PyTorch state dict of all weights, by flax layer and leaf."""
    linear, norm = _names(model)
    names: dict[str, dict[str, str]] = {}
    for i in range(len(model.widths)):
        leaves = {"kernel": "weight"} if model.spec.linear else {"kernel": "weight", "bias": "bias"}
        names[f"linear_{i}"] = {leaf: f"{linear}.{i}.{name}" for leaf, name in leaves.items()}
        if model.spec.batch_norm and i < len(model.widths) - 1:
            leaves = {"scale": "weight", "bias": "bias"}
            names[f"norm_{i}"] = {leaf: f"{norm}.{i}.{name}" for leaf, name in leaves.items()}
    return names


def _spelled(numbers: np.ndarray) -> str:
    return f"{numbers.size} numbers " + np.array2string(numbers, precision=6, threshold=6)


def from_state_dict(model: NetworkModel, state: dict[str, np.ndarray]) -> dict:
    """Flax variables from a PyTorch state dict.

    Raises:
        InputError: naming every key that is missing, left over or of the wrong shape, and knots or
            frequencies that are not those of the model.
    """
    linear, norm = _names(model)
    remaining = dict(state)
    problems: list[str] = []

    def take(key: str, *shape: int) -> np.ndarray:
        value = remaining.pop(key, None)
        if value is None:
            problems.append(f"{key} is missing")
        elif value.shape != shape:
            problems.append(f"{key} has shape {value.shape}, expected {shape}")
        elif np.iscomplexobj(value):
            problems.append(f"{key} has complex numbers")
        else:
            return np.asarray(value, dtype=np.float64)
        return np.zeros(shape)

    params: dict = {}
    statistics: dict = {}
    for key, asked in model.features.buffers.items():
        found = remaining.pop(key, None)
        if found is None:
            problems.append(f"{key} is missing")
        elif found.shape != asked.shape or not np.allclose(found, asked, rtol=_SAME, atol=0.0):
            problems.append(f"{key} are {_spelled(found)}, the inputs ask for {_spelled(asked)}")
    fan_in = model.features.n
    for i, width in enumerate(model.widths):
        params[f"linear_{i}"] = {"kernel": take(f"{linear}.{i}.weight", width, fan_in).T}
        if not model.spec.linear:
            params[f"linear_{i}"]["bias"] = take(f"{linear}.{i}.bias", width)
        if model.spec.batch_norm:
            scale, shift, mean, variance = (
                take(f"{norm}.{i}.{part}", width)
                for part in ("weight", "bias", "running_mean", "running_var")
            )
            if variance.min(initial=0.0) < 0.0:
                problems.append(f"{norm}.{i}.running_var is negative")
            remaining.pop(f"{norm}.{i}.num_batches_tracked", None)
            if i < len(model.widths) - 1:  # the last one exists in the file and is not used
                params[f"norm_{i}"] = {"scale": scale, "bias": shift}
                statistics[f"norm_{i}"] = {"mean": mean, "var": variance}
        fan_in = width
    problems += [f"{key} is not part of {model.name}" for key in remaining]
    if problems:
        layers = " ".join(str(width) for width in (model.features.n, *model.widths))
        raise InputError(
            f"the weights do not fit PPmodel = {model.name} with layers {layers}: "
            + "; ".join(problems)
        )
    variables = {"params": params} if params else {}
    return {**variables, "batch_stats": statistics} if statistics else variables


def to_state_dict(model: NetworkModel, variables: dict) -> dict[str, np.ndarray]:
    """The PyTorch state dict of flax variables; inverse of `from_state_dict`."""
    linear, norm = _names(model)
    state = dict(model.features.buffers)
    norms: dict[str, np.ndarray] = {}
    for i, width in enumerate(model.widths):
        layer = variables["params"][f"linear_{i}"]
        state[f"{linear}.{i}.weight"] = np.ascontiguousarray(np.asarray(layer["kernel"]).T)
        if not model.spec.linear:
            state[f"{linear}.{i}.bias"] = np.asarray(layer["bias"])
        if model.spec.batch_norm:
            affine = variables["params"].get(f"norm_{i}", {})
            running = variables["batch_stats"].get(f"norm_{i}", {})
            norms[f"{norm}.{i}.weight"] = np.asarray(affine.get("scale", np.ones(width)))
            norms[f"{norm}.{i}.bias"] = np.asarray(affine.get("bias", np.zeros(width)))
            norms[f"{norm}.{i}.running_mean"] = np.asarray(running.get("mean", np.zeros(width)))
            norms[f"{norm}.{i}.running_var"] = np.asarray(running.get("var", np.ones(width)))
            norms[f"{norm}.{i}.num_batches_tracked"] = np.asarray(0)
    return state | norms
