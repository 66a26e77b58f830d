"""The command `new`: a commented bundle to start from, made of a crystal structure alone."""

from deeppseudopot_jax.toolkit.new.bundle import new_bundle

__all__ = ["new_bundle"]
