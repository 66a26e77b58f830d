"""Options that all converters have."""

from pathlib import Path
from typing import Annotated

import typer

from deeppseudopot_jax.toolkit.convert.options import VALENCE_TOP

BundleFolder = Annotated[
    Path, typer.Argument(metavar="BUNDLE", help="Folder to write to; created if absent.")
]
DropLowest = Annotated[
    int, typer.Option(metavar="N", help="Leave the N lowest levels of the calculation out.")
]
Bands = Annotated[
    int | None,
    typer.Option(metavar="N", help="Keep N levels above those that are left out, else all."),
]
MissingLowest = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        help="The file lacks the N lowest levels: columns of 0 without weight, unless dropped.",
    ),
]
Every = Annotated[
    int, typer.Option(metavar="N", help="Keep every Nth k-point, and the ends of straight pieces.")
]
Scissor = Annotated[
    float, typer.Option(metavar="EV", help="Raise the levels above the gap by this energy.")
]
ScissorAbove = Annotated[
    float | None,
    typer.Option(metavar="EV", help="Raise the levels above this energy of the source instead."),
]
ValenceTop = Annotated[
    float | None,
    typer.Option(
        metavar="EV",
        help=f"Where to put the highest valence level. [default: {VALENCE_TOP:g}, if it is known]",
    ),
]
Shift = Annotated[
    float | None,
    typer.Option(
        metavar="EV", help="Add this to the source's energies instead; 0 keeps its zero of energy."
    ),
]
