"""Text tables that grow while a run goes on, and are cut back to where it resumes."""

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import ArrayLike

from deeppseudopot_jax.errors import ResultsError
from deeppseudopot_jax.files.atomic import atomic_path

_REMEDY = "put the file of that run back, or start the run anew"


class Stream:
    """A table to which rows are added at its end; replaces a file that is there already.

    Rows are on the disk when `append` returns, so whoever notes `size` then can count on them.

    Args:
        path: the file.
        header: what stands above the names of the columns, as comments; may be empty.
        columns: names and formats, such as {"step": "d", "cost": ".10e"}.
    """

    def __init__(self, path: Path, header: str, columns: Mapping[str, str]) -> None:
        self._describe(path, header, columns)
        with atomic_path(path) as temporary:
            temporary.write_bytes(self._head)
        self._size = len(self._head)

    @classmethod
    def reopened(cls, path: Path, size: int, header: str, columns: Mapping[str, str]) -> "Stream":
        """The table as it was at `size` bytes; rows after them are removed.

        A run that resumes writes these rows again.

        Raises:
            ResultsError: if the file is missing, shorter, begins with another header, or no row
                ends at `size`.
        """
        stream = cls.__new__(cls)
        stream._describe(path, header, columns)
        stream._cut(size)
        return stream

    @property
    def size(self) -> int:
        """Bytes written so far, header included."""
        return self._size

    def append(self, rows: Iterable[Sequence[ArrayLike] | np.ndarray]) -> None:
        """Write rows of one number per column, all of them at once.

        Raises:
            ValueError: if a row has too few or too many numbers, or one does not fit its format;
                then nothing is written.
            ResultsError: if the file cannot be written to, or somebody else has changed it.
        """
        text = "".join(self._line(row) for row in rows).encode()
        try:
            with self._path.open("rb+") as file:
                found = file.seek(0, os.SEEK_END)
                if found != self._size:
                    raise ResultsError(
                        f"{self._path} has {found} bytes, this run wrote {self._size}: "
                        "does another run write to the same folder?"
                    )
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise ResultsError(f"cannot write to {self._path} ({error.strerror})") from error
        self._size += len(text)

    def _describe(self, path: Path, header: str, columns: Mapping[str, str]) -> None:
        self._path = path
        self._formats = tuple(columns.values())
        lines = [*header.splitlines(), " ".join(columns)]
        self._head = "".join(f"# {line}\n" for line in lines).encode()

    def _line(self, row: Sequence[ArrayLike] | np.ndarray) -> str:
        # Python's own numbers: NumPy's bools have no format for integers.
        fields = (
            format(np.asarray(value).item(), spec)
            for value, spec in zip(row, self._formats, strict=True)
        )
        return " ".join(fields) + "\n"

    def _cut(self, size: int) -> None:
        try:
            with self._path.open("rb+") as file:
                found = file.seek(0, os.SEEK_END)
                if found < size:
                    raise self._not_resumable(f"has {found} bytes", size)
                file.seek(0)
                if file.read(len(self._head)) != self._head or size < len(self._head):
                    raise self._not_resumable("begins with another header", size)
                file.seek(size - 1)
                if file.read(1) != b"\n":
                    raise self._not_resumable(f"has no row that ends at byte {size}", size)
                file.truncate(size)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise self._not_resumable(f"cannot be opened ({error.strerror})", size) from error
        self._size = size

    def _not_resumable(self, found: str, size: int) -> ResultsError:
        return ResultsError(
            f"{self._path} {found}, but the run to resume had written {size} bytes of it: {_REMEDY}"
        )
