"""The command line of `convert bgw`."""

from pathlib import Path
from typing import Annotated

import typer

from deeppseudopot_jax.run.console import Overwrite, errors_told
from deeppseudopot_jax.toolkit.convert.berkeley_gw import Energies, read_berkeley_gw
from deeppseudopot_jax.toolkit.convert.bundle import write_bundle
from deeppseudopot_jax.toolkit.convert.command_options import (
    Bands,
    BundleFolder,
    Drop,
    DropLowest,
    Every,
    MissingLowest,
    Scissor,
    ScissorAbove,
    Shift,
    ValenceTop,
    level_range,
)
from deeppseudopot_jax.toolkit.convert.espresso_xml_file import Spin
from deeppseudopot_jax.toolkit.convert.options import ConversionOptions

BGW_EXAMPLE = (
    "Example: deeppseudopot convert bgw bandstructure.dat si --structure si.save "
    "--path-input bands.in"
)

Source = Annotated[
    Path,
    typer.Argument(metavar="SOURCE", help="bandstructure.dat, eqp.dat, eqp0.dat or eqp1.dat."),
]
StructureFile = Annotated[
    Path,
    typer.Option(
        "--structure",
        metavar="FILE",
        help="The crystal of the calculation: data-file-schema.xml or its .save folder, an input "
        "of pw.x, system_X.par, or a structure that ASE reads.",
    ),
]
EnergiesOption = Annotated[
    Energies, typer.Option(help="Quasiparticle energies, or those of the mean field.")
]
SpinOption = Annotated[
    Spin | None, typer.Option(help="Whose levels to take of a spin-polarised calculation.")
]
SpinorOption = Annotated[
    bool | None,
    typer.Option(
        "--spinor/--no-spinor",
        help="Every level is one state (spin-orbit coupling), or holds spin up and down; needed "
        "where no file tells.",
    ),
]
Electrons = Annotated[
    float | None,
    typer.Option(
        metavar="N",
        help="Electrons per cell, with semicore ones; twice those of --spin. Without it those of "
        "the XML file, or of outer s and p shells.",
    ),
]
PathInput = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Input of pw.x for the path (K_POINTS crystal_b or crystal): its k-points have all "
        "digits, its comments name them.",
    ),
]


def bgw_command(
    source: Source,
    bundle: BundleFolder,
    structure: StructureFile,
    energies: EnergiesOption = "eqp",
    spin: SpinOption = None,
    spinor: SpinorOption = None,
    electrons: Electrons = None,
    path_input: PathInput = None,
    drop_lowest: DropLowest = 0,
    drop: Drop = None,
    bands: Bands = None,
    missing_lowest: MissingLowest = None,
    every: Every = 1,
    scissor: Scissor = 0.0,
    scissor_above: ScissorAbove = None,
    valence_top: ValenceTop = None,
    shift: Shift = None,
    overwrite: Overwrite = False,
) -> None:
    """Bands of BerkeleyGW as a bundle that run takes as it is."""
    with errors_told():
        options = ConversionOptions(
            drop_lowest,
            bands,
            missing_lowest,
            every,
            scissor,
            scissor_above,
            valence_top,
            shift,
            level_range(drop),
        )
        found = read_berkeley_gw(source, structure, energies, spin, spinor, electrons, path_input)
        print(write_bundle(found, bundle, options, overwrite))
