"""What a table of levels does not say: the crystal, and how the calculation counted electrons."""

import re
from dataclasses import dataclass
from pathlib import Path

from deeppseudopot_jax.errors import InputError
from deeppseudopot_jax.files.regular import TEXT_LIMIT, read_regular
from deeppseudopot_jax.toolkit.convert.espresso import read_espresso
from deeppseudopot_jax.toolkit.convert.espresso_xml_file import Spin
from deeppseudopot_jax.toolkit.structures import crystal_of, read_atoms, read_crystal
from deeppseudopot_jax.types import Crystal

_NAMELIST = re.compile(r"^\s*&system\b", re.IGNORECASE | re.MULTILINE)


@dataclass(frozen=True, eq=False)
class Calculation:
    """The crystal of a calculation, and what its file tells besides.

    Attributes:
        crystal: as it lies in space there.
        is_spinor: whether levels are those of spinors; None where the file does not say.
        has_spin_orbit: whether spin-orbit coupling is in their energies; None as above.
        n_electrons: per cell, as `SourceBands` has them; None where the file does not say.
        is_its_own: whether the file is one of the calculation itself, whose axes are certain.
    """

    crystal: Crystal
    is_spinor: bool | None = None
    has_spin_orbit: bool | None = None
    n_electrons: float | None = None
    is_its_own: bool = False


def read_calculation(path: Path, spin: Spin | None = None) -> Calculation:
    """The calculation behind a table of levels.

    Args:
        path: data-file-schema.xml or its .save folder, an input of pw.x, system_X.par, or any
            structure that ASE reads.
        spin: of the levels, which a spin-polarised XML file needs for its electrons.

    Raises:
        InputError: if it is no crystal.
        BundleError: if a system_X.par is wrong.
        UnsupportedError: if ASE is needed and not installed.
    """
    if path.is_dir() or path.suffix == ".xml":
        bands = read_espresso(path, spin)
        return Calculation(
            bands.crystal, bands.is_spinor, bands.has_spin_orbit, bands.n_electrons, is_its_own=True
        )
    if not path.is_file():
        raise InputError(f"{path}: there is no such file")
    text = read_regular(path, TEXT_LIMIT).decode("utf-8", errors="replace")
    if _NAMELIST.search(text):
        is_spinor, has_spin_orbit = (_is_set(text, key) for key in ("noncolin", "lspinorb"))
        crystal = crystal_of(read_atoms(path, "espresso-in"))
        return Calculation(crystal, is_spinor, has_spin_orbit, is_its_own=True)
    return Calculation(read_crystal(path))


def _is_set(text: str, key: str) -> bool:
    """Whether a logical key of an input of pw.x is true; those that are absent are false."""
    pattern = rf"^[^!\n]*\b{key}\s*=\s*\.?t"
    return re.search(pattern, text, re.IGNORECASE | re.MULTILINE) is not None
