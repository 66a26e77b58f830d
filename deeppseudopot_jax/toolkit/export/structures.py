"""Crystals as POSCAR and as extended xyz, by ASE's writers."""

from pathlib import Path
from typing import Any

from deeppseudopot_jax.files.atomic import atomic_path
from deeppseudopot_jax.toolkit.extras import needed
from deeppseudopot_jax.types import SystemInput
from deeppseudopot_jax.units import BOHR_IN_ANGSTROM

FORMATS = {"POSCAR_{}": "vasp", "system_{}.xyz": "extxyz"}
"""Name of a file, with the index of a system, and ASE's name of its format."""
_PURPOSE = "writing structures (name other parts to do without)"


def check_ase() -> None:
    """Refuse before anything is computed where nothing can be written.

    Raises:
        UnsupportedError: if ASE is not installed.
    """
    needed("ase.io", _PURPOSE, "ASE", "bundles")


def write_structures(system: SystemInput, folder: Path) -> list[Path]:
    """POSCAR_<X> and system_<X>.xyz of a system, in Angstrom; returns the files.

    Raises:
        UnsupportedError: if ASE is not installed.
    """
    write = needed("ase.io", _PURPOSE, "ASE", "bundles").write
    atoms = _atoms(system)
    paths = []
    for name, file_format in FORMATS.items():
        path = folder / name.format(system.index)
        options = {"direct": True} if file_format == "vasp" else {}
        with atomic_path(path) as temporary:
            write(temporary, atoms, format=file_format, **options)
        paths.append(path)
    return paths


def _atoms(system: SystemInput) -> Any:
    ase = needed("ase", _PURPOSE, "ASE", "bundles")
    crystal = system.crystal
    return ase.Atoms(
        symbols=crystal.symbols,
        cell=crystal.lattice * BOHR_IN_ANGSTROM,
        scaled_positions=crystal.fractional_positions,
        pbc=True,
        info={"name": system.name},
    )
