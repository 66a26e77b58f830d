"""The files of a density: cube, arrays, figures."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from deeppseudopot_jax.errors import InputError
from deeppseudopot_jax.files.atomic import ResultsFolder, atomic_path
from deeppseudopot_jax.files.disk import writing
from deeppseudopot_jax.files.results.painter import Drawing, Here
from deeppseudopot_jax.files.results.tables import write_arrays
from deeppseudopot_jax.toolkit.density.bands import spelled
from deeppseudopot_jax.toolkit.density.density import ChargeDensity
from deeppseudopot_jax.toolkit.extras import needed
from deeppseudopot_jax.toolkit.targets import refuse_existing
from deeppseudopot_jax.types import Crystal

FORMATS = ("pdf", "svg", "png")


class Targets(NamedTuple):
    """Where the files of a density go; figures that nobody has asked for are None."""

    cube: Path
    arrays: Path
    plane: Path | None
    line: Path | None


def targets_in(
    inputs: Path, folder: Path, system: int, plane: bool, line: bool, image: str, overwrite: bool
) -> Targets:
    """The names of the files, once none of them is there or may be replaced.

    Raises:
        ResultsError: naming a file that is there, or if `folder` is that of the inputs or cannot be
            written to.
        InputError: if no figure has that format.
    """
    if image not in FORMATS:
        raise InputError(f"--format: found {image!r}; legal: {', '.join(FORMATS)}")
    stem = f"density_sys{system}"
    targets = Targets(
        folder / f"{stem}.cube",
        folder / f"{stem}.npz",
        folder / f"{stem}_plane.{image}" if plane else None,
        folder / f"{stem}_line.{image}" if line else None,
    )
    refuse_existing([path for path in targets if path is not None], overwrite)
    ResultsFolder(folder, inputs, overwrite=True)  # what is in it has been looked at
    return targets


def write_density(targets: Targets, density: ChargeDensity) -> None:
    """All files of a density.

    Raises:
        UnsupportedError: if ASE is not installed.
        ResultsError: if one cannot be written.
    """
    with writing(targets.cube.parent):
        targets.cube.parent.mkdir(parents=True, exist_ok=True)
    electrons = f"{density.n_electrons:g} electron{'' if density.n_electrons == 1.0 else 's'}"
    title = f"{spelled(density.bands)}, {electrons}"
    write_cube(targets.cube, density.crystal, density.total, f"charge density (e/Bohr^3), {title}")
    write_arrays(targets.arrays, _arrays(density))
    if targets.plane is not None:
        Here().paint(Drawing("density_plane_figure", (density.plane, title), (targets.plane,)))
    if targets.line is not None:
        Here().paint(Drawing("density_line_figure", (density.line, title), (targets.line,)))


def write_cube(path: Path, crystal: Crystal, density: np.ndarray, comment: str) -> None:
    """A Gaussian cube file: lengths in Bohr, z fastest, values per Bohr^3.

    Raises:
        UnsupportedError: if ASE is not installed.
        InputError: if a symbol is that of no element, which the format has numbers of.
    """
    ase = needed("ase", "writing a cube file", "ASE", "bundles")
    cube = needed("ase.io.cube", "writing a cube file", "ASE", "bundles")
    # ASE takes Angstrom and writes Bohr; its own constant makes that exact.
    bohr = needed("ase.units", "writing a cube file", "ASE", "bundles").Bohr
    numbers = needed("ase.data", "writing a cube file", "ASE", "bundles").atomic_numbers
    if unknown := [symbol for symbol in crystal.symbols if symbol not in numbers]:
        raise InputError(f"cube: found the symbol {unknown[0]}; legal: those of elements")
    atoms = ase.Atoms(
        crystal.symbols,
        scaled_positions=crystal.fractional_positions,
        cell=bohr * crystal.lattice,
        pbc=True,
    )
    with atomic_path(path) as temporary, temporary.open("w", encoding="ascii") as file:
        cube.write_cube(file, atoms, density, comment=comment)


def _arrays(density: ChargeDensity) -> dict[str, np.ndarray]:
    crystal = density.crystal
    arrays = {
        "density": density.total,
        "lattice": crystal.lattice,
        "symbols": np.array(crystal.symbols),
        "positions": crystal.fractional_positions,
        "bands": np.array(density.bands),
        "electrons": density.electrons,
        "k_points": density.k_points,
        "k_weights": density.weights,
        "energies": density.energies,
    }
    if density.per_band is not None:
        arrays["levels"] = np.flatnonzero(density.electrons)
        arrays["density_per_band"] = density.per_band
    if density.per_k is not None:
        arrays["density_per_k"] = density.per_k
    return arrays
