"""Reading a PyTorch checkpoint as plain Python and NumPy objects, safely.

A pickle is a program. This reader runs only the instructions that rebuild data, and the only names
a pickle can call are a dict and our own tensor builder; everything else is refused unexecuted.
"""

import io
import math
import pickle
import pickletools
from pathlib import Path

import numpy as np

from deeppseudopot_jax.files.findings import BundleError, Finding
from deeppseudopot_jax.files.torch_pickle.archive import (
    BYTE_ORDER,
    PICKLE,
    read_archive,
    storage_entry,
)
from deeppseudopot_jax.files.torch_pickle.storage import BFLOAT16, DTYPES, StorageType

_LEGAL_INSTRUCTIONS = {
    "PROTO", "FRAME", "STOP", "MARK", "GLOBAL", "STACK_GLOBAL", "REDUCE", "BUILD", "BINPERSID",
    "NONE", "NEWTRUE", "NEWFALSE", "BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT",
    "BINUNICODE", "SHORT_BINUNICODE", "EMPTY_LIST", "APPEND", "APPENDS",
    "EMPTY_DICT", "SETITEM", "SETITEMS", "EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3",
    "BINPUT", "LONG_BINPUT", "MEMOIZE", "BINGET", "LONG_BINGET",
}  # fmt: skip
_LEGAL_NAMES = "tensors, numbers, text, lists and dicts only (a state dict, an optimizer state)"


class UnsafePickleError(BundleError):
    """A checkpoint asks for code to be run; none was."""

    def __init__(self, file: str, message: str, found: str) -> None:
        super().__init__([Finding(file, message, found=found, legal=_LEGAL_NAMES)])


def read_checkpoint(path: Path | str) -> object:
    """The content of a .pth file; tensors are read-only arrays, OrderedDicts are dicts.

    Raises:
        BundleError: if the file is damaged.
        UnsafePickleError: if it asks for anything but data.
    """
    path = Path(path)
    entries = read_archive(path)
    try:
        _check_instructions(path.name, entries[PICKLE])
        return _CheckpointUnpickler(path.name, entries).load()
    except BundleError:
        raise
    except Exception as error:  # a damaged pickle can fail in any way
        raise BundleError([Finding(path.name, f"is damaged: {error}")]) from error


def _check_instructions(file: str, program: bytes) -> None:
    """Look through the pickle without running it."""
    for instruction, argument, _ in pickletools.genops(program):
        if instruction.name == "GLOBAL" and argument not in _NAMES:
            raise UnsafePickleError(file, "refused pickle global", str(argument).replace(" ", "."))
        if instruction.name not in _LEGAL_INSTRUCTIONS:
            found = instruction.name if argument is None else f"{instruction.name} {argument}"
            raise UnsafePickleError(file, "refused pickle instruction", found)
        if instruction.name == "LONG_BINPUT" and int(argument or 0) > len(program):
            # The memo is an array: a huge index would exhaust the memory.
            raise BundleError([Finding(file, "is damaged", found=f"memo index {argument}")])


class _StateDict(dict):
    """Stands for OrderedDict; unlike one it keeps no attributes (PyTorch pickles `_metadata`)."""

    __slots__ = ()

    def __setstate__(self, attributes: object) -> None:
        pass


class _TensorBuilder:
    """Stands for torch._utils._rebuild_tensor_v2; without slots a pickle cannot alter it."""

    __slots__ = ()

    def __call__(
        self,
        storage: np.ndarray,
        offset: int,
        shape: tuple[int, ...],
        strides: tuple[int, ...],
        *gradient_settings: object,
    ) -> np.ndarray:
        """The view of `storage` that the tensor is; ValueError where it would leave it."""
        if not isinstance(storage, np.ndarray) or len(shape) != len(strides):
            raise ValueError("a tensor has no storage, or as many strides as dimensions")
        if not all(isinstance(n, int) and n >= 0 for n in (offset, *shape, *strides)):
            raise ValueError("a tensor has negative or fractional sizes")
        if 0 in shape:
            return np.empty(shape, storage.dtype)
        last = offset + sum((n - 1) * step for n, step in zip(shape, strides, strict=True))
        if last >= storage.size or math.prod(shape) > storage.size:
            raise ValueError(f"a tensor of shape {shape} reaches beyond its storage")
        return np.lib.stride_tricks.as_strided(
            storage[offset:], shape, [n * storage.itemsize for n in strides], writeable=False
        )


class _ParameterBuilder:
    """Stands for torch._utils._rebuild_parameter: a parameter is its tensor."""

    __slots__ = ()

    def __call__(self, tensor: np.ndarray, *gradient_settings: object) -> np.ndarray:
        return tensor


_NAMES = {
    "collections OrderedDict": _StateDict,
    "torch._utils _rebuild_tensor_v2": _TensorBuilder(),
    "torch._utils _rebuild_parameter": _ParameterBuilder(),
    **{f"torch {name}": StorageType(name) for name in (*DTYPES, BFLOAT16)},
}


class _CheckpointUnpickler(pickle.Unpickler):
    """Unpickles with the names above and with the archive's storages, nothing else."""

    def __init__(self, file: str, entries: dict[str, bytes]) -> None:
        super().__init__(io.BytesIO(entries[PICKLE]))
        self._file = file
        self._entries = entries
        self._byte_order = entries.get(BYTE_ORDER, b"little").decode("ascii")
        self._storages: dict[str, np.ndarray] = {}

    def find_class(self, module: str, name: str) -> object:
        """Our stand-in for a global of PyTorch; refuses every other one."""
        full_name = f"{module} {name}"
        if full_name not in _NAMES:
            raise UnsafePickleError(self._file, "refused pickle global", f"{module}.{name}")
        return _NAMES[full_name]

    def persistent_load(self, identifier: object) -> np.ndarray:
        """The storage that ("storage", type, key, device, element count) names."""
        match identifier:
            case ("storage", StorageType() as kind, str(key), str(), int(count)):
                pass
            case _:
                raise ValueError("a storage is not named as PyTorch names it")
        if key not in self._storages:
            raw = self._entries.get(storage_entry(key))
            if raw is None:
                raise ValueError(f"the storage {key} is missing")
            if len(raw) != count * kind.item_size:
                raise ValueError(
                    f"the storage {key} has {len(raw)} bytes for {count} numbers "
                    f"of {kind.item_size} bytes"
                )
            self._storages[key] = kind.array(raw, self._byte_order)
        return self._storages[key]
