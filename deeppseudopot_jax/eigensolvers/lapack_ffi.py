"""LAPACK's subset eigensolver as a function that XLA's CPU programs call by name.

XLA calls a foreign function with one argument, the call frame, which points to the buffers; ctypes
makes such a function of a Python one, so nothing is compiled at installation. JAX keeps programs
that contain it in its persistent compilation cache, but none with a host callback: that is an
address, another one in every process.

The structs are those of xla/ffi/api/c_api.h (in `jax.ffi.include_dir()`), version 0.3. By its rules
later minor versions only append fields, so a struct may be larger than here, never smaller, and XLA
refuses the registration of a handler whose version it no longer supports.
"""

import ctypes
import math
from ctypes import POINTER, c_char_p, c_int, c_int64, c_size_t, c_ssize_t, c_uint32, c_void_p
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Inexact

from deeppseudopot_jax.eigensolvers.blas_threads import keep_to_one_thread
from deeppseudopot_jax.eigensolvers.lapack import lowest_eigenpairs

_VERSION = (0, 3)
_DTYPES = {11: "float32", 12: "float64", 15: "complex64", 18: "complex128"}
_METADATA = 1  # the extension by which XLA asks for the version
_EXECUTE = 3  # the stage in which buffers may be read
_INTERNAL = 13  # an error code
_READ, _WRITE = 0x100, 0x200  # Python's flags of a memory view

# Cached programs know the target by this name: should its meaning change, so must the name.
_TARGET = "deeppseudopot_jax_lowest_eigenpairs"

_HEAD: list[tuple[str, Any]] = [("struct_size", c_size_t), ("extension_start", c_void_p)]


class _Version(ctypes.Structure):
    _fields_ = [*_HEAD, ("major", c_int), ("minor", c_int)]


class _Metadata(ctypes.Structure):
    _fields_ = [
        ("struct_size", c_size_t), ("version", _Version), ("traits", c_uint32),
        ("state_type_id", c_int64),
    ]  # fmt: skip


class _Extension(ctypes.Structure):
    """Its head, and the field of the metadata extension; read by `type`."""

    _fields_ = [
        ("struct_size", c_size_t), ("type", c_int), ("next", c_void_p),
        ("metadata", POINTER(_Metadata)),
    ]  # fmt: skip


class _ErrorArguments(ctypes.Structure):
    _fields_ = [*_HEAD, ("message", c_char_p), ("code", c_int)]


class _Api(ctypes.Structure):
    """The beginning of XLA's table of functions."""

    _fields_ = [
        *_HEAD, ("version", _Version), ("internal", c_void_p),
        ("create_error", ctypes.CFUNCTYPE(c_void_p, POINTER(_ErrorArguments))),
    ]  # fmt: skip


class _Buffer(ctypes.Structure):
    _fields_ = [
        *_HEAD, ("dtype", c_int), ("data", c_void_p), ("rank", c_int64), ("dims", POINTER(c_int64)),
    ]  # fmt: skip


class _Buffers(ctypes.Structure):
    """Arguments, or results."""

    _fields_ = [
        *_HEAD, ("size", c_int64), ("types", POINTER(c_int)),
        ("buffers", POINTER(POINTER(_Buffer))),
    ]  # fmt: skip


class _CallFrame(ctypes.Structure):
    """A call, up to the last field that is read here."""

    _fields_ = [
        ("struct_size", c_size_t), ("extension_start", POINTER(_Extension)), ("api", POINTER(_Api)),
        ("context", c_void_p), ("stage", c_int), ("arguments", _Buffers), ("results", _Buffers),
    ]  # fmt: skip


_memory = ctypes.pythonapi.PyMemoryView_FromMemory  # an array type of ctypes costs ten times more
_memory.restype, _memory.argtypes = ctypes.py_object, [c_void_p, c_ssize_t, c_int]


def subset_eigenpairs(
    matrix: Inexact[Array, "row row"], n: int
) -> tuple[Float[Array, " band"], Inexact[Array, "row band"]]:
    """The `n` lowest eigenpairs of a Hermitian matrix, on CPUs; `jax.vmap` makes one call of many.

    NaN where they are not found, as `lapack.lowest_eigenpairs` does.
    """
    shapes = (
        jax.ShapeDtypeStruct((n,), jnp.finfo(matrix.dtype).dtype),
        jax.ShapeDtypeStruct((matrix.shape[-1], n), matrix.dtype),
    )
    keep_to_one_thread()
    energies, vectors = jax.ffi.ffi_call(_TARGET, shapes, vmap_method="broadcast_all")(matrix)
    return energies, vectors


@ctypes.CFUNCTYPE(c_void_p, POINTER(_CallFrame))
def _handler(pointer):
    """What XLA calls; null is success.

    An error goes back to XLA, which raises it where the results are used. NaN would say that the
    matrix was to blame, and the run would go on with another potential.
    """
    frame = pointer.contents
    try:
        _check_size(frame, "results")
        if frame.extension_start and frame.extension_start.contents.type == _METADATA:
            _tell_version(frame.extension_start.contents)
        else:
            _solve(frame)
    except BaseException as error:  # nothing may pass through C code, KeyboardInterrupt neither
        message = f"{type(error).__name__}: {error}".encode()
        arguments = _ErrorArguments(ctypes.sizeof(_ErrorArguments), None, message, _INTERNAL)
        return frame.api.contents.create_error(arguments)
    return None


def _tell_version(extension: _Extension) -> None:
    _check_size(extension, "metadata")
    metadata = extension.metadata.contents
    _check_size(metadata, "traits")  # by the header's count the state is not part of the size
    metadata.version = _Version(ctypes.sizeof(_Version), None, *_VERSION)
    metadata.traits = 0
    metadata.state_type_id = 0  # none


def _solve(frame: _CallFrame) -> None:
    if frame.stage != _EXECUTE or (frame.arguments.size, frame.results.size) != (1, 2):
        raise TypeError("a call takes matrices and gives energies and vectors")
    results = frame.results.buffers
    matrices = _view(frame.arguments.buffers[0].contents, _READ)
    energies, vectors = (_view(results[i].contents, _WRITE) for i in range(2))
    *batch, rows, n = vectors.shape
    if matrices.shape != (*batch, rows, rows) or energies.shape != (*batch, n):
        raise TypeError(f"shapes {matrices.shape}, {energies.shape} and {vectors.shape}")
    if vectors.dtype != matrices.dtype or energies.dtype != matrices.real.dtype:
        raise TypeError(f"dtypes {matrices.dtype}, {energies.dtype} and {vectors.dtype}")
    lowest_eigenpairs(matrices, energies, vectors)


def _view(buffer: _Buffer, access: int) -> np.ndarray:
    """XLA's memory as an array, rows first, valid during the call only."""
    _check_size(buffer, "dims")
    dtype = np.dtype(_DTYPES[buffer.dtype])
    shape = tuple(buffer.dims[: buffer.rank])
    memory = _memory(buffer.data, math.prod(shape) * dtype.itemsize, access)
    return np.ndarray(shape, dtype, memory)


def _check_size(struct: Any, last: str) -> None:
    """That XLA's struct reaches to the end of that field."""
    field = getattr(type(struct), last)
    if struct.struct_size < field.offset + field.size:
        raise TypeError(f"{type(struct).__name__[1:]} of XLA's FFI has {struct.struct_size} bytes")


# XLA asks for the version when its CPU backend starts, and says both where it refuses this one.
jax.ffi.register_ffi_target(_TARGET, jax.ffi.pycapsule(_handler), platform="cpu", api_version=1)
