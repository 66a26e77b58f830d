"""The command line of `plot`."""

from pathlib import Path
from typing import Annotated

import typer

from deeppseudopot_jax.run.console import (
    Inputs,
    NoCache,
    Overwrite,
    Potential,
    computing,
    errors_told,
)
from deeppseudopot_jax.toolkit.plot.bands import plot_bands
from deeppseudopot_jax.toolkit.plot.costs import plot_costs
from deeppseudopot_jax.toolkit.plot.hamiltonian import plot_hamiltonian
from deeppseudopot_jax.toolkit.plot.potentials import plot_potentials

BANDS_EXAMPLE = (
    "Example: deeppseudopot plot bands bands.pdf results/initZunger_BS_sys0.dat "
    "results/final_BS_sys0.dat --inputs my_bundle"
    "\n\nWithout --inputs rows stand at the path lengths of the files, and expBandStruct_X.par may "
    "be among them."
)
POTENTIALS_EXAMPLE = (
    "Example: deeppseudopot plot potentials potentials.svg run_1 run_2 "
    "run_3/epoch_20_qSpace_pot.dat --label first --label second --label early"
)
COST_EXAMPLE = "Example: deeppseudopot plot cost costs.png run_1 run_2 run_3"
HAMILTONIAN_EXAMPLE = (
    "Example: deeppseudopot plot hamiltonian terms.pdf my_bundle --potential results --k-point 0 "
    "--k-point 12 --block 0:40 --spin up-down"
    "\n\nBeside FIGURE it writes <stem>_energies.<format> and <stem>_energies.dat: what every "
    "term adds to every band."
)

FigureFile = Annotated[
    Path, typer.Argument(metavar="FIGURE", help="File to write: .svg, .pdf or .png.")
]
Labels = Annotated[
    list[str] | None,
    typer.Option("--label", metavar="NAME", help="Name in the legend, once for each in order."),
]
System = Annotated[int, typer.Option(min=0, help="System of the bundle.")]

plot_app = typer.Typer(no_args_is_help=True, help="Figures of files that are there.")


@plot_app.command("bands", epilog=BANDS_EXAMPLE)
def bands_command(
    figure: FigureFile,
    files: Annotated[
        list[Path] | None, typer.Argument(metavar="FILE...", help="Tables of bands.")
    ] = None,
    inputs: Annotated[
        Path | None, typer.Option(metavar="BUNDLE", help="Reference, k-points, edges and windows.")
    ] = None,
    system: System = 0,
    valence_band: Annotated[
        int | None, typer.Option(min=0, help="Highest occupied band, from 0; without --inputs.")
    ] = None,
    label: Labels = None,
    overwrite: Overwrite = False,
) -> None:
    """Band structures: all bands, and the surroundings of the gap."""
    with errors_told():
        _tell(plot_bands(figure, files or [], inputs, system, valence_band, label or (), overwrite))


@plot_app.command("potentials", epilog=POTENTIALS_EXAMPLE)
def potentials_command(
    figure: FigureFile,
    sources: Annotated[
        list[Path],
        typer.Argument(metavar="SOURCE...", help="*_qSpace_pot.dat files or results folders."),
    ],
    label: Labels = None,
    overwrite: Overwrite = False,
) -> None:
    """Potentials v(q) and v(r) of several fits."""
    with errors_told():
        _tell(plot_potentials(figure, sources, label or (), overwrite))


@plot_app.command("cost", epilog=COST_EXAMPLE)
def cost_command(
    figure: FigureFile,
    results: Annotated[
        list[Path], typer.Argument(metavar="RESULTS...", help="Results folders of runs.")
    ],
    label: Labels = None,
    overwrite: Overwrite = False,
) -> None:
    """Costs of several runs over epochs and iterations."""
    with errors_told():
        _tell(plot_costs(figure, results, label or (), overwrite))


@plot_app.command("hamiltonian", epilog=HAMILTONIAN_EXAMPLE)
def hamiltonian_command(
    figure: FigureFile,
    inputs: Inputs,
    potential: Potential = None,
    system: System = 0,
    k_point: Annotated[
        list[int] | None, typer.Option(min=0, help="Index of a k-point; 0 where none is given.")
    ] = None,
    block: Annotated[
        str | None,
        typer.Option(
            metavar="START:STOP",
            help="Plane waves of rows and columns, or START:STOP,START:STOP; 0:30 by default.",
        ),
    ] = None,
    spin: Annotated[
        str, typer.Option(help="Spins of rows and columns: up-up, up-down, down-up, down-down.")
    ] = "up-up",
    overwrite: Overwrite = False,
    no_cache: NoCache = False,
) -> None:
    """Matrices of the terms of H, and what every term adds to the bands."""
    with errors_told(), computing(no_cache):
        _tell(
            plot_hamiltonian(
                figure, inputs, potential, system, k_point or (0,), block, spin, overwrite
            )
        )


def _tell(written: list[Path]) -> None:
    print(*written, sep="\n")
