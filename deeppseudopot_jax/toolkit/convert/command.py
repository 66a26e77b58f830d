"""The command line of `convert`."""

from pathlib import Path
from typing import Annotated

import typer

from deeppseudopot_jax.run.console import Overwrite, errors_told
from deeppseudopot_jax.toolkit.convert.bundle import write_bundle
from deeppseudopot_jax.toolkit.convert.command_berkeley_gw import BGW_EXAMPLE, bgw_command
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
from deeppseudopot_jax.toolkit.convert.espresso import read_espresso
from deeppseudopot_jax.toolkit.convert.espresso_xml_file import Spin
from deeppseudopot_jax.toolkit.convert.options import ConversionOptions

QE_EXAMPLE = (
    "Example: deeppseudopot convert qe out/gaas.save gaas --input gaas.bands.in --drop-lowest 10"
    "\n\nThat is GaAs with spin-orbit coupling, whose ten lowest levels are Ga 3d."
)

convert_app = typer.Typer(
    no_args_is_help=True, help="Make a complete bundle of the bands of another program."
)
convert_app.command("bgw", epilog=BGW_EXAMPLE)(bgw_command)

EspressoSource = Annotated[
    Path,
    typer.Argument(
        metavar="SOURCE", help="data-file-schema.xml, a .save folder, or the output of pw.x."
    ),
]
EspressoInput = Annotated[
    Path | None,
    typer.Option("--input", metavar="FILE", help="Input of pw.x: its comments name k-points."),
]
SpinOption = Annotated[
    Spin | None, typer.Option(help="Whose levels to take of a spin-polarised calculation.")
]


@convert_app.command("qe", epilog=QE_EXAMPLE)
def qe_command(
    source: EspressoSource,
    bundle: BundleFolder,
    input_file: EspressoInput = None,
    spin: SpinOption = None,
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
    """Bands of pw.x (Quantum ESPRESSO) as a bundle that run takes as it is."""
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
        print(write_bundle(read_espresso(source, spin, input_file), bundle, options, overwrite))
