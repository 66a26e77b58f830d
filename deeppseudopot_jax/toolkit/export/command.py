"""The command line of `export`."""

from typing import Annotated

import typer

from deeppseudopot_jax.run.console import (
    Inputs,
    NoCache,
    Overwrite,
    Potential,
    Target,
    computing,
    errors_told,
)
from deeppseudopot_jax.toolkit.export.real_space import MOST_POINTS
from deeppseudopot_jax.toolkit.export.writing import EVERYTHING, Part, export_potential

EXAMPLE = (
    "Example: deeppseudopot export inputs exported --potential results"
    "\n\nWithout --potential the potential is that of INPUTS: init_PPmodel.pth for a network, and "
    "init_<atom>Params.par for PPmodel = ZeroFunction and for a4 to a8."
    "\n\nform_factors.py is used as: from form_factors import form_factor; form_factor('Ga', 1.5)"
)

Parts = Annotated[
    list[Part] | None,
    typer.Argument(
        metavar="[PART]...",
        help=f"What to write, of {', '.join(EVERYTHING)}; everything by default.",
    ),
]
QMax = Annotated[float | None, typer.Option(help="End of tables of v(q), Bohr^-1. Default: qmax.")]
NQ = Annotated[int | None, typer.Option("--n-q", min=2, help="Points of v(q). Default: nQGrid.")]
RMax = Annotated[float | None, typer.Option(help="End of tables of v(r), Bohr. Default: Rmax.")]
NR = Annotated[
    int | None,
    typer.Option("--n-r", min=2, max=MOST_POINTS, help="Points of v(r). Default: nRGrid."),
]


def export_command(
    inputs: Inputs,
    target: Target,
    parts: Parts = None,
    potential: Potential = None,
    q_max: QMax = None,
    n_q: NQ = None,
    r_max: RMax = None,
    n_r: NR = None,
    overwrite: Overwrite = False,
    no_cache: NoCache = False,
) -> None:
    """Write a potential in the forms that other programs take."""
    with errors_told(), computing(no_cache):
        for line in export_potential(
            inputs,
            target,
            potential,
            parts or EVERYTHING,
            overwrite,
            q_max=q_max,
            n_q=n_q,
            r_max=r_max,
            n_r=n_r,
        ):
            print(line)
