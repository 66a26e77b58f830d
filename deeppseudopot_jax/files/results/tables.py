"""Text files of a run: bands, basis, potentials, costs and coefficients.

Every file appears complete or not at all. Text after `#` is a comment, as in the inputs.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from deeppseudopot_jax.files.atomic import atomic_path


def write_bands(
    path: Path | str,
    path_length: Float[np.ndarray, " kpt"],
    energies: Float[np.ndarray, "kpt band"],
) -> None:
    """*_BS_sys<X>.dat: path length (Bohr^-1) and energies (eV) of every k-point, 5 decimals."""
    rows = np.column_stack([path_length, energies])
    _write(path, (" ".join(f"{value:10.5f}" for value in row) for row in rows))


def write_basis_states(
    path: Path | str, integers: Int[np.ndarray, "wave 3"], reciprocal: Float[np.ndarray, "3 3"]
) -> None:
    """basisStates_<X>.dat: integers g, G = g B (Bohr^-1) and |G|^2 / 2 (Ha) of every plane wave.

    Args:
        path: the file.
        integers: the plane waves.
        reciprocal: rows b_i in Bohr^-1.
    """
    wave_vectors = integers @ reciprocal
    energies = np.sum(wave_vectors**2, axis=1) / 2.0
    rows = (
        " ".join([*(f"{n:4d}" for n in g), *(f"{value:14.8f}" for value in (*G, energy))])
        for g, G, energy in zip(integers, wave_vectors, energies, strict=True)
    )
    _write(path, rows, "g1 g2 g3  Gx Gy Gz (Bohr^-1)  |G|^2/2 (Ha)")


def write_q_space_potential(
    path: Path | str,
    q: Float[np.ndarray, " q"],
    v: Float[np.ndarray, "q species"],
    species: Sequence[str],
) -> None:
    """*_qSpace_pot.dat: q (Bohr^-1) and v(q) (Ha Bohr^3) of every species.

    The file can serve as init_qSpace_pot.par, whose columns are in the order of the sorted species.
    """
    header = " ".join(["q (Bohr^-1)", *(f"v_{symbol}" for symbol in species), "(Ha Bohr^3)"])
    _write(path, _exponential(np.column_stack([q, v])), header)


def write_real_space_potential(
    path: Path | str, r: Float[np.ndarray, " r"], v: Float[np.ndarray, " r"]
) -> None:
    """*_pot_<atom>.dat: r (Bohr) and v(r) (Ha) of one species."""
    _write(path, _exponential(np.column_stack([r, v])), "r (Bohr)  v (Ha)")


def write_costs(
    path: Path | str,
    rows: Iterable[Sequence[float]],
    columns: Sequence[str] = ("epoch", "cost"),
    title: str = "",
) -> None:
    """A history of numbers: `epoch cost`, or what `columns` names; integers are kept integers.

    A `title` stands as a comment above the names of the columns.
    """
    texts = (
        " ".join(
            str(int(v)) if isinstance(v, int | np.integer | np.bool_) else f"{v:.10e}" for v in row
        )
        for row in rows
    )
    names = " ".join(columns)
    _write(path, texts, f"{title}\n# {names}" if title else names)


def write_arrays(path: Path | str, arrays: Mapping[str, np.ndarray]) -> None:
    """*.npz: arrays by their names."""
    # An open file, because NumPy would append .npz to the temporary name.
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)


def write_json(path: Path | str, value: Mapping[str, Any]) -> None:
    """*.json: texts, numbers, lists and mappings of these by name, for programs to read."""
    _write(path, [json.dumps(value, indent=2, allow_nan=False)])


def write_coefficients(path: Path | str, coefficients: Float[np.ndarray, "9"]) -> None:
    """*_<atom>Params.par: a0 to a8, one a row, lossless; can serve as init_<atom>Params.par."""
    _write(path, (f"{value: .16e}  # a{i}" for i, value in enumerate(coefficients)))


def _exponential(rows: np.ndarray) -> Iterable[str]:
    return (" ".join(f"{value:17.10e}" for value in row) for row in rows)


def _write(path: Path | str, lines: Iterable[str], header: str | None = None) -> None:
    with (
        atomic_path(path) as temporary,
        temporary.open("w", encoding="utf-8", newline="\n") as file,
    ):
        if header is not None:
            file.write(f"# {header}\n")
        file.writelines(f"{line}\n" for line in lines)
