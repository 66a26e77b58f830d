"""Bands of pw.x, from whichever of its files is given."""

from codecs import BOM_UTF8
from pathlib import Path

from deeppseudopot_jax.errors import InputError
from deeppseudopot_jax.toolkit.convert.espresso_text import read_output
from deeppseudopot_jax.toolkit.convert.espresso_xml import read_xml
from deeppseudopot_jax.toolkit.convert.espresso_xml_file import Spin
from deeppseudopot_jax.toolkit.convert.source import SourceBands

XML_NAME = "data-file-schema.xml"


def read_espresso(
    source: Path, spin: Spin | None = None, input_file: Path | None = None
) -> SourceBands:
    """The bands that pw.x has computed.

    Args:
        source: a `.save` folder or its `data-file-schema.xml`, or the printed output of pw.x.
        spin: whose levels to take where the calculation is spin-polarised.
        input_file: the input of pw.x, whose comments name k-points.

    Raises:
        InputError: if the file cannot be used.
        UnsupportedError: if the output is a text, and ASE is not installed.
    """
    path = source / XML_NAME if source.is_dir() else source
    if not path.is_file():
        raise InputError(f"{path}: there is no such file")
    with path.open("rb") as file:
        is_xml = file.read(64).removeprefix(BOM_UTF8).lstrip().startswith(b"<")
    return (read_xml if is_xml else read_output)(path, spin, input_file)
