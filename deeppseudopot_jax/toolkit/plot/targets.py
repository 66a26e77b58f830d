"""Where a figure goes and what it shows: looked at before anything is computed."""

from pathlib import Path

from deeppseudopot_jax.errors import InputError, ResultsError
from deeppseudopot_jax.toolkit.targets import refuse_existing

FORMATS = (".svg", ".pdf", ".png")


def check_figure(figure: Path, overwrite: bool, beside: tuple[Path, ...] = ()) -> None:
    """Refuse what cannot be written.

    Args:
        figure: a file whose suffix names its format.
        overwrite: whether files may be replaced.
        beside: other files that are written with it.

    Raises:
        InputError: if the format is none of `FORMATS`.
        ResultsError: if one of the files is there already, or their folder is not.
    """
    if figure.suffix not in FORMATS:
        raise InputError(
            f"{figure}: found the format '{figure.suffix}'; legal: a name that ends in "
            f"{', '.join(FORMATS)}"
        )
    if not figure.parent.is_dir():
        raise ResultsError(f"{figure}: there is no folder {figure.parent}")
    refuse_existing((figure, *beside), overwrite)


def check_index(option: str, index: int, size: int, owner: str) -> None:
    """Refuse an index that `owner` has not.

    Raises:
        InputError: naming the option and what is legal.
    """
    if not 0 <= index < size:
        raise InputError(f"{option}: found {index}; legal: 0 to {size - 1}, of {owner}")
