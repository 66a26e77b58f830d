"""The command line of `new`."""

from pathlib import Path
from typing import Annotated

import typer

from deeppseudopot_jax.run.console import errors_told
from deeppseudopot_jax.toolkit.new.bundle import new_bundle

EXAMPLE = "Example: deeppseudopot new silicon --structure Si.cif"

Folder = Annotated[
    Path, typer.Argument(metavar="FOLDER", help="Folder to write to; nothing is overwritten.")
]
StructureFile = Annotated[
    Path, typer.Option("--structure", metavar="FILE", help="Crystal structure, read by ASE.")
]
Points = Annotated[int, typer.Option(min=2, help="k-points along the standard path.")]


def new_command(folder: Folder, structure: StructureFile, k_points: Points = 60) -> None:
    """Write a commented bundle to start from, and tell what is missing."""
    with errors_told():
        print(new_bundle(folder, structure, k_points))
