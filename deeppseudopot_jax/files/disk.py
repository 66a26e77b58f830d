"""What can go wrong in writing, told in one line; files that grow stay whole."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path

from deeppseudopot_jax.errors import DiskFullError, ResultsError

_FULL = (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def writing(path: Path | str) -> Iterator[None]:
    """Errors of the operating system in the block, as messages that name the file.

    Raises:
        DiskFullError: if the disk or the user's part of it is full.
        ResultsError: if `path` cannot be written to for another reason.
    """
    try:
        yield
    except ResultsError:
        raise
    except Exception as error:
        cause = _of_system(error)
        if cause is None:
            raise
        reason = f"cannot write to {_shown(path)} ({cause.strerror or cause})"
        if cause.errno in _FULL:
            raise DiskFullError(f"{reason}; files written before are complete") from cause
        raise ResultsError(reason) from cause


def _of_system(error: BaseException | None) -> OSError | None:
    """The error of the operating system that led to this one, also where clean-up failed then."""
    while error is not None and not isinstance(error, OSError):
        error = error.__context__
    return error


def _shown(path: Path | str) -> Path | str:
    """A file on its way to a folder, by the name that it will have there."""
    if isinstance(path, Path) and path.parent.suffix == ".part":
        return path.parent.parent / path.name
    return path


def append(file: FileIO, data: bytes, to_disk: bool = False) -> None:
    """Write all of `data` at the end of an unbuffered file, or nothing of it.

    Args:
        file: open for writing.
        data: what to add.
        to_disk: whether to return only when it is there.

    Raises:
        OSError: if it cannot be written.
    """
    size, left = file.seek(0, os.SEEK_END), memoryview(data)
    try:
        while left:
            left = left[file.write(left) :]
        if to_disk:
            os.fsync(file.fileno())
    except BaseException:
        with suppress(OSError):
            file.truncate(size)
        raise


def sync_folder(path: Path) -> None:
    """Names in a folder are on the disk when this returns, where its system can say so."""
    with suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
