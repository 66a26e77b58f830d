"""Neural-network form factors: the whole catalogue of PPmodel classes as one table.

A model is an activation, an initialiser, optional batch normalisation and dropout, and an
envelope that makes v(q) decay. The names are those of the PyTorch code.
"""

from collections.abc import Callable
from dataclasses import dataclass

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from deeppseudopot_jax.settings import Settings

_TORCH_BATCH_NORM_EPSILON = 1e-5
_TORCH_BATCH_NORM_MOMENTUM = 0.9  # torch counts the weight of the new value: 0.1

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
class EnvelopeOptions:
    """The numbers an envelope may need (PPmodel_decay_rate, _decay_center, ...)."""

    decay_rate: float = 0.0
    decay_center: float = 0.0
    gaussian_std: float = 0.0
    scale: tuple[float, ...] = ()


def _logistic(q: Array, rate: float, center: float) -> Array:
    return jax.nn.sigmoid(-rate * (q - center))


def _gaussian(q: Array, options: EnvelopeOptions) -> Array:
    return jnp.exp(-(q**2) / (2.0 * options.gaussian_std**2))


ENVELOPES: dict[str, Callable[[Array, EnvelopeOptions], Array]] = {
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


@dataclass(frozen=True)
class ModelSpec:
    """One row of the catalogue; `layers` names the list of linear layers in a state dict."""

    activation: Callable
    initializer: str
    envelope: str = "none"
    batch_norm: bool = False
    dropout: bool = False
    layers: str = "hidden_l"

    @property
    def needs(self) -> tuple[str, ...]:
        """The fields of EnvelopeOptions without which the model is not defined."""
        return ENVELOPE_NEEDS.get(self.envelope, ())


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
    "ZeroFunction": ModelSpec(_relu, "default", layers=""),
}


class _Perceptron(nn.Module):
    """Linear layers with an activation between them; q of shape (n_q, 1) in, v (n_q, n) out."""

    spec: ModelSpec
    widths: tuple[int, ...]
    dropout_rate: float

    @nn.compact
    def __call__(self, x: Array, training: bool) -> Array:
        fan_in = 1
        for i, width in enumerate(self.widths):
            last = i == len(self.widths) - 1
            x = nn.Dense(
                width,
                name=f"linear_{i}",
                param_dtype=x.dtype,
                kernel_init=INITIALIZERS[self.spec.initializer],
                bias_init=_uniform_symmetric(fan_in**-0.5),
            )(x)
            if not last and self.spec.batch_norm:
                x = nn.BatchNorm(
                    use_running_average=not training,
                    momentum=_TORCH_BATCH_NORM_MOMENTUM,
                    epsilon=_TORCH_BATCH_NORM_EPSILON,
                    name=f"norm_{i}",
                    param_dtype=x.dtype,
                    force_float32_reductions=False,
                )(x)
            if not last:
                x = self.spec.activation(x)
            if not last and self.spec.dropout:
                x = nn.Dropout(self.dropout_rate, deterministic=not training)(x)
            fan_in = width
        return x


def _uniform_symmetric(bound: float) -> Callable:
    return lambda key, shape, dtype: jax.random.uniform(key, shape, dtype, -bound, bound)


@dataclass(frozen=True)
class NetworkModel:
    """The local potential given by a network: one input q, one output channel per species.

    Parameters are the flax collections `{"params": ..., "batch_stats": ...}`.
    """

    name: str
    hidden_layers: tuple[int, ...]
    n_species: int
    options: EnvelopeOptions = EnvelopeOptions()
    dropout_rate: float = 0.0

    @property
    def spec(self) -> ModelSpec:
        """The catalogue's row of this model."""
        return CATALOGUE[self.name]

    @property
    def widths(self) -> tuple[int, ...]:
        """Output width of every linear layer; empty for ZeroFunction."""
        return (*self.hidden_layers, self.n_species) if self.spec.layers else ()

    @property
    def _module(self) -> _Perceptron:
        return _Perceptron(self.spec, self.widths, self.dropout_rate)

    def init(self, key: Array, dtype: jnp.dtype = jnp.float64) -> dict:
        """Random parameters from the class's own initialiser."""
        variables = self._module.init(key, jnp.zeros((2, 1), dtype), training=False)
        return dict(variables)

    def apply(self, variables: dict, q: Float[Array, " q"]) -> Float[Array, "q species"]:
        """Form factors (Ha Bohr^3) at q (Bohr^-1), in evaluation mode.

        Running batch-norm statistics are used and dropout is off, so v(q) is a function of q
        alone, whatever other q are asked for in the same call.
        """
        x = q[:, None]
        output = (
            jnp.asarray(self._module.apply(variables, x, training=False))
            if self.widths
            else 0.0 * x
        )
        envelope = ENVELOPES[self.spec.envelope](x, self.options)
        return output * envelope * jnp.ones((1, self.n_species), q.dtype)

    def apply_training(
        self, variables: dict, q: Float[Array, " q"], key: Array
    ) -> tuple[Float[Array, "q species"], dict]:
        """Form factors in training mode and the variables with updated batch-norm statistics."""
        x = q[:, None]
        output, updated = self._module.apply(
            variables, x, training=True, mutable=["batch_stats"], rngs={"dropout": key}
        )
        v = output * ENVELOPES[self.spec.envelope](x, self.options)
        return v, {**variables, **updated}


def network_model(settings: Settings, n_species: int) -> NetworkModel:
    """The model that NN_config.par asks for.

    Raises:
        ValueError: if the class is unknown, an option it needs is missing or `scale` does not
            have one number per species.
    """
    if settings.model not in CATALOGUE:
        raise ValueError(f"PPmodel = {settings.model}: legal are {', '.join(sorted(CATALOGUE))}")
    needs = CATALOGUE[settings.model].needs
    values = {name: getattr(settings, name) for name in needs}
    for name, value in values.items():
        if value is None:
            raise ValueError(f"PPmodel = {settings.model} needs the key PPmodel_{name}")
    if "scale" in needs and len(values["scale"]) != n_species:
        raise ValueError(
            f"PPmodel_scale has {len(values['scale'])} numbers for {n_species} species"
        )
    return NetworkModel(
        settings.model, settings.hidden_layers, n_species, EnvelopeOptions(**values)
    )
