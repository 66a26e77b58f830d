"""Bands of pw.x, from whichever of its files is given."""

from pathlib import Path

from deeppseudopot_jax.errors import InputError
from deeppseudopot_jax.toolkit.convert.espresso_xml import Spin, read_xml
from deeppseudopot_jax.toolkit.convert.source import SourceBands

XML_NAME = "data-file-schema.xml"


def read_espresso(
    source: Path, spin: Spin | None = None, input_file: Path | None = None
) -> SourceBands:
    """The bands that pw.x has computed.

    Args:
        source: `data-file-schema.xml` or another XML output, or a `.save` folder.
        spin: whose levels to take where the calculation is spin-polarised.
        input_file: the input of pw.x, for names of k-points.

    Raises:
        InputError: if the file cannot be used.
    """
    path = source / XML_NAME if source.is_dir() else source
    if not path.is_file():
        raise InputError(f"{path}: there is no such file")
    return read_xml(path, spin)
