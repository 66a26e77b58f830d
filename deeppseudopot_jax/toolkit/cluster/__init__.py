"""The command `cluster`: families among many fitted potentials."""

from deeppseudopot_jax.toolkit.cluster.families import Families, families_of
from deeppseudopot_jax.toolkit.cluster.features import Features, features_of
from deeppseudopot_jax.toolkit.cluster.sources import Fitted, fitted_potentials
from deeppseudopot_jax.toolkit.cluster.whole import cluster_potentials

__all__ = [
    "Families",
    "Features",
    "Fitted",
    "cluster_potentials",
    "families_of",
    "features_of",
    "fitted_potentials",
]
