"""Reading an inputs folder into the records of `types`."""

from deeppseudopot_jax.bundle.findings import BundleError, Problem
from deeppseudopot_jax.bundle.reader import read_bundle

__all__ = ["BundleError", "Problem", "read_bundle"]
