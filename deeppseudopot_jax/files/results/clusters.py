"""What figures of clusters of potentials show, before drawing."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int


@dataclass(frozen=True, eq=False)
class ClusterPlot:
    """Potentials in the plane of their first two principal components, and their clusters.

    Attributes:
        points: of every potential in the plane.
        explained: part of the variance along both axes.
        clusters: of every potential, from 0.
        medoids: the potential in the middle of every cluster.
        costs: of every potential (eV^2), NaN where it is not known.
        lowest: the potential of lowest cost of every cluster, -1 where no cost is known.
    """

    points: Float[np.ndarray, "potential 2"]
    explained: Float[np.ndarray, "2"]
    clusters: Int[np.ndarray, " potential"]
    medoids: Int[np.ndarray, " cluster"]
    costs: Float[np.ndarray, " potential"]
    lowest: Int[np.ndarray, " cluster"]

    def members(self, cluster: int) -> np.ndarray:
        """The potentials of a cluster."""
        return np.flatnonzero(self.clusters == cluster)

    def title(self, cluster: int) -> str:
        """A cluster with its size, as legends call it; they are counted from 1."""
        return f"cluster {cluster + 1} ({len(self.members(cluster))})"
