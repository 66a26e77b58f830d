"""The command line of `primitive`."""

from pathlib import Path
from typing import Annotated

import typer

from deeppseudopot_jax.run.console import Overwrite, errors_told
from deeppseudopot_jax.toolkit.paths import PathSource
from deeppseudopot_jax.toolkit.primitive.files import TOLERANCE, write_primitive

EXAMPLE = (
    "Example: deeppseudopot primitive POSCAR gaas/system_0.par --path seekpath"
    "\n\nExample: deeppseudopot primitive old/system_0.par new/system_0.par "
    "--k-points old/kpoints_0.par"
)

Source = Annotated[
    Path, typer.Argument(metavar="SOURCE", help="system_X.par, or a structure that ASE reads.")
]
Target = Annotated[
    Path,
    typer.Argument(
        metavar="TARGET", help="system_X.par, or POSCAR, name.cif, name.xyz, ..., by ASE."
    ),
]
KPoints = Annotated[
    Path | None,
    typer.Option(
        "--k-points",
        metavar="FILE",
        help="kpoints_X.par of SOURCE: the same Cartesian k are written beside TARGET.",
    ),
]
StandardPathOf = Annotated[
    PathSource | None,
    typer.Option("--path", help="Write this package's standard path as kpoints_X.par."),
]
Points = Annotated[int, typer.Option("--n-points", min=2, help="k-points of --path, about.")]
Tolerance = Annotated[
    float,
    typer.Option(
        "--symprec", min=1e-8, help="How far atoms may be from where translations put them, Bohr."
    ),
]


def primitive_command(
    source: Source,
    target: Target,
    k_points: KPoints = None,
    path: StandardPathOf = None,
    n_points: Points = 60,
    symprec: Tolerance = TOLERANCE,
    overwrite: Overwrite = False,
) -> None:
    """Reduce a crystal to its primitive cell, and k-points to its fractions."""
    with errors_told():
        print(write_primitive(source, target, k_points, path, n_points, symprec, overwrite))
