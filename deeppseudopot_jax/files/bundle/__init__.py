"""Reading an inputs folder into the records of `types`."""

from deeppseudopot_jax.files.bundle.reader import read_bundle
from deeppseudopot_jax.files.findings import BundleError, Finding

__all__ = ["BundleError", "Finding", "read_bundle"]
