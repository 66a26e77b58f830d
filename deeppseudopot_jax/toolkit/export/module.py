"""A Python module that gives form factors with NumPy alone."""

import base64
import math
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

import flax.linen as nn
import jax
import numpy as np

from deeppseudopot_jax.errors import UnsupportedError
from deeppseudopot_jax.potentials.catalogue import ModelOptions
from deeppseudopot_jax.potentials.networks import BATCH_NORM_EPSILON, NetworkModel
from deeppseudopot_jax.toolkit.export.loading import LoadedPotential
from deeppseudopot_jax.types import SystemInput
from deeppseudopot_jax.version import version

_LINE = 76
"""Characters of a line of base64."""

_ACTIVATIONS: dict[Callable, str] = {
    nn.relu: "np.maximum(x, 0.0)",
    nn.celu: "np.maximum(x, 0.0) + np.expm1(np.minimum(x, 0.0))",
    nn.tanh: "np.tanh(x)",
    nn.sigmoid: "np.exp(-np.logaddexp(0.0, -x))  # 1 / (1 + exp(-x))",
    jax.nn.identity: "x",
}


def _logistic(rate: float, center: float) -> str:
    return f"np.exp(-np.logaddexp(0.0, {rate!r} * (q - {center!r})))  # logistic"


_ENVELOPES: dict[str, Callable[[ModelOptions], str]] = {
    "none": lambda _: "1.0",
    "logistic": lambda o: _logistic(o.decay_rate, o.decay_center),
    "fixed_logistic": lambda _: _logistic(1.5, 6.0),
    "cutoff": lambda _: "np.where(q <= 10.0, 1.0, 0.0)",
    "gaussian": lambda o: f"np.exp(-(q**2) / (2.0 * {o.gaussian_std!r}**2))",
    "scaled_gaussian": lambda o: (
        f"np.exp(-(q**2) / (2.0 * {o.gaussian_std!r}**2)) * np.array({list(o.scale)!r})"
    ),
}


@dataclass(frozen=True)
class _Encoded:
    """An array as the module has it: checksum and base64 of its little-endian bytes."""

    shape: tuple[int, ...]
    checksum: int
    lines: tuple[str, ...]


def form_factor_module(potential: LoadedPotential, day: date | None = None) -> str:
    """The text of a module with `form_factor(symbol, q)`, which needs NumPy alone.

    Its numbers are those of the potential to the last bit. It is of double precision whatever the
    potential was fitted with.

    Args:
        potential: any of Zunger's form, the networks of the catalogue, or splines.
        day: told in its docstring; today by default.

    Raises:
        UnsupportedError: if the model has a part that NumPy code is not known for.
    """
    from deeppseudopot_jax.toolkit.export import template  # jinja2 is slow to import

    bundle, settings, source = potential.bundle, potential.bundle.settings, potential.source
    of_run = "" if source == bundle.folder else f", as fitted in {source},"
    names = ("a4", "a5", "a6", "a7", "a8")
    facts = {
        "title": f"Form factors v(q) of {_listed(potential.species)}.",
        "source": _plain(f"the bundle {bundle.folder}{of_run}"),
        "version": version(),
        "date": (day or date.today()).isoformat(),
        "species": potential.species,
        "symbols": ", ".join(f'"{symbol}"' for symbol in potential.species),
        "gamma": repr(potential.gamma),
        "spin_orbit": int(settings.spin_orbit),
        "strain": int(settings.strain),
        "systems": [_of_system(system, settings.basis_sphere) for system in bundle.systems],
        "coefficients": {
            symbol: {name: repr(x) for name, x in zip(names, row[4:].tolist(), strict=True)}
            for symbol, row in zip(potential.species, potential.acting, strict=True)
        },
        **_of_model(potential),
    }
    return template.rendered(facts)


def _of_system(system: SystemInput, sphere: str) -> str:
    energy = system.max_kinetic_energy
    return f"{_plain(system.name)}: maxKE = {energy!r} Ha, basis_sphere = {sphere}"


def _plain(text: str) -> str:
    """Text that ends no docstring and escapes nothing in it."""
    return " ".join(text.split()).replace("\\", "/").replace('"', "'")


def _listed(symbols: tuple[str, ...]) -> str:
    return " and ".join(filter(None, [", ".join(symbols[:-1]), symbols[-1]]))


def _of_model(potential: LoadedPotential) -> dict[str, Any]:
    """What the template needs to know of the short-range model."""
    model = potential.model
    if not isinstance(model, NetworkModel):
        rows = np.asarray(potential.params.local, np.float64).tolist()
        return {
            "kind": "zunger",
            "arrays": False,
            "zunger": [[repr(x) for x in row] for row in rows],
            "model_says": "The short-range part is a0 (q^2 - a1) / (a2 exp(a3 q^2) - 1).",
        }
    spec, options = model.spec, model.options
    if spec.activation not in _ACTIVATIONS or spec.envelope not in _ENVELOPES:
        raise UnsupportedError(
            f"PPmodel = {model.name}: its activation or its envelope ({spec.envelope}) has no "
            "NumPy form in the export of form factors"
        )
    widths = " ".join(str(width) for width in model.widths)
    return {
        "kind": "network",
        "arrays": True,
        "model_says": f"The short-range part is PPmodel {model.name}, layers {widths}.",
        "layers": _layers(model, potential.params.local),
        "n_hidden": len(model.widths) - 1,
        "linear": spec.linear,
        "fourier": spec.features == "fourier",
        "batch_norm": spec.batch_norm,
        "activation": _ACTIVATIONS[spec.activation],
        "envelope": _ENVELOPES[spec.envelope](options),
        "n_knots": options.n_knots,
        "last_knot": repr(options.largest_q),
        "n_frequencies": options.n_frequencies,
        "range": repr(options.model_range),
    }


def _layers(model: NetworkModel, variables: Mapping[str, Any]) -> list[dict[str, _Encoded]]:
    """The arrays of every layer; a batch norm is (x - mean) factor + shift."""
    layers = []
    for i in range(len(model.widths)):
        linear = variables["params"][f"linear_{i}"]
        arrays = {"weights": linear["kernel"]}
        if not model.spec.linear:
            arrays["biases"] = linear["bias"]
        if model.spec.batch_norm and i < len(model.widths) - 1:
            affine, running = (
                variables["params"][f"norm_{i}"],
                variables["batch_stats"][f"norm_{i}"],
            )
            variance = np.asarray(running["var"], np.float64)
            arrays["mean"] = running["mean"]
            arrays["factor"] = affine["scale"] / np.sqrt(variance + BATCH_NORM_EPSILON)
            arrays["shift"] = affine["bias"]
        layers.append({name: _encoded(array) for name, array in arrays.items()})
    return layers


def _encoded(array: Any) -> _Encoded:
    values = np.asarray(array, "<f8")
    data = values.tobytes()
    text = base64.b64encode(data).decode("ascii")
    n_lines = math.ceil(len(text) / _LINE)
    lines = tuple(text[i * _LINE : (i + 1) * _LINE] for i in range(n_lines))
    return _Encoded(values.shape, zlib.crc32(data), lines)
