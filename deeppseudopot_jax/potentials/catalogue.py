"""The catalogue of local potentials that are trained by their weights: one row per PPmodel.

A model takes features of q through linear layers with an activation between them, optional batch
normalisation and dropout, and an envelope that makes v(q) decay. The names are those of the PyTorch
code; `Net_fourier_*` and `BSpline` are this code's own.
"""

from collections.abc import Callable
from dataclasses import dataclass

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array

from deeppseudopot_jax.potentials.features import CubicSplines, Features, Fourier, WaveVector

_scaling = nn.initializers.variance_scaling
INITIALIZERS: dict[str, Callable] = {
    "default": _scaling(1.0 / 3.0, "fan_in", "uniform"),  # torch.nn.Linear: U(+-1/sqrt(fan_in))
    "he_normal": _scaling(2.0, "fan_in", "normal"),
    "he_uniform": _scaling(2.0, "fan_in", "uniform"),
    "xavier_normal": _scaling(1.0, "fan_avg", "normal"),
    "xavier_uniform": _scaling(1.0, "fan_avg", "uniform"),
    "random_normal": _scaling(1.0, "fan_in", "normal"),
    "uniform": nn.initializers.uniform(1.0),  # U(0, 1)
}


@dataclass(frozen=True)
class ModelOptions:
    """The numbers that envelopes and features may need (PPmodel_decay_rate, _n_knots, ...).

    `largest_q` (Bohr^-1) is no key: it follows from the plane waves.
    """

    decay_rate: float = 0.0
    decay_center: float = 0.0
    gaussian_std: float = 0.0
    scale: tuple[float, ...] = ()
    n_frequencies: int = 0
    model_range: float = 0.0
    n_knots: int = 0
    largest_q: float = 0.0


def _logistic(q: Array, rate: float, center: float) -> Array:
    return jax.nn.sigmoid(-rate * (q - center))


def _gaussian(q: Array, options: ModelOptions) -> Array:
    return jnp.exp(-(q**2) / (2.0 * options.gaussian_std**2))


ENVELOPES: dict[str, Callable[[Array, ModelOptions], Array]] = {
    "none": lambda q, _: jnp.ones_like(q),
    "logistic": lambda q, o: _logistic(q, o.decay_rate, o.decay_center),
    "fixed_logistic": lambda q, _: _logistic(q, 1.5, 6.0),
    "cutoff": lambda q, _: jnp.where(q <= 10.0, 1.0, 0.0),
    "gaussian": _gaussian,
    "scaled_gaussian": lambda q, o: _gaussian(q, o) * jnp.asarray([o.scale], q.dtype),
}
ENVELOPE_NEEDS: dict[str, tuple[str, ...]] = {
    "logistic": ("decay_rate", "decay_center"),
    "gaussian": ("gaussian_std",),
    "scaled_gaussian": ("gaussian_std", "scale"),
}

FEATURES: dict[str, Callable[[ModelOptions], Features]] = {
    "wave_vector": lambda _: WaveVector(),
    "fourier": lambda o: Fourier(o.n_frequencies, o.model_range),
    "splines": lambda o: CubicSplines(o.n_knots, o.largest_q),
}
FEATURE_NEEDS: dict[str, tuple[str, ...]] = {
    "fourier": ("n_frequencies", "model_range"),
    "splines": ("n_knots",),
}


@dataclass(frozen=True)
class ModelSpec:
    """One row of the catalogue; `layers` names the list of linear layers in a state dict.

    A linear model is a single layer without bias, so v(q) is linear in its weights.
    """

    activation: Callable
    initializer: str
    envelope: str = "none"
    batch_norm: bool = False
    dropout: bool = False
    layers: str = "hidden_l"
    features: str = "wave_vector"
    linear: bool = False

    @property
    def needs(self) -> tuple[str, ...]:
        """The settings, fields of ModelOptions, without which the model is not defined."""
        return FEATURE_NEEDS.get(self.features, ()) + ENVELOPE_NEEDS.get(self.envelope, ())


_relu, _celu, _tanh, _sigmoid = nn.relu, nn.celu, nn.tanh, nn.sigmoid
CATALOGUE: dict[str, ModelSpec] = {
    "Net_sig": ModelSpec(_sigmoid, "default", layers="hidden"),
    "Net_tanh": ModelSpec(_tanh, "default", dropout=True, layers="hidden"),
    "Net_relu": ModelSpec(_relu, "default", layers="hidden"),
    "Net_relu_xavier": ModelSpec(_relu, "xavier_normal"),
    "Net_sigmoid_xavier": ModelSpec(_sigmoid, "xavier_normal"),
    "Net_celu_HeInit": ModelSpec(_celu, "he_normal"),
    "Net_celu_RandInit": ModelSpec(_celu, "random_normal"),
    "Net_sig_UniformInit": ModelSpec(_sigmoid, "uniform", layers="hidden"),
    "Net_tanh_XavierInit_dropout": ModelSpec(
        _tanh, "xavier_uniform", dropout=True, layers="hidden"
    ),
    "Net_relu_HeInit": ModelSpec(_relu, "he_uniform", layers="hidden"),
    "Net_sig_bn": ModelSpec(_sigmoid, "default", batch_norm=True),
    "Net_tanh_bn": ModelSpec(_tanh, "default", batch_norm=True),
    "Net_relu_bn": ModelSpec(_relu, "default", batch_norm=True),
    "Net_Xavier_BN": ModelSpec(_tanh, "xavier_uniform", batch_norm=True),
    "Net_He_BN": ModelSpec(_relu, "he_uniform", batch_norm=True),
    "Net_relu_xavier_BN": ModelSpec(_relu, "xavier_normal", batch_norm=True),
    "Net_relu_xavier_BN_dropout": ModelSpec(_relu, "xavier_normal", batch_norm=True, dropout=True),
    "Net_relu_xavier_BN_dropout_decay": ModelSpec(
        _relu, "xavier_normal", "cutoff", batch_norm=True, dropout=True
    ),
    "Net_relu_xavier_BN_dropout_decayGaussian": ModelSpec(
        _relu, "xavier_normal", "gaussian", batch_norm=True, dropout=True
    ),
    "Net_relu_xavier_BN_decayGaussian": ModelSpec(
        _relu, "xavier_normal", "gaussian", batch_norm=True
    ),
    "Net_relu_xavier_decay": ModelSpec(_relu, "xavier_normal", "logistic"),
    "Net_relu_xavier_decay2": ModelSpec(_relu, "xavier_normal", "fixed_logistic"),
    "Net_relu_xavier_decayGaussian": ModelSpec(_relu, "xavier_normal", "gaussian"),
    "Net_relu_HeInit_decayGaussian": ModelSpec(_relu, "he_uniform", "gaussian", layers="hidden"),
    "Net_sigmoid_xavier_decayGaussian": ModelSpec(_sigmoid, "xavier_normal", "gaussian"),
    "Net_celu_HeInit_decayGaussian": ModelSpec(_celu, "he_normal", "gaussian"),
    "Net_celu_HeInit_scale_decayGaussian": ModelSpec(_celu, "he_normal", "scaled_gaussian"),
    "Net_celu_RandInit_decayGaussian": ModelSpec(_celu, "random_normal", "gaussian"),
    "Net_fourier_celu_HeInit_decayGaussian": ModelSpec(
        _celu, "he_normal", "gaussian", features="fourier"
    ),
    "Net_fourier_tanh_xavier_decayGaussian": ModelSpec(
        _tanh, "xavier_normal", "gaussian", features="fourier"
    ),
    "BSpline": ModelSpec(
        jax.nn.identity, "default", layers="spline", features="splines", linear=True
    ),
    "ZeroFunction": ModelSpec(_relu, "default", layers=""),
}
