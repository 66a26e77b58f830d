"""Neural-network form factors: what the rows of the catalogue compute."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from deeppseudopot_jax.errors import InputError
from deeppseudopot_jax.potentials.catalogue import (
    CATALOGUE,
    ENVELOPES,
    FEATURES,
    INITIALIZERS,
    ModelOptions,
    ModelSpec,
)
from deeppseudopot_jax.potentials.features import Features
from deeppseudopot_jax.settings import Settings

BATCH_NORM_EPSILON = 1e-5
"""PyTorch's, added to the variance."""
_TORCH_BATCH_NORM_MOMENTUM = 0.9  # torch counts the weight of the new value: 0.1


class _Perceptron(nn.Module):
    """Linear layers with an activation between them; (n_q, n_features) in, v (n_q, n) out."""

    spec: ModelSpec
    widths: tuple[int, ...]
    dropout_rate: float

    @nn.compact
    def __call__(self, x: Array, training: bool) -> Array:
        fan_in = x.shape[-1]
        for i, width in enumerate(self.widths):
            last = i == len(self.widths) - 1
            x = nn.Dense(
                width,
                use_bias=not self.spec.linear,
                name=f"linear_{i}",
                param_dtype=x.dtype,
                kernel_init=INITIALIZERS[self.spec.initializer],
                bias_init=_uniform_symmetric(fan_in**-0.5),
            )(x)
            if not last and self.spec.batch_norm:
                x = nn.BatchNorm(
                    use_running_average=not training,
                    momentum=_TORCH_BATCH_NORM_MOMENTUM,
                    epsilon=BATCH_NORM_EPSILON,
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
    """The local potential given by a network: features of q in, one channel per species out.

    Parameters are the flax collections `{"params": ..., "batch_stats": ...}`.
    """

    name: str
    hidden_layers: tuple[int, ...]
    n_species: int
    options: ModelOptions = field(default_factory=ModelOptions)
    dropout_rate: float = 0.0

    @property
    def spec(self) -> ModelSpec:
        """The catalogue's row of this model."""
        return CATALOGUE[self.name]

    @property
    def widths(self) -> tuple[int, ...]:
        """Output width of every linear layer; empty for ZeroFunction."""
        if not self.spec.layers:
            return ()
        hidden = () if self.spec.linear else self.hidden_layers
        return (*hidden, self.n_species)

    @property
    def features(self) -> Features:
        """What the first layer sees of q."""
        return FEATURES[self.spec.features](self.options)

    @property
    def _module(self) -> _Perceptron:
        return _Perceptron(self.spec, self.widths, self.dropout_rate)

    def init(self, key: Array, dtype: jnp.dtype = jnp.float64) -> dict:
        """Random parameters from the class's own initialiser."""
        variables = self._module.init(key, jnp.zeros((2, self.features.n), dtype), training=False)
        return dict(variables)

    def parameter_shapes(self) -> dict:
        """Those of the variables that `init` returns."""
        return _variable_shapes(self)

    def apply(self, variables: dict, q: Float[Array, " q"]) -> Float[Array, "q species"]:
        """Form factors (Ha Bohr^3) at q (Bohr^-1), in evaluation mode.

        Running batch-norm statistics are used and dropout is off, so v(q) is a function of q
        alone, whatever other q are asked for in the same call.
        """
        x = q[:, None]
        output = (
            jnp.asarray(self._module.apply(variables, self.features(q), training=False))
            if self.widths
            else 0.0 * x
        )
        envelope = ENVELOPES[self.spec.envelope](x, self.options)
        return output * envelope * jnp.ones((1, self.n_species), q.dtype)

    def apply_training(
        self, variables: dict, q: Float[Array, " q"], key: Array
    ) -> tuple[Float[Array, "q species"], dict]:
        """Form factors in training mode and the variables with updated batch-norm statistics."""
        output, updated = self._module.apply(
            variables,
            self.features(q),
            training=True,
            mutable=["batch_stats"],
            rngs={"dropout": key},
        )
        v = output * ENVELOPES[self.spec.envelope](q[:, None], self.options)
        return v, {**variables, **updated}


@lru_cache(maxsize=64)
def _variable_shapes(model: NetworkModel) -> dict:
    shapes: dict = jax.eval_shape(lambda: model.init(jax.random.key(0)))
    return shapes


def network_model(settings: Settings, n_species: int, largest_q: float) -> NetworkModel:
    """The model that NN_config.par asks for; splines end at `largest_q` (Bohr^-1).

    Raises:
        InputError: if the class is unknown, an option it needs is missing or `scale` does not
            have one number per species.
    """
    if settings.model not in CATALOGUE:
        raise InputError(f"PPmodel = {settings.model}: legal are {', '.join(sorted(CATALOGUE))}")
    spec = CATALOGUE[settings.model]
    values = {name: getattr(settings, name) for name in spec.needs}
    for name, value in values.items():
        if value is None:
            key = Settings.model_fields[name].alias
            raise InputError(f"PPmodel = {settings.model} needs the key {key}")
    if "scale" in spec.needs and len(values["scale"]) != n_species:
        raise InputError(
            f"PPmodel_scale has {len(values['scale'])} numbers for {n_species} species"
        )
    if spec.features == "splines":
        values["largest_q"] = largest_q
    return NetworkModel(settings.model, settings.hidden_layers, n_species, ModelOptions(**values))
