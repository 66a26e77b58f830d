"""The command `primitive`: a conventional cell or supercell made primitive, k-points with it."""

from deeppseudopot_jax.toolkit.primitive.files import write_primitive

__all__ = ["write_primitive"]
