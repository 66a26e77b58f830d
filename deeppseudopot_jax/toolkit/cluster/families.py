"""Principal components and clusters of points, and whether there are clusters at all.

The number of clusters is that of the largest mean silhouette (P. J. Rousseeuw, J. Comput. Appl.
Math. 20, 53 (1987)). Any cloud of points can be cut into parts with some silhouette, so that it is
compared with what clouds of no structure reach: points of one normal distribution with the same
principal variances. Larger than in all of 19 of them is significant at the level of 5 %.
"""

from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType

import numpy as np
from jaxtyping import Float, Int
from scipy.spatial.distance import cdist
from threadpoolctl import threadpool_limits

from deeppseudopot_jax.errors import InputError
from deeppseudopot_jax.toolkit.extras import needed

FEWEST = 3
"""Potentials; two are either the same or not."""
_MOST_CLUSTERS = 8
"""That are tried where the number is not given."""
_CLOUDS = 19
_SAME = 1e-9
"""Points nearer than this, in units of the spread of all, are one."""

Labels = Int[np.ndarray, " point"]


@dataclass(frozen=True, eq=False)
class Families:
    """Clusters of points, counted from 0 in the order of their lowest cost, then of their size.

    Attributes:
        components: coordinates along the principal axes.
        explained: part of the variance along each.
        labels: the cluster of every point.
        silhouettes: of every point, from -1 (in a wrong cluster) to 1; NaN in a single cluster.
        medoids: the point of every cluster with the smallest sum of distances to the others.
        lowest: the point of lowest cost of every cluster, -1 where no cost is known.
        spreads: root mean square distance of a cluster's points from their mean, over that of all.
        tried: mean silhouette of every number of clusters that was looked at.
        by_chance: the largest mean silhouette of clouds without structure.
    """

    components: Float[np.ndarray, "point component"]
    explained: Float[np.ndarray, " component"]
    labels: Labels
    silhouettes: Float[np.ndarray, " point"]
    medoids: Int[np.ndarray, " cluster"]
    lowest: Int[np.ndarray, " cluster"]
    spreads: Float[np.ndarray, " cluster"]
    tried: dict[int, float]
    by_chance: float

    @property
    def is_significant(self) -> bool:
        """Whether the best of the numbers that were tried is better than chance."""
        return max(self.tried.values(), default=-1.0) > self.by_chance


@threadpool_limits.wrap(limits=1)  # so few points are no work for several
def families_of(
    rows: Float[np.ndarray, "point feature"],
    costs: Float[np.ndarray, " point"],
    method: str = "kmeans",
    n_clusters: int | None = None,
) -> Families:
    """Clusters of points; the same ones for the same points.

    Args:
        rows: centred.
        costs: of every point, NaN where it is not known.
        method: one of `METHODS`.
        n_clusters: their number; where None, that of the largest silhouette, or a single cluster
            where chance does as well.

    Raises:
        InputError: if there are fewer than three points, or not so many different ones.
        UnsupportedError: if scikit-learn is not installed.
    """
    if len(rows) < FEWEST:
        raise InputError(f"found {len(rows)} potentials; legal: {FEWEST} or more")
    cut = METHODS[method]
    components, explained = _principal(rows)
    n_different = _number_of_different(components)
    most = min(n_different, len(rows) - 1)
    numbers = range(2, min(most, _MOST_CLUSTERS) + 1)
    if n_clusters is not None:
        if not 1 <= n_clusters <= most:
            raise InputError(
                f"--clusters: found {n_clusters}; legal: 1 to {most}, of {len(rows)} potentials "
                f"of which {n_different} differ"
            )
        numbers = range(n_clusters, n_clusters + 1) if n_clusters > 1 else range(0)
    tried = {n: _mean_silhouette(components, cut(components, n)) for n in numbers}
    by_chance = max(_largest_of_cloud(components, cut, numbers, i) for i in range(_CLOUDS))
    best = max(tried, key=lambda n: tried[n], default=1)
    if n_clusters is None and tried and tried[best] <= by_chance:
        best = 1
    labels = _ordered(cut(components, best) if best > 1 else np.zeros(len(rows), int), costs)
    members = [np.flatnonzero(labels == cluster) for cluster in range(best)]
    return Families(
        components=components,
        explained=explained,
        labels=labels,
        silhouettes=_silhouettes(components, labels),
        medoids=np.array([_medoid(components, each) for each in members]),
        lowest=np.array([_lowest(costs, each) for each in members]),
        spreads=np.array([_spread(components[each]) for each in members]) / _spread(components),
        tried=tried,
        by_chance=by_chance,
    )


def _kmeans(points: np.ndarray, n: int) -> Labels:
    """K-means from the centres of the hierarchical clusters: the same for the same points."""
    labels = _hierarchical(points, n)
    centres = np.stack([points[labels == cluster].mean(axis=0) for cluster in range(n)])
    found = _sklearn("cluster").KMeans(n, init=centres, n_init=1).fit_predict(points)
    return np.asarray(found)


def _hierarchical(points: np.ndarray, n: int) -> Labels:
    """J. H. Ward, J. Am. Stat. Assoc. 58, 236 (1963): each step joins what adds least variance."""
    return np.asarray(_sklearn("cluster").AgglomerativeClustering(n).fit_predict(points))


METHODS: dict[str, Callable[[np.ndarray, int], Labels]] = {
    "kmeans": _kmeans,
    "hierarchical": _hierarchical,
}
"""Points and the number of clusters to labels."""


def _principal(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """All coordinates along principal axes: distances are those between the rows."""
    pca = _sklearn("decomposition").PCA(svd_solver="full")
    return pca.fit_transform(rows), pca.explained_variance_ratio_


def _largest_of_cloud(
    components: np.ndarray, cut: Callable[[np.ndarray, int], Labels], numbers: range, seed: int
) -> float:
    """The largest mean silhouette of as many points without structure."""
    rng = np.random.default_rng(seed)
    cloud = rng.normal(size=components.shape) * components.std(axis=0)
    return max((_mean_silhouette(cloud, cut(cloud, n)) for n in numbers), default=-1.0)


def _mean_silhouette(points: np.ndarray, labels: Labels) -> float:
    return float(np.mean(_silhouettes(points, labels)))


def _silhouettes(points: np.ndarray, labels: Labels) -> np.ndarray:
    if labels.max() == 0:
        return np.full(len(points), np.nan)
    return np.asarray(_sklearn("metrics").silhouette_samples(points, labels))


def _number_of_different(points: np.ndarray) -> int:
    """Points that are not the same as one before them."""
    near = cdist(points, points) < _SAME * _spread(points)
    return int(sum(not near[i, :i].any() for i in range(len(points))))


def _ordered(labels: Labels, costs: np.ndarray) -> Labels:
    """The clusters of lowest cost first; without costs the largest, then that of earlier points."""

    def place(cluster: int) -> tuple[float, int, int]:
        members = np.flatnonzero(labels == cluster)
        known = costs[members][np.isfinite(costs[members])]
        return (known.min() if len(known) else np.inf, -len(members), members[0])

    order = sorted(set(labels.tolist()), key=place)
    return np.array([order.index(label) for label in labels.tolist()])


def _medoid(points: np.ndarray, members: np.ndarray) -> int:
    chosen = points[members]
    return int(members[np.argmin(cdist(chosen, chosen).sum(axis=1))])


def _lowest(costs: np.ndarray, members: np.ndarray) -> int:
    known = members[np.isfinite(costs[members])]
    return int(known[np.argmin(costs[known])]) if len(known) else -1


def _spread(points: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.sum((points - points.mean(axis=0)) ** 2, axis=1))))


def _sklearn(part: str) -> ModuleType:
    return needed(f"sklearn.{part}", "clustering", "scikit-learn", "cluster")
