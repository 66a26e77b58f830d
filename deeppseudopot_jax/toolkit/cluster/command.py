"""The command line of `cluster`."""

from pathlib import Path
from typing import Annotated

import typer

from deeppseudopot_jax.run.console import Target, errors_told
from deeppseudopot_jax.toolkit.cluster.whole import cluster_potentials

EXAMPLE = (
    "Example: deeppseudopot cluster families run_1 run_2 ensemble monte_carlo --q-max 7"
    "\n\nA SOURCE is a *_qSpace_pot.dat file or a results folder: of an ensemble, whose members "
    "are taken; of a Monte Carlo run, whose replicas and potentials on the way are taken; or of "
    "another run, whose outcome is taken."
)

Sources = Annotated[
    list[Path], typer.Argument(metavar="SOURCE...", help="Tables of v(q) and results folders.")
]
Method = Annotated[str, typer.Option(help="kmeans or hierarchical (Ward).")]
Clusters = Annotated[
    int | None, typer.Option(min=1, help="Their number; by silhouette where it is not given.")
]
LargestQ = Annotated[
    float | None,
    typer.Option(help="Largest q that counts (Bohr^-1): 2 sqrt(2 maxKE) is what bands see."),
]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Allow files in TARGET; those of equal names go.")
]


def cluster_command(
    target: Target,
    sources: Sources,
    method: Method = "kmeans",
    clusters: Clusters = None,
    q_max: LargestQ = None,
    overwrite: Overwrite = False,
) -> None:
    """Families among many fitted potentials: principal components and clusters."""
    with errors_told():
        print(cluster_potentials(target, sources, method, clusters, q_max, overwrite))
