"""The files of a new bundle, with comments for whoever goes on from there."""

from pathlib import Path

import numpy as np

from deeppseudopot_jax.errors import InputError
from deeppseudopot_jax.files.bundle.writing import band_weights_text, k_points_text, system_text
from deeppseudopot_jax.k_path import k_path
from deeppseudopot_jax.toolkit.new.elements import start_of, valence_electrons
from deeppseudopot_jax.toolkit.new.structure import Structure, read_structure

_SYMMETRY_WEIGHT = 3
_EMPTY_WEIGHTS = (1.0, 0.5, 0.2, 0.1)
"""Of the conduction levels: higher ones are followed less well, and matter less."""
_DEEPEST_WEIGHT = 0.5
_COEFFICIENTS = (
    "a0, Ha Bohr^5", "a1, Bohr^-2", "a2", "a3, Bohr^2", "a4, long range", "a5, spin-orbit",
    "a6, nonlocal", "a7, nonlocal", "a8, strain",
)  # fmt: skip

_CONFIG = """\
# What the run does; docs/bundle.md explains every key.
PPmodel = Net_fourier_celu_HeInit_decayGaussian  # a network of waves in q, times a Gaussian
hiddenLayers = 20 20
PPmodel_n_frequencies = 8
PPmodel_range = 8               # Bohr, range of v(r)
PPmodel_gaussian_std = 3.0      # Bohr^-1
nSystem = 1
SObool = 0                      # 1: spinors, spin-orbit a5 and nonlocal terms a6, a7
# trainSO = 1                   # with SObool = 1: fit a5, if the energies have spin-orbit
# trainNL = 1                   # with SObool = 1: fit a6 and a7; slower, and nearer to DFT bands
basis_sphere = G_full           # every plane wave with |G|^2/2 < maxKE
seed = 1

# The network first learns the curves of init_<atom>Params.par.
init_Zunger_num_epochs = 2000
init_Zunger_optimizer_lr = 0.01
init_Zunger_scheduler_gamma = 0.7
init_Zunger_plotEvery = 500

# Then least squares fits the bands; it ends by itself where no step helps.
optimizer = lm
max_num_epochs = 60
plotEvery = 20
prior_roughness = 0.003         # eV: keeps v(q) smooth
prior_range = 0.1               # eV: keeps v(r) short
"""


def new_bundle(folder: Path, structure_file: Path, n_points: int = 60) -> str:
    """Write a bundle to start from; returns what was written, and what is missing still.

    Args:
        folder: created if it is absent; files in it are never replaced.
        structure_file: any crystal structure that ASE can read.
        n_points: k-points of the path.

    Raises:
        InputError: if one of the files is there already, or the structure cannot be used.
        UnsupportedError: if ASE is not installed.
    """
    structure = read_structure(structure_file, n_points)
    texts = bundle_texts(structure)
    present = [name for name in texts if (folder / name).exists()]
    if present or (folder.exists() and not folder.is_dir()):
        what = ", ".join(present) or "is no folder"
        raise InputError(f"{folder}: {what}: nothing is overwritten, choose another folder")
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        with (folder / name).open("x", encoding="utf-8") as file:
            file.write(text)
    return "\n".join(
        [f"{folder}: {', '.join(texts)}", *(f"- {line}" for line in still_to_do(structure))]
    )


def bundle_texts(structure: Structure) -> dict[str, str]:
    """Name and text of every file."""
    species = sorted(set(structure.crystal.symbols))
    return {
        "NN_config.par": _CONFIG,
        "system_0.par": system_text(structure.crystal, structure.scale),
        "input_0.par": _input(structure),
        "kpoints_0.par": _k_points(structure),
        "bandWeights_0.par": _band_weights(structure),
        **{f"init_{symbol}Params.par": _coefficients(symbol) for symbol in species},
    }


def still_to_do(structure: Structure) -> list[str]:
    """What the user has to add or to check."""
    n_k, n_bands = len(structure.k_points), _n_bands(structure)
    found = [
        f"missing: expBandStruct_0.par, the energies to fit: {n_k} rows for those of "
        f"kpoints_0.par, each a path length and {n_bands} energies in eV (docs/own_material.md)",
        "check maxKE in input_0.par: 6 Ha suits tetrahedral semiconductors",
    ]
    if _occupied(structure) is None:
        found.append("set nBands, idxVB and idxCB in input_0.par: the electrons are not known")
    guessed = [s for s in sorted(set(structure.crystal.symbols)) if start_of(s).is_guess]
    if guessed:
        names = ", ".join(f"init_{symbol}Params.par" for symbol in guessed)
        found.append(f"guesses: {names}; coefficients of the literature are better")
    if structure.n_primitive > 1:
        found.append(
            f"the cell holds {structure.n_primitive} primitive cells: energies of this cell are "
            "needed, and a primitive one is fitted faster"
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
    return (_occupied(structure) or 2 * 4 * len(structure.crystal.symbols)) + 2 * len(
        _EMPTY_WEIGHTS
    )


def _input(structure: Structure) -> str:
    occupied = _occupied(structure)
    if occupied is None:
        edges = (
            "# idxVB = ?   # highest valence band, from 0\n# idxCB = ?   # lowest conduction band\n"
        )
        bands = "a guess"
    else:
        edges = f"idxVB = {occupied - 1}   # highest valence band, from 0\nidxCB = {occupied}\n"
        bands = f"{occupied} valence electrons and {len(_EMPTY_WEIGHTS)} empty levels"
    return (
        f"systemName = {structure.name}\n"
        f"nBands = {_n_bands(structure)}   # {bands}; every level counts twice, for spin\n"
        "maxKE = 6   # Ha; a potential belongs to the cutoff it was fitted with\n"
        f"{edges}# idxGap = ?   # row of kpoints_0.par, from 0: for masses and couplings\n"
    )


def _k_points(structure: Structure) -> str:
    path = k_path(structure.k_points, structure.crystal.lattice)
    weights, met = [], {""}
    for label in structure.labels:
        weights.append(1 if label in met else _SYMMETRY_WEIGHT)
        met.add(label)
    return k_points_text(
        structure.k_points,
        np.array(weights),
        path.position,
        structure.labels,
        f"path {structure.path}",
    )


def _band_weights(structure: Structure) -> str:
    occupied, n_bands = _occupied(structure), _n_bands(structure)
    weights = np.ones(n_bands)
    if occupied is not None:
        weights[:2] = _DEEPEST_WEIGHT
        weights[occupied:] = np.repeat(_EMPTY_WEIGHTS, 2)
    return band_weights_text(weights)


def _coefficients(symbol: str) -> str:
    start = start_of(symbol)
    values = (*start.coefficients, 0.0, 0.0, 0.0, 0.0, 0.0)
    rows = [f"{x:9.4f}   # {name}\n" for x, name in zip(values, _COEFFICIENTS, strict=True)]
    return f"# {symbol}: {start.source}\n" + "".join(rows)
