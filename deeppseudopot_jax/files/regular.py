"""Opening input files: only regular ones, links to them included, and none beyond a limit.

A folder, a pipe or a device under the name of an input would be taken as absent, wait for ever or
be read without end.
"""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from deeppseudopot_jax.files.findings import BundleError, Finding

TEXT_LIMIT = 64 * 2**20
"""Bytes of a text file: a million rows of ordinary width."""

CHECKPOINT_LIMIT = 2 * 2**30
"""Bytes of a checkpoint: a hundred million weights with the moments of Adam."""

_KINDS = {
    stat.S_ISDIR: "a folder",
    stat.S_ISFIFO: "a pipe",
    stat.S_ISCHR: "a device",
    stat.S_ISBLK: "a device",
    stat.S_ISSOCK: "a socket",
}


@contextmanager
def open_regular(path: Path, limit: int) -> Iterator[BinaryIO]:
    """The file, open for reading bytes.

    Args:
        path: of the file.
        limit: the largest size in bytes.

    Raises:
        BundleError: if it is no regular file, too large, or cannot be read.
    """
    try:
        status = path.stat()  # before opening: to open a pipe is to wait for its writer
        _check(path, status, limit)
        with path.open("rb") as file:
            yield file
    except OSError as error:
        raise BundleError([Finding(path.name, f"cannot be read: {error.strerror}")]) from error


def read_regular(path: Path, limit: int) -> bytes:
    """All bytes of a file; arguments and errors are those of `open_regular`."""
    with open_regular(path, limit) as file:
        raw = file.read(limit + 1)
    if len(raw) > limit:  # its stated size was another one, as in /proc
        raise _too_large(path, "more", limit)
    return raw


def _check(path: Path, status: os.stat_result, limit: int) -> None:
    if not stat.S_ISREG(status.st_mode):
        kinds = (kind for is_kind, kind in _KINDS.items() if is_kind(status.st_mode))
        found = next(kinds, "something else")
        raise BundleError([Finding(path.name, "is no file", found=found, legal="a regular file")])
    if status.st_size > limit:
        raise _too_large(path, f"{status.st_size} bytes", limit)


def _too_large(path: Path, found: str, limit: int) -> BundleError:
    return BundleError(
        [Finding(path.name, "is too large", found=found, legal=f"at most {limit} bytes")]
    )
