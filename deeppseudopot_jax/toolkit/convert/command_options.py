"""Options that all converters have."""

from pathlib import Path
from typing import Annotated

import typer

from deeppseudopot_jax.errors import InputError
from deeppseudopot_jax.toolkit.convert.options import VALENCE_TOP

BundleFolder = Annotated[
    Path, typer.Argument(metavar="BUNDLE", help="Folder to write to; created if absent.")
]
DropLowest = Annotated[
    int, typer.Option(metavar="N", help="Leave the N lowest levels of the calculation out.")
]
Drop = Annotated[
    str | None,
    typer.Option(
        metavar="FIRST:END",
        help="Leave these filled levels out too, from 0 without END: d levels between s and p.",
    ),
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
        help=f"Where to put the highest valence level; {VALENCE_TOP:g} without this.",
    ),
]
Shift = Annotated[
    float | None,
    typer.Option(
        metavar="EV", help="Add this to the source's energies instead; 0 keeps its zero of energy."
    ),
]


def level_range(text: str | None) -> tuple[int, int] | None:
    """First level and end of what --drop says.

    Raises:
        InputError: if these are not two whole numbers.
    """
    if text is None:
        return None
    try:
        first, end = map(int, text.split(":"))
    except ValueError:
        raise InputError(f"--drop {text}: legal is FIRST:END, such as 5:10") from None
    return first, end
