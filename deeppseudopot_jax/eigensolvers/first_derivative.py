"""An identity that may be computed with, but not differentiated.

A `jax.custom_jvp` that raises would do for forward mode, but its rule is lost where JAX splits a
scan for reverse mode; the rule of a primitive is not.
"""

from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir
from jaxtyping import Array


def first_derivative_only(value: Array) -> Array:
    """`value` itself, in a place that only a second derivative would differentiate.

    Raises:
        NotImplementedError: when that is tried.
    """
    return _identity.bind(value)


def _refuse(primals, tangents):
    raise NotImplementedError(
        "second derivatives of band energies are not the derivative of Hellmann-Feynman forces; "
        "use perturbation theory (effective masses) or finite differences of first derivatives"
    )


_identity = Primitive("first_derivative_only")
_identity.def_impl(lambda value: value)
_identity.def_abstract_eval(lambda value: value)
mlir.register_lowering(_identity, lambda context, value: [value])
batching.primitive_batchers[_identity] = lambda values, axes: (_identity.bind(*values), axes[0])
ad.primitive_jvps[_identity] = _refuse
