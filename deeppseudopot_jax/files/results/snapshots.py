"""Snapshots of a run under way: a pytree of arrays in one .npz file, to go on from bit by bit.

The arrays are named by their place in the tree; the entry `snapshot` is JSON: the format, facts
about the run, and which arrays are the data of random keys.
"""

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from deeppseudopot_jax.errors import ResultsError
from deeppseudopot_jax.files.atomic import atomic_path

_HEADER = "snapshot"
_FORMAT = "deeppseudopot_jax snapshot 1"
_STORABLE = "biufc"
"""Kinds of numbers that NumPy's file format knows: not bfloat16 and its like, and no objects."""
_SHOWN = 20
_REMEDY = "resume from another snapshot, or start the run anew"


class SnapshotError(ResultsError):
    """A snapshot cannot be gone on from; the message says what to do."""


def write_snapshot(path: Path, tree: Any, facts: Mapping[str, str]) -> None:
    """Write a pytree; the file appears complete or not at all, equal trees give equal files.

    Args:
        path: the .npz file.
        tree: leaves are JAX or NumPy arrays of any shape: numbers, bools, typed random keys.
        facts: what must be the same in the run that goes on from here, by name.

    Raises:
        TypeError: if a leaf is no such array.
    """
    arrays: dict[str, Any] = {}
    keys = {}
    for name, leaf in _leaves(tree).items():
        if _is_key(leaf):
            keys[name] = _implementation(leaf)
            leaf = jax.random.key_data(leaf)
        arrays[name] = np.asarray(leaf)
    header = json.dumps({"format": _FORMAT, "facts": dict(facts), "keys": keys})
    arrays[_HEADER] = np.array(header)
    # An open file, because NumPy would append .npz to other names.
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.savez(file, **arrays)


def read_snapshot(path: Path, like: Any, facts: Mapping[str, str]) -> Any:
    """The tree in a snapshot, as JAX arrays on the default device.

    Args:
        path: the .npz file.
        like: a tree of arrays or jax.ShapeDtypeStruct: the structure, shapes and dtypes expected.
        facts: of this run.

    Raises:
        SnapshotError: if the file cannot be read, is damaged or no snapshot, or differs from
            `facts` or `like`.
        TypeError: if a leaf of `like` cannot be in a snapshot.
    """
    arrays = _arrays(path)
    header = _header(path, arrays)
    _compare(path, "belongs to another run", header["facts"], facts)
    keys = header["keys"]
    leaves = _leaves(like)
    found = {name: _described(array, keys.get(name)) for name, array in arrays.items()}
    _compare(path, "holds another state", found, {n: _expected(leaf) for n, leaf in leaves.items()})

    def restored(name: str) -> jax.Array:
        array = jnp.asarray(arrays[name])
        return jax.random.wrap_key_data(array, impl=keys[name]) if name in keys else array

    return jax.tree.unflatten(jax.tree.structure(like), [restored(name) for name in leaves])


def names_of(tree: Any) -> frozenset[str]:
    """What the arrays of a tree are called in a snapshot."""
    return frozenset(_leaves(tree))


def names_in(path: Path) -> frozenset[str]:
    """What the arrays in a snapshot are called.

    Raises:
        SnapshotError: if the file cannot be read, or is damaged.
    """
    return frozenset(_arrays(path).keys() - {_HEADER})


def read_part(path: Path, place: str) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """The arrays in a snapshot whose places begin with `place`, by what follows; and its facts.

    For those who look at a run that they do not go on with.

    Raises:
        SnapshotError: if the file cannot be read, is damaged or no snapshot.
    """
    arrays = _arrays(path)
    facts = _header(path, arrays)["facts"]
    found = {
        name.removeprefix(place): array for name, array in arrays.items() if name.startswith(place)
    }
    return found, facts


def _leaves(tree: Any) -> dict[str, Any]:
    """The leaves by their place in the tree, in its order."""
    places = jax.tree_util.tree_flatten_with_path(tree)[0]
    leaves = {jax.tree_util.keystr(place): leaf for place, leaf in places}
    if len(leaves) != len(places) or _HEADER in leaves:
        raise TypeError("the leaves of a snapshot need distinct names")
    for name, leaf in leaves.items():
        if not hasattr(leaf, "dtype"):
            raise TypeError(f"a snapshot holds arrays, not a {type(leaf).__name__} ({name})")
        if not _is_key(leaf) and leaf.dtype.kind not in _STORABLE:
            raise TypeError(f"a snapshot cannot hold an array of {leaf.dtype} ({name})")
    return leaves


def _is_key(leaf: Any) -> bool:
    return jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _implementation(leaf: Any) -> str:
    """Of the generator of typed keys, by the dtype: a ShapeDtypeStruct knows no more."""
    return str(jax.random.key_impl(jnp.zeros(0, leaf.dtype)))


def _expected(leaf: Any) -> str:
    if _is_key(leaf):
        return _described(jax.eval_shape(jax.random.key_data, leaf), _implementation(leaf))
    return _described(leaf, None)


def _described(array: Any, implementation: str | None) -> str:
    """Shape and dtype as they are compared and shown."""
    kind = "" if implementation is None else f", data of {implementation} keys"
    return f"{array.dtype} {tuple(array.shape)}{kind}"


def _arrays(path: Path) -> dict[str, np.ndarray]:
    """All entries of the archive, whose checksums are verified before anything is interpreted."""
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
        if damaged is not None:
            raise zipfile.BadZipFile(f"the checksum of {damaged} is wrong")
        with np.load(path, allow_pickle=False) as file:
            return dict(file)
    except OSError as error:
        raise SnapshotError(
            f"snapshot {path} cannot be read ({error.strerror or error}): {_REMEDY}"
        ) from error
    except Exception as error:  # a damaged archive can fail in any way
        raise SnapshotError(
            f"{path} is damaged or no snapshot ({error}): legal is a complete .npz file as a run "
            f"writes it; {_REMEDY}"
        ) from error


def _header(path: Path, arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    """Takes the header out of the arrays."""
    try:
        header = json.loads(str(arrays.pop(_HEADER)))
        found = header["format"]
    except (KeyError, TypeError, ValueError):
        header, found = {}, f"an archive of {', '.join(arrays) or 'nothing'}"
    if found != _FORMAT:
        raise SnapshotError(
            f"{path} is no snapshot of this version; found '{found}', legal: '{_FORMAT}'; {_REMEDY}"
        )
    return header


def _compare(
    path: Path, verdict: str, found: Mapping[str, str], expected: Mapping[str, str]
) -> None:
    """Raises SnapshotError with all that differs."""
    lines = [
        f"  {name}: {_quoted(found, name)} in the file, {_quoted(expected, name)} in this run"
        for name in dict.fromkeys([*expected, *found])
        if found.get(name) != expected.get(name)
    ]
    if lines:
        more = [f"  and {len(lines) - _SHOWN} more"] if len(lines) > _SHOWN else []
        remedy = "Go on with the inputs it was written with, or start the run anew."
        raise SnapshotError(
            "\n".join([f"snapshot {path} {verdict}:", *lines[:_SHOWN], *more, remedy])
        )


def _quoted(values: Mapping[str, str], name: str) -> str:
    return f"'{values[name]}'" if name in values else "absent"
