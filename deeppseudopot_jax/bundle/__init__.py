"""Reading an inputs folder into the records of `types`."""

from deeppseudopot_jax.bundle.findings import BundleError, Finding
from deeppseudopot_jax.bundle.reader import read_bundle

__all__ = ["BundleError", "Finding", "read_bundle"]
