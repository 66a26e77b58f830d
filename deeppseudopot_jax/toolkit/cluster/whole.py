"""Potentials in, families out: the table for people, the one for programs, and figures."""

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from deeppseudopot_jax.errors import InputError, ResultsError
from deeppseudopot_jax.files.atomic import ResultsFolder, atomic_path
from deeppseudopot_jax.files.results.clusters import ClusterPlot
from deeppseudopot_jax.files.results.painter import Drawing, Here
from deeppseudopot_jax.toolkit.cluster.families import METHODS, Families, families_of
from deeppseudopot_jax.toolkit.cluster.features import Features, features_of
from deeppseudopot_jax.toolkit.cluster.sources import Fitted, fitted_potentials

_COLUMNS = ("name", "cost", "cluster", "PC1", "PC2", "silhouette", "is_medoid", "is_lowest")


def cluster_potentials(
    target: Path,
    sources: Sequence[Path],
    method: str = "kmeans",
    n_clusters: int | None = None,
    q_max: float | None = None,
    overwrite: bool = False,
) -> str:
    """Find families among fitted potentials and write them to a folder; returns what was found.

    Args:
        target: the folder; it gets clusters.dat, clusters.csv and clusters_plotPCA and
            clusters_plotPP as PDF and PNG.
        sources: files and folders, as `fitted_potentials` reads them.
        method: `kmeans` or `hierarchical`.
        n_clusters: by silhouette where None.
        q_max: the largest q that counts, in Bohr^-1; the whole common range where None.
        overwrite: whether `target` may hold files.

    Raises:
        BundleError: if a file is no table of v(q).
        InputError: if there are fewer than three potentials, they do not belong together, or an
            argument is not legal.
        ResultsError: if `target` cannot be written to, or a source is damaged.
        UnsupportedError: if scikit-learn is not installed.
    """
    if method not in METHODS:
        raise InputError(f"--method: found '{method}'; legal: {', '.join(METHODS)}")
    if any(target.resolve() == source.resolve() for source in sources):
        raise ResultsError(f"{target} is one of the sources: choose another folder")
    folder = ResultsFolder(target, overwrite=overwrite)
    potentials = fitted_potentials(sources)
    costs = np.array([potential.cost for potential in potentials])
    features = features_of(potentials, q_max)
    families = families_of(features.rows, costs, method, n_clusters)
    told = _summary(potentials, features, families, method, n_clusters, q_max)
    _write_table(folder.file("clusters.dat"), told, potentials, families)
    _write_csv(folder.file("clusters.csv"), potentials, families)
    plot = ClusterPlot(
        families.components[:, :2], families.explained[:2], families.labels,
        families.medoids, costs, families.lowest,
    )  # fmt: skip
    drawings = {
        "PCA": ("cluster_map_figure", (plot,)),
        "PP": (
            "cluster_potential_figure",
            (features.q, features.v_q, features.species, plot),
        ),
    }
    for name, (figure, arguments) in drawings.items():
        paths = tuple(folder.file(f"clusters_plot{name}.{suffix}") for suffix in ("pdf", "png"))
        Here().paint(Drawing(figure, arguments, paths))
    return "\n".join([*told, *_table(potentials, families), f"Tables and figures are in {target}"])


def _summary(
    potentials: Sequence[Fitted],
    features: Features,
    families: Families,
    method: str,
    n_clusters: int | None,
    q_max: float | None,
) -> list[str]:
    """What was compared and what came out, in sentences."""
    q, explained = features.q, 100.0 * families.explained[:2]
    lines = [
        f"{len(potentials)} potentials of {' '.join(features.species)}, compared at {len(q)} q "
        f"from {q[0]:g} to {q[-1]:g} Bohr^-1",
        f"The first two principal components have {explained[0]:.1f} % and {explained[1]:.1f} % "
        "of the variance",
    ]
    if q_max is None:
        lines.append(
            "note: the whole range of the tables counts; bands see v(q) up to 2 sqrt(2 maxKE), "
            "see --q-max"
        )
    unknown = sum(not np.isfinite(potential.cost) for potential in potentials)
    if unknown:
        lines.append(f"note: the cost of {unknown} of them is not known")
    return lines + _verdict(families, method, n_clusters)


def _verdict(families: Families, method: str, n_clusters: int | None) -> list[str]:
    """How many clusters there are, and whether there are any."""
    if not families.tried:
        return ["One cluster of all, as asked"] if n_clusters == 1 else ["One cluster of all"]
    best = max(families.tried, key=lambda n: families.tried[n])
    found = f"{families.tried[best]:.2f}"
    chance = f"clouds of points without structure reach {families.by_chance:.2f}"
    if families.is_significant:
        return [f"{best} clusters ({method}): mean silhouette {found}, {chance}"]
    if n_clusters is None:
        return [
            f"No clusters: the largest mean silhouette is {found}, of {best} clusters ({method}), "
            f"and {chance}"
        ]
    return [f"{best} clusters as asked, but no structure: mean silhouette {found}, and {chance}"]


def _table(potentials: Sequence[Fitted], families: Families) -> list[str]:
    """One line per cluster."""
    names = [potential.name for potential in potentials]
    widths = max(map(len, names))
    lines = [
        f"{'cluster':>7} {'size':>5} {'lowest cost':>12} {'highest':>12} {'spread':>7} "
        f"{'silhouette':>10}  {'medoid':{widths}}  {'of lowest cost':{widths}}"
    ]
    for cluster, (medoid, lowest) in enumerate(zip(families.medoids, families.lowest, strict=True)):
        members = np.flatnonzero(families.labels == cluster).tolist()
        costs = [potentials[i].cost for i in members if np.isfinite(potentials[i].cost)]
        low, high = (f"{min(costs):.6g}", f"{max(costs):.6g}") if costs else ("-", "-")
        silhouette = float(np.mean(families.silhouettes[members]))
        lines.append(
            f"{cluster + 1:7d} {len(members):5d} {low:>12} {high:>12} "
            f"{families.spreads[cluster]:7.3f} {_number(silhouette, 3):>10}  "
            f"{names[medoid]:{widths}}  {names[lowest] if lowest >= 0 else '-'}"
        )
    return lines


def _write_table(
    path: Path, told: Sequence[str], potentials: Sequence[Fitted], families: Families
) -> None:
    """clusters.dat: what was found, and a line per cluster; costs in eV^2."""
    head, *rows = _table(potentials, families)
    tried = ", ".join(f"{n}: {value:.3f}" for n, value in families.tried.items())
    comments = [*told, *([f"mean silhouettes by number of clusters: {tried}"] if tried else [])]
    comments += ["costs in eV^2; spread: root mean square distance from the mean, all together 1"]
    with atomic_path(path) as temporary:
        text = "".join(f"# {line}\n" for line in [*comments, head])
        temporary.write_text(text + "".join(f"  {row}\n" for row in rows), encoding="utf-8")


def _write_csv(path: Path, potentials: Sequence[Fitted], families: Families) -> None:
    """clusters.csv: one row per potential; what is not known is empty."""
    with (
        atomic_path(path) as temporary,
        temporary.open("w", encoding="utf-8", newline="") as file,
    ):
        table = csv.writer(file, lineterminator="\n")
        table.writerow(_COLUMNS)
        for i, potential in enumerate(potentials):
            cluster = families.labels[i]
            table.writerow([
                potential.name, _number(potential.cost, 10), cluster + 1,
                *(f"{x:.8f}" for x in families.components[i, :2]),
                _number(families.silhouettes[i], 6), int(families.medoids[cluster] == i),
                int(families.lowest[cluster] == i),
            ])  # fmt: skip


def _number(value: float, digits: int) -> str:
    return f"{value:.{digits}g}" if np.isfinite(value) else ""
