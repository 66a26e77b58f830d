"""The command `convert`: bands of other programs as a complete bundle."""

from deeppseudopot_jax.toolkit.convert.berkeley_gw import read_berkeley_gw
from deeppseudopot_jax.toolkit.convert.bundle import write_bundle
from deeppseudopot_jax.toolkit.convert.espresso import read_espresso
from deeppseudopot_jax.toolkit.convert.options import ConversionOptions
from deeppseudopot_jax.toolkit.convert.source import SourceBands

__all__ = ["ConversionOptions", "SourceBands", "read_berkeley_gw", "read_espresso", "write_bundle"]
