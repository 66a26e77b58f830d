"""Writing data as a PyTorch checkpoint that `torch.load(file, weights_only=True)` reads."""

import pickle
import struct
import zipfile
from collections import OrderedDict
from pathlib import Path

import numpy as np

from deeppseudopot_jax.files.atomic import atomic_path
from deeppseudopot_jax.files.torch_pickle.archive import (
    BYTE_ORDER,
    PICKLE,
    VERSION,
    storage_entry,
)
from deeppseudopot_jax.files.torch_pickle.storage import DTYPES

_STORAGE_NAMES = {dtype: name for name, dtype in DTYPES.items()}
_FORMAT_VERSION = b"3\n"  # of the archive, written by PyTorch 1.6 and later


def write_checkpoint(path: Path | str, content: object) -> None:
    """Write `content` to a .pth file, which appears complete or not at all.

    Args:
        path: the file; its stem names the archive's root, as with torch.save.
        content: dicts, OrderedDicts, lists, tuples, str, numbers, bools, None and NumPy arrays.

    Raises:
        TypeError: if something else is in `content`.
    """
    path = Path(path)
    program = _Program()
    program.add(content)
    entries = {
        PICKLE: program.finished(),
        BYTE_ORDER: b"little",
        **{storage_entry(str(i)): raw for i, raw in enumerate(program.storages)},
        VERSION: _FORMAT_VERSION,
    }
    with atomic_path(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for name, raw in entries.items():
            # ZipInfo carries a fixed date: equal contents give equal files.
            archive.writestr(zipfile.ZipInfo(f"{path.stem}/{name}"), raw)


class _Program:
    """The pickle of a checkpoint under way, and the storages it refers to.

    Written out by hand because Python's pickler would have to import the names of PyTorch. Protocol
    2 without a memo: an object that occurs twice is written twice.
    """

    def __init__(self) -> None:
        self.storages: list[bytes] = []
        self._code = bytearray(pickle.PROTO + b"\x02")

    def finished(self) -> bytes:
        """The complete pickle."""
        return bytes(self._code + pickle.STOP)

    def add(self, value: object) -> None:
        """Append what leaves `value` on the unpickler's stack."""
        match value:
            case None:
                self._code += pickle.NONE
            case bool() | np.bool_():
                self._code += pickle.NEWTRUE if value else pickle.NEWFALSE
            case int() | np.integer():
                self._add_integer(int(value))
            case float() | np.floating():
                self._code += pickle.BINFLOAT + struct.pack(">d", value)
            case str():
                text = value.encode("utf-8")
                self._code += pickle.BINUNICODE + struct.pack("<I", len(text)) + text
            case tuple():
                self._add_many(pickle.MARK, value, pickle.TUPLE)
            case list():
                self._add_many(pickle.EMPTY_LIST + pickle.MARK, value, pickle.APPENDS)
            case dict():
                ordered = isinstance(value, OrderedDict)
                new = self._ordered_dict if ordered else pickle.EMPTY_DICT
                items = [part for item in value.items() for part in item]
                self._add_many(new + pickle.MARK, items, pickle.SETITEMS)
            case np.ndarray():
                self._add_tensor(value)
            case _:
                raise TypeError(f"a checkpoint cannot hold a {type(value).__name__}")

    @property
    def _ordered_dict(self) -> bytes:
        return _name("collections", "OrderedDict") + pickle.EMPTY_TUPLE + pickle.REDUCE

    def _add_many(self, opening: bytes, values: list | tuple, closing: bytes) -> None:
        self._code += opening
        for value in values:
            self.add(value)
        self._code += closing

    def _add_integer(self, value: int) -> None:
        if -(2**31) <= value < 2**31:
            self._code += pickle.BININT + struct.pack("<i", value)
        else:
            raw = pickle.encode_long(value)
            self._code += pickle.LONG1 + struct.pack("<B", len(raw)) + raw

    def _add_tensor(self, array: np.ndarray) -> None:
        """_rebuild_tensor_v2(storage, offset, shape, strides, requires_grad, hooks)."""
        dtype = array.dtype.newbyteorder("=")
        if dtype not in _STORAGE_NAMES:
            raise TypeError(f"PyTorch has no storage for arrays of {array.dtype}")
        self._code += _name("torch._utils", "_rebuild_tensor_v2") + pickle.MARK
        self._code += pickle.MARK
        self.add("storage")
        self._code += _name("torch", _STORAGE_NAMES[dtype])
        self.add(str(len(self.storages)))
        self.add("cpu")
        self.add(array.size)
        self._code += pickle.TUPLE + pickle.BINPERSID
        strides = [int(np.prod(array.shape[i + 1 :])) for i in range(array.ndim)]
        for part in (0, array.shape, tuple(strides), False):
            self.add(part)
        self._code += self._ordered_dict + pickle.TUPLE + pickle.REDUCE
        self.storages.append(array.astype(dtype.newbyteorder("<")).tobytes())


def _name(module: str, name: str) -> bytes:
    return pickle.GLOBAL + f"{module}\n{name}\n".encode("ascii")
