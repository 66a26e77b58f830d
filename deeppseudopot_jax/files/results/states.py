"""*_states_sys<X>.npz: the states of one system, written and read one k-point after the other.

The layout is told in docs/toolkit/density.md; any program that reads npz files can read it.
"""

import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
from jaxtyping import Bool, Complex, Float, Int
from numpy.lib import format as npy

from deeppseudopot_jax.crystal import reciprocal_lattice
from deeppseudopot_jax.errors import InputError
from deeppseudopot_jax.files.atomic import atomic_path
from deeppseudopot_jax.files.findings import BundleError
from deeppseudopot_jax.files.regular import open_regular
from deeppseudopot_jax.types import Crystal

_COEFFICIENTS = "coefficients"
_COMPLEX = np.dtype("<c16")
_LARGEST = 2**40
_NORM_TOLERANCE = 1e-6
_NEEDED = (
    "lattice", "symbols", "positions", "k_points", "k_weights", "energies", "integers", "spinor",
    _COEFFICIENTS,
)  # fmt: skip
_DAMAGED = (zipfile.BadZipFile, zlib.error, ValueError, EOFError, OSError, KeyError)

AddStates = Callable[[Complex[np.ndarray, "band spin wave"]], None]


@dataclass(frozen=True, eq=False)
class StateSets:
    """What the states of a system are of: `n_bands` at every k-point, in sets of plane waves.

    There is one set for all k-points, or one for each; waves behind a shorter set are not in
    `mask`. Weights are those of kpoints_X.par.
    """

    crystal: Crystal
    k_points: Float[np.ndarray, "kpt 3"]
    k_weights: Float[np.ndarray, " kpt"]
    integers: Int[np.ndarray, "set wave 3"]
    mask: Bool[np.ndarray, "set wave"]
    n_bands: int
    is_spinor: bool

    @property
    def own_sets(self) -> bool:
        """Whether every k-point has its own waves (`basis_sphere = kG`)."""
        return not (len(self.integers) == 1 and self.mask.all())

    def waves_at(self, k: int) -> Int[np.ndarray, "wave 3"]:
        """The plane waves of one k-point."""
        own = k if self.own_sets else 0
        return self.integers[own][self.mask[own]]

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """k-points, bands, spin components and waves of all coefficients."""
        return len(self.k_points), self.n_bands, 1 + self.is_spinor, self.integers.shape[1]


@dataclass(frozen=True, eq=False)
class SavedStates:
    """A file of states; the coefficients stay in it until they are asked for."""

    path: Path
    sets: StateSets
    energies: Float[np.ndarray, "kpt band"]

    def coefficients(self) -> Iterator[Complex[np.ndarray, "band spin wave"]]:
        """Those of every k-point in turn, of its own waves alone.

        Raises:
            InputError: if the file is damaged, or states are not normalised.
        """
        _, n_bands, n_spin, n_waves = self.sets.shape
        block = n_bands * n_spin * n_waves * _COMPLEX.itemsize
        with (
            _damage_told(self.path),
            zipfile.ZipFile(self.path) as archive,
            archive.open(f"{_COEFFICIENTS}.npy") as member,
        ):
            _header(member)
            for k in range(len(self.sets.k_points)):
                flat = np.frombuffer(_exactly(member, block), _COMPLEX)
                own = self.sets.mask[k if self.sets.own_sets else 0]
                states = flat.reshape(n_bands, n_spin, n_waves)[..., own]
                norms = np.sum(np.abs(states) ** 2, axis=(1, 2))
                bad = ~(np.abs(norms - 1.0) < _NORM_TOLERANCE)
                if bad.any():
                    n = int(bad.argmax())
                    raise InputError(
                        f"{self.path}: coefficients of k-point {k}, band {n}: found the norm "
                        f"{norms[n]:.6g}; legal: 1"
                    )
                yield states


@contextmanager
def states_file(
    path: Path, sets: StateSets, last: Callable[[], Mapping[str, np.ndarray]]
) -> Iterator[AddStates]:
    """A function that adds the coefficients of the next k-point to a new file of states.

    Args:
        path: the file, which appears when the block ends.
        sets: what the states are of.
        last: gives the arrays that are known when all k-points are there.
    """
    crystal, n_waves = sets.crystal, sets.shape[-1]
    with atomic_path(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        with archive.open(_member(_COEFFICIENTS), "w", force_zip64=True) as member:
            header = {"descr": _COMPLEX.str, "fortran_order": False, "shape": sets.shape}
            npy.write_array_header_1_0(member, header)

            def add(states: Complex[np.ndarray, "band spin wave"]) -> None:
                more = n_waves - states.shape[-1]
                whole = np.pad(states, [(0, 0), (0, 0), (0, more)])
                member.write(np.ascontiguousarray(whole, _COMPLEX).tobytes())

            yield add
        waves = {"integers": sets.integers, "mask": sets.mask}
        if not sets.own_sets:
            waves = {"integers": sets.integers[0]}
        arrays = {
            "lattice": crystal.lattice,
            "reciprocal": reciprocal_lattice(crystal.lattice),
            "symbols": np.array(crystal.symbols),
            "positions": crystal.fractional_positions,
            "k_points": sets.k_points,
            "k_weights": sets.k_weights,
            "spinor": np.array(sets.is_spinor),
            **waves,
            **last(),
        }
        for name, array in arrays.items():
            with archive.open(_member(name), "w", force_zip64=True) as member:
                npy.write_array(member, np.asarray(array, order="C"), allow_pickle=False)


def read_states(path: Path) -> SavedStates:
    """What a file of states says, without its coefficients, whose size is checked.

    Raises:
        InputError: if it is no such file, truncated, or its arrays do not belong together.
    """
    try:
        with open_regular(path, _LARGEST) as file:
            start = file.read(4)
    except BundleError as error:
        raise InputError(f"{path}: {error.problems[0].message}") from error
    if start[:2] != b"PK":
        raise InputError(f"{path}: found no npz file; legal: what `eval --save-states` has written")
    with _damage_told(path), zipfile.ZipFile(path) as archive:
        present = [name.removesuffix(".npy") for name in archive.namelist()]
        if missing := [name for name in _NEEDED if name not in present]:
            raise InputError(
                f"{path}: missing {', '.join(missing)}; found {', '.join(present) or 'nothing'}; "
                "legal: what `eval --save-states` has written"
            )
        with archive.open(f"{_COEFFICIENTS}.npy") as member:
            shape, dtype = _header(member)
        size = archive.getinfo(f"{_COEFFICIENTS}.npy").file_size
    with _damage_told(path), np.load(path, allow_pickle=False) as loaded:
        arrays = {name: loaded[name] for name in loaded.files if name != _COEFFICIENTS}
    return _understood(path, arrays, shape, dtype, size)


def _understood(
    path: Path, arrays: Mapping[str, np.ndarray], shape: tuple, dtype: np.dtype, size: int
) -> SavedStates:
    if len(shape) != 4 or shape[2] not in (1, 2) or dtype != _COMPLEX:
        raise InputError(
            f"{path}: coefficients: found {dtype} of shape {shape}; legal: complex128 of shape "
            "(k-points, bands, 1 or 2 spin components, waves)"
        )
    n_k, n_bands, n_spin, n_waves = shape
    own = "mask" in arrays
    waves = (n_k, n_waves) if own else (n_waves,)
    n_atoms = len(np.atleast_1d(arrays["symbols"]))
    legal = {
        "lattice": (3, 3), "symbols": (n_atoms,), "positions": (n_atoms, 3), "k_points": (n_k, 3),
        "k_weights": (n_k,), "energies": (n_k, n_bands), "integers": (*waves, 3), "spinor": (),
        **({"mask": waves} if own else {}),
    }  # fmt: skip
    kinds = {"symbols": "U", "integers": "iu", "spinor": "b", "mask": "b"}
    for name, expected in legal.items():
        array = arrays[name]
        good = array.shape == expected and array.dtype.kind in kinds.get(name, "fiu")
        if not good or (array.dtype.kind == "f" and not np.isfinite(array).all()):
            raise InputError(
                f"{path}: {name}: found {array.dtype} of shape {array.shape}; legal: shape "
                f"{expected}, finite, as `eval --save-states` writes it"
            )
    if bool(arrays["spinor"]) != (n_spin == 2):
        raise InputError(f"{path}: spinor: found {arrays['spinor']} and {n_spin} spin components")
    least = n_k * n_bands * n_spin * n_waves * _COMPLEX.itemsize
    if size < least:
        raise InputError(f"{path}: coefficients: found {size} bytes; legal: {least} at least")
    integers = arrays["integers"].reshape(-1, n_waves, 3)
    mask = arrays["mask"] if own else np.ones(integers.shape[:2], bool)
    _check_waves(path, integers, mask)
    sets = StateSets(
        Crystal(
            arrays["lattice"].astype(float),
            arrays["positions"].astype(float),
            tuple(map(str, arrays["symbols"])),
        ),
        arrays["k_points"].astype(float),
        arrays["k_weights"].astype(float),
        integers,
        mask,
        n_bands,
        n_spin == 2,
    )
    return SavedStates(path, sets, arrays["energies"].astype(float))


def _check_waves(path: Path, integers: np.ndarray, mask: np.ndarray) -> None:
    """Every k-point has waves, and each of them once: a density adds up what is at one place."""
    for number, (of_set, inside) in enumerate(zip(integers, mask, strict=True)):
        n_waves = int(inside.sum())
        n_different = len(np.unique(of_set[inside], axis=0))
        if not n_waves or n_different < n_waves:
            raise InputError(
                f"{path}: integers of set {number}: found {n_waves} waves, {n_different} different "
                "ones; legal: one at least, and none twice"
            )


def _member(name: str) -> zipfile.ZipInfo:
    return zipfile.ZipInfo(f"{name}.npy")  # without the date, equal results give equal files


def _header(member: IO[bytes]) -> tuple[tuple[int, ...], np.dtype]:
    version = npy.read_magic(member)
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, fortran_order, dtype = read(member)
    if fortran_order and len(shape) > 1:
        raise ValueError("columns first")
    return shape, dtype


def _exactly(member: IO[bytes], n_bytes: int) -> bytes:
    found = member.read(n_bytes)
    if len(found) < n_bytes:
        raise EOFError("it ends too early")
    return found


@contextmanager
def _damage_told(path: Path) -> Iterator[None]:
    try:
        yield
    except InputError:
        raise
    except _DAMAGED as error:
        raise InputError(
            f"{path}: damaged or truncated ({error or type(error).__name__}); legal: a whole file "
            "that `eval --save-states` has written"
        ) from error
