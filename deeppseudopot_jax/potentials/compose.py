"""The local potential of every species: short-range model plus long-range tail."""

from typing import Any, Protocol, runtime_checkable

from jaxtyping import Array, Float

from deeppseudopot_jax.parameters import Parameters
from deeppseudopot_jax.potentials.long_range import long_range_tail


@runtime_checkable
class LocalModel(Protocol):
    """A short-range form factor: pure, hashable, with its parameters outside."""

    def apply(self, parameters, q: Float[Array, " q"]) -> Float[Array, "q species"]:
        """v(q) in Ha Bohr^3 for q in Bohr^-1."""
        ...

    def parameter_shapes(self) -> Any:
        """The shape of every parameter: a pytree of `jax.ShapeDtypeStruct`."""
        ...


def v_of_q(
    model: LocalModel, params: Parameters, q: Float[Array, " q"], gamma: float
) -> Float[Array, "q species"]:
    """v_s(q) of the undeformed crystal (Ha Bohr^3), long-range tail included."""
    return model.apply(params.local, q) + long_range_tail(q, params.long_range, gamma)
