"""The tables of docs/models.md, from the catalogue of models."""

from collections.abc import Callable, Iterable

import flax.linen as nn
import jax

from deeppseudopot_jax.potentials.catalogue import CATALOGUE, ModelSpec
from deeppseudopot_jax.settings import Settings

ACTIVATIONS: dict[Callable, tuple[str, str]] = {
    nn.sigmoid: ("sigmoid", "1 / (1 + exp(-x))"),
    nn.tanh: ("tanh", "tanh x"),
    nn.relu: ("relu", "max(x, 0)"),
    nn.celu: ("celu", "x for x > 0, else exp(x) - 1"),
    jax.nn.identity: ("none", "x"),
}
ENVELOPES = {
    "none": "1",
    "logistic": "1 / (1 + exp(rate (q - centre)))",
    "fixed_logistic": "1 / (1 + exp(1.5 (q - 6)))",
    "cutoff": "1 up to q = 10, then 0",
    "gaussian": "exp(-q^2 / (2 std^2))",
    "scaled_gaussian": "scale_s exp(-q^2 / (2 std^2))",
}
FEATURES = {
    "wave_vector": "q",
    "fourier": "q, cos(q r_n), sin(q r_n); r_n = range n / N, n = 1 to N",
    "splines": "cubic B-splines on equidistant knots, even in q, 0 at the last knot",
}
INITIALIZERS = {
    "default": "U(-1, 1) / sqrt(fan_in)",
    "he_normal": "N(0, 2 / fan_in)",
    "he_uniform": "U(-1, 1) sqrt(6 / fan_in)",
    "xavier_normal": "N(0, 2 / (fan_in + fan_out))",
    "xavier_uniform": "U(-1, 1) sqrt(6 / (fan_in + fan_out))",
    "random_normal": "N(0, 1 / fan_in)",
    "uniform": "U(0, 1)",
}
"""Of the weights, N with its variance; biases are U(-1, 1) / sqrt(fan_in) in all of them."""


def model_tables() -> dict[str, str]:
    """The generated sections of docs/models.md; KeyError for a part that has no formula here."""
    networks = [spec for spec in CATALOGUE.values() if spec.layers]
    parts = [
        ("act", [ACTIVATIONS[spec.activation] for spec in networks if not spec.linear]),
        ("env", [(spec.envelope, ENVELOPES[spec.envelope]) for spec in networks]),
        ("x", [(spec.features, FEATURES[spec.features]) for spec in networks]),
        ("W", [(spec.initializer, INITIALIZERS[spec.initializer]) for spec in networks]),
    ]
    rows = [
        [part, name, f"`{formula}`"] for part, used in parts for name, formula in dict(used).items()
    ]
    catalogue = [[f"`{name}`", *_cells(spec)] for name, spec in CATALOGUE.items()]
    return {
        "formulas": _table(["", "name", "formula"], rows),
        "catalogue": _table(
            ["PPmodel", "x", "act", "norm", "env", "W starts from", "needs"], catalogue
        ),
    }


def _cells(spec: ModelSpec) -> list[str]:
    if not spec.layers:
        return ["the Zunger form", "", "", "", "", "`init_<atom>Params.par`"]
    hidden = () if spec.linear else ("hidden_layers",)
    keys = [f"`{Settings.model_fields[name].alias}`" for name in (*hidden, *spec.needs)]
    norm = [name for name in ("batch_norm", "dropout") if getattr(spec, name)]
    return [
        spec.features,
        ACTIVATIONS[spec.activation][0],
        ", ".join(norm).replace("_", " "),
        spec.envelope,
        spec.initializer,
        ", ".join(keys),
    ]


def _table(head: list[str], rows: Iterable[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
