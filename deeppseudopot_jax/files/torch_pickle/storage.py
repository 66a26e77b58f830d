"""The storage types of PyTorch: flat, typed blocks of bytes that tensors are views of."""

from typing import Literal, NamedTuple

import numpy as np

# Name in module `torch` -> NumPy type.
DTYPES: dict[str, np.dtype] = {
    "DoubleStorage": np.dtype(np.float64),
    "FloatStorage": np.dtype(np.float32),
    "HalfStorage": np.dtype(np.float16),
    "LongStorage": np.dtype(np.int64),
    "IntStorage": np.dtype(np.int32),
    "ShortStorage": np.dtype(np.int16),
    "CharStorage": np.dtype(np.int8),
    "ByteStorage": np.dtype(np.uint8),
    "BoolStorage": np.dtype(np.bool_),
    "ComplexDoubleStorage": np.dtype(np.complex128),
    "ComplexFloatStorage": np.dtype(np.complex64),
}
BFLOAT16 = "BFloat16Storage"  # NumPy has no such type: read as float32, exactly
_MARKS: dict[str, Literal["<", ">"]] = {"little": "<", "big": ">"}


class StorageType(NamedTuple):
    """What a pickle's `torch FloatStorage` is read as: a name, nothing that can be called.

    A tuple, since a pickle can write to everything that has a `__setstate__` or a `__dict__`, and
    frozen dataclasses with slots have the former.
    """

    name: str

    @property
    def item_size(self) -> int:
        """Bytes per element in the file."""
        return 2 if self.name == BFLOAT16 else DTYPES[self.name].itemsize

    def array(self, raw: bytes, byte_order: str) -> np.ndarray:
        """The elements of a storage, flat, read-only, in the machine's byte order."""
        mark = _MARKS[byte_order]
        if self.name == BFLOAT16:
            upper_half = np.frombuffer(raw, np.dtype(np.uint16).newbyteorder(mark))
            return (upper_half.astype(np.uint32) << 16).view(np.float32)
        dtype = DTYPES[self.name]
        return np.frombuffer(raw, dtype.newbyteorder(mark)).astype(dtype, copy=False)
