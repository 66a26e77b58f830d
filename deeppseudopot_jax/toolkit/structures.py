"""Crystal structures in files: system_X.par, and what ASE reads and writes."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np

from deeppseudopot_jax.errors import InputError
from deeppseudopot_jax.files.atomic import atomic_path
from deeppseudopot_jax.files.bundle.crystal import read_crystal as read_crystal_document
from deeppseudopot_jax.files.bundle.text import document_of, read_alone
from deeppseudopot_jax.files.bundle.writing import system_text
from deeppseudopot_jax.files.findings import Findings
from deeppseudopot_jax.toolkit.extras import needed
from deeppseudopot_jax.types import Crystal
from deeppseudopot_jax.units import BOHR_IN_ANGSTROM

BUNDLE_SUFFIX = ".par"


def read_crystal(path: Path) -> Crystal:
    """The crystal in system_X.par, or in any other file that ASE knows.

    Raises:
        InputError: if the file cannot be read, or is no crystal.
        BundleError: if a system_X.par is wrong.
        UnsupportedError: if ASE is needed and not installed.
    """
    if path.suffix != BUNDLE_SUFFIX:
        return crystal_of(read_atoms(path))
    return read_alone(path, read_crystal_document)


def read_atoms(path: Path, file_format: str | None = None) -> Any:
    """The periodic structure in a file that ASE knows, as ase.Atoms.

    `file_format` is ASE's name for it; by default ASE finds it out.

    Raises:
        InputError: if the file cannot be read, or is no crystal.
        UnsupportedError: if ASE is not installed.
    """
    ase = needed("ase", "reading a structure", "ASE", "bundles")
    read = needed("ase.io", "reading a structure", "ASE", "bundles").read
    if not path.is_file():
        raise InputError(f"{path}: there is no such file")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of ASE, about formats that it tries
            atoms = read(path, format=file_format)
    except Exception as error:  # every format raises its own
        raise InputError(f"{path}: ASE cannot read it: {error or type(error).__name__}") from error
    if not isinstance(atoms, ase.Atoms) or len(atoms) == 0 or not has_volume(atoms):
        raise InputError(f"{path}: a crystal needs atoms and three lattice vectors")
    if not all(atoms.pbc):
        raise InputError(f"{path}: a crystal is periodic along all three lattice vectors")
    return atoms


def has_volume(atoms: Any) -> bool:
    """Whether the lattice vectors of ase.Atoms are independent, and finite."""
    with np.errstate(all="ignore"):
        return bool(0.0 < atoms.cell.volume < np.inf)


def crystal_of(atoms: Any) -> Crystal:
    """The crystal of ase.Atoms, positions as they are there."""
    lattice = np.array(atoms.cell) / BOHR_IN_ANGSTROM
    symbols = tuple(atoms.get_chemical_symbols())
    return Crystal(lattice, atoms.get_scaled_positions(wrap=False), symbols)


def check_crystal(crystal: Crystal) -> None:
    """Whether the reader of system_X.par takes a crystal: cell, places and distances of atoms.

    Raises:
        InputError: if it does not.
    """
    findings = Findings()
    with np.errstate(over="ignore"):
        text = system_text(crystal, 1.0)
    read_crystal_document(document_of("the crystal", text, findings))
    if findings.problems:
        raise InputError(findings.problems[0].at(""))


def atoms_of(crystal: Crystal) -> Any:
    """The crystal as ase.Atoms.

    Raises:
        InputError: if ASE does not know one of the elements.
        UnsupportedError: if ASE is not installed.
    """
    ase = needed("ase", "a structure of ASE", "ASE", "bundles")
    lattice = crystal.lattice * BOHR_IN_ANGSTROM
    positions = crystal.fractional_positions @ lattice
    try:
        return ase.Atoms(crystal.symbols, positions=positions, cell=lattice, pbc=True)
    except KeyError as error:
        raise InputError(f"ASE does not know the element {error.args[0]}") from error


def writable_format(path: Path) -> str:
    """The name that ASE has for the format which the name of a file asks for.

    Raises:
        InputError: if there is none that ASE can write.
        UnsupportedError: if ASE is not installed.
    """
    formats = needed("ase.io.formats", "writing a structure", "ASE", "bundles")
    try:
        name = str(formats.filetype(str(path), read=False))
        if formats.ioformats[name].can_write:
            return name
    except (formats.UnknownFileTypeError, KeyError):
        pass
    legal = "system_X.par, POSCAR, .cif, .xyz and others of ASE"
    raise InputError(f"{path}: no format of structures has this name; legal: {legal}")


def write_atoms(crystal: Crystal, path: Path, file_format: str) -> None:
    """Write a crystal in a format of ASE.

    Raises:
        InputError: if ASE cannot write this crystal in that format.
        ResultsError: if the file cannot be written.
    """
    atoms = atoms_of(crystal)
    with atomic_path(path) as temporary:
        try:
            atoms.write(temporary, format=file_format)
        except OSError:
            raise
        except Exception as error:  # every format raises its own
            raise InputError(f"{path}: ASE cannot write it as {file_format}: {error}") from error
