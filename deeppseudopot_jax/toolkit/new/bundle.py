"""The files of a new bundle, with comments for whoever goes on from there."""

from pathlib import Path

from deeppseudopot_jax.errors import InputError
from deeppseudopot_jax.files.bundle.writing import band_weights_text, k_points_text, system_text
from deeppseudopot_jax.files.disk import writing
from deeppseudopot_jax.k_path import k_path
from deeppseudopot_jax.toolkit.new.elements import valence_electrons
from deeppseudopot_jax.toolkit.new.structure import Structure, read_structure
from deeppseudopot_jax.toolkit.new.template import (
    EMPTY_WEIGHTS,
    MAX_KINETIC_ENERGY,
    OF_CUTOFF,
    band_weights,
    coefficient_texts,
    config_text,
    guessed_files,
    k_weights,
)


def new_bundle(folder: Path, structure_file: Path, n_points: int = 60) -> str:
    """Write a bundle to start from; returns what was written, and what is missing still.

    Args:
        folder: created if it is absent; files in it are never replaced.
        structure_file: any crystal structure that ASE can read.
        n_points: k-points of the path.

    Raises:
        InputError: if one of the files is there already, or the structure cannot be used.
        ResultsError: if a file cannot be written.
        UnsupportedError: if ASE is not installed.
    """
    structure = read_structure(structure_file, n_points)
    texts = bundle_texts(structure)
    present = [name for name in texts if (folder / name).exists()]
    if present or (folder.exists() and not folder.is_dir()):
        what = ", ".join(present) or "is no folder"
        raise InputError(f"{folder}: {what}: nothing is overwritten, choose another folder")
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            with (folder / name).open("x", encoding="utf-8") as file:
                file.write(text)
    return "\n".join(
        [f"{folder}: {', '.join(texts)}", *(f"- {line}" for line in still_to_do(structure))]
    )


def bundle_texts(structure: Structure) -> dict[str, str]:
    """Name and text of every file."""
    weights = band_weights(_n_bands(structure), _occupied(structure))
    return {
        "NN_config.par": config_text(),
        "system_0.par": system_text(structure.crystal, structure.scale),
        "input_0.par": _input(structure),
        "kpoints_0.par": _k_points(structure),
        "bandWeights_0.par": band_weights_text(weights),
        **coefficient_texts(structure.crystal.symbols),
    }


def still_to_do(structure: Structure) -> list[str]:
    """What the user has to add or to check."""
    n_k, n_bands = len(structure.k_points), _n_bands(structure)
    found = [
        f"missing: expBandStruct_0.par, the energies to fit: {n_k} rows for those of "
        f"kpoints_0.par, each a path length and {n_bands} energies in eV (docs/own_material.md)",
        f"check maxKE in input_0.par: {MAX_KINETIC_ENERGY} Ha suits tetrahedral semiconductors",
    ]
    if _occupied(structure) is None:
        found.append("set nBands, idxVB and idxCB in input_0.par: the electrons are not known")
    guessed = guessed_files(structure.crystal.symbols)
    if guessed:
        found.append(f"guesses: {', '.join(guessed)}; coefficients of the literature are better")
    if structure.n_primitive > 1:
        found.append(
            f"the cell holds {structure.n_primitive} primitive cells: energies of this cell are "
            "needed, and a primitive one is fitted faster (deeppseudopot primitive)"
        )
    return found


def _electrons(structure: Structure) -> int | None:
    """Valence electrons per cell; None where one of the elements is not known."""
    numbers = [valence_electrons(symbol) for symbol in structure.crystal.symbols]
    known = [number for number in numbers if number is not None]
    return sum(known) if len(known) == len(numbers) else None


def _occupied(structure: Structure) -> int | None:
    """Bands below the gap, counted with spin; None where that is not known, or no gap can be."""
    electrons = _electrons(structure)
    return electrons if electrons is not None and electrons % 2 == 0 else None


def _n_bands(structure: Structure) -> int:
    return (_occupied(structure) or 2 * 4 * len(structure.crystal.symbols)) + 2 * len(EMPTY_WEIGHTS)


def _input(structure: Structure) -> str:
    occupied = _occupied(structure)
    if occupied is None:
        edges = (
            "# idxVB = ?   # highest valence band, from 0\n# idxCB = ?   # lowest conduction band\n"
        )
        bands = "a guess"
    else:
        edges = f"idxVB = {occupied - 1}   # highest valence band, from 0\nidxCB = {occupied}\n"
        bands = f"{occupied} valence electrons and {len(EMPTY_WEIGHTS)} empty levels"
    return (
        f"systemName = {structure.name}\n"
        f"nBands = {_n_bands(structure)}   # {bands}; every level counts twice, for spin\n"
        f"maxKE = {MAX_KINETIC_ENERGY}   # Ha; {OF_CUTOFF}\n"
        f"{edges}# idxGap = ?   # row of kpoints_0.par, from 0: for masses and couplings\n"
    )


def _k_points(structure: Structure) -> str:
    path = k_path(structure.k_points, structure.crystal.lattice)
    return k_points_text(
        structure.k_points,
        k_weights(structure.labels),
        path.position,
        structure.labels,
        f"path {structure.path}",
    )
