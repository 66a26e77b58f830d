"""The command line of `density`."""

from pathlib import Path
from typing import Annotated

import typer

from deeppseudopot_jax.run.console import (
    Inputs,
    NoCache,
    Overwrite,
    Potential,
    Results,
    computing,
    errors_told,
)
from deeppseudopot_jax.toolkit.density.bands import spelled
from deeppseudopot_jax.toolkit.density.density import ChargeDensity, Choice, charge_density
from deeppseudopot_jax.toolkit.density.files import Targets, targets_in, write_density
from deeppseudopot_jax.toolkit.density.k_points import KPoints
from deeppseudopot_jax.toolkit.extras import needed

EXAMPLE = (
    "Example: deeppseudopot density INPUTS RESULTS --potential FITTED --mesh 6 6 6 "
    "--line 'Ga0 As0'"
    "\n\nThat is the potential of a run, averaged over the Brillouin zone, along the bond of GaAs. "
    "The files are density_sys<X>.cube and .npz, and figures _plane and _line of the cuts."
)

States = Annotated[
    Path | None,
    typer.Option("--states", metavar="FILE", help="What eval --save-states has written."),
]
GridOption = Annotated[
    tuple[int, int, int] | None,
    typer.Option(
        "--grid",
        metavar="N1 N2 N3",
        help="Points along the lattice vectors, else as few as are exact.",
    ),
]
Mesh = Annotated[
    tuple[int, int, int] | None,
    typer.Option(
        "--mesh",
        metavar="N1 N2 N3",
        help="A mesh of k-points around Gamma instead of those of kpoints_X.par.",
    ),
]
HalfStep = Annotated[
    bool, typer.Option("--half-step", help="The mesh lies half a step beside Gamma.")
]
Bands = Annotated[
    str | None,
    typer.Option(
        "--bands", metavar="FIRST:END", help="Bands from 0, without END; else 0 to idxVB."
    ),
]
Band = Annotated[list[int] | None, typer.Option("--band", help="One band; may be repeated.")]
System = Annotated[int, typer.Option("--system", help="Number of the system.")]
PerBand = Annotated[bool, typer.Option("--per-band", help="Levels one by one too, in the npz.")]
PerK = Annotated[bool, typer.Option("--per-k", help="k-points one by one too, in the npz.")]
Symmetrize = Annotated[
    bool, typer.Option("--symmetrize", help="The k-points are an irreducible mesh: unfold it.")
]
PlaneOption = Annotated[
    str | None,
    typer.Option(
        "--plane",
        "--slice",
        help="Draw a plane: origin and two vectors as nine fractions, or Miller indices of the "
        "cell, '1 1 0'.",
    ),
]
LineOption = Annotated[
    str | None,
    typer.Option("--line", help="Draw a line: two points, as 'Ga0 As0' or '0 0 0 1 1 1'."),
]
Format = Annotated[str, typer.Option("--format", help="Of the figures: pdf, svg or png.")]


def density_command(
    inputs: Inputs,
    results: Results,
    potential: Potential = None,
    states: States = None,
    system: System = 0,
    bands: Bands = None,
    band: Band = None,
    mesh: Mesh = None,
    half_step: HalfStep = False,
    symmetrize: Symmetrize = False,
    grid: GridOption = None,
    per_band: PerBand = False,
    per_k: PerK = False,
    plane: PlaneOption = None,
    line: LineOption = None,
    image: Format = "pdf",
    overwrite: Overwrite = False,
    no_cache: NoCache = False,
) -> None:
    """Charge density of the occupied or of chosen bands: cube file, arrays, figures."""
    with errors_told(), computing(no_cache):
        targets = targets_in(
            inputs, results, system, plane is not None, line is not None, image, overwrite
        )
        needed("ase.io.cube", "writing a cube file", "ASE", "bundles")
        choice = Choice(
            system=system,
            bands=bands,
            single_bands=tuple(band or ()),
            grid=grid,
            k_points=KPoints(mesh, half_step, symmetrize),
            per_band=per_band,
            per_k=per_k,
            plane=plane,
            line=line,
        )
        density = charge_density(inputs, choice, potential, states)
        write_density(targets, density)
        print(_told(density, targets))


def _told(density: ChargeDensity, targets: Targets) -> str:
    """What was computed of what, and where it is."""
    shape = " x ".join(map(str, density.total.shape))
    written = ", ".join(str(path) for path in targets if path is not None)
    return "\n".join(
        [
            *density.remarks,
            f"Density of {spelled(density.bands)} on {shape} points: {density.integral:.10f} "
            f"electrons of {density.n_electrons:g}, {density.total.min():.4g} to "
            f"{density.total.max():.4g} e/Bohr^3",
            f"Written: {written}",
        ]
    )
