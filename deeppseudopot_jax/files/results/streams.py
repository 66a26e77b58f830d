"""Text tables that grow while a run goes on, and are cut back to where it resumes."""

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import ArrayLike

from deeppseudopot_jax.errors import ResultsError
from deeppseudopot_jax.files.atomic import atomic_path
from deeppseudopot_jax.files.disk import append, writing
from deeppseudopot_jax.files.interrupts import uninterrupted

_REMEDY = "put the file of that run back, or start the run anew"


def size_of_rows(path: Path, n_rows: int) -> int:
    """Bytes of a table up to the end of its n-th row, header included.

    Raises:
        ResultsError: if the file cannot be read, or has fewer rows.
    """
    size, missing = 0, n_rows
    try:
        with path.open("rb") as file:
            for line in file:
                is_row = not line.startswith(b"#")
                if is_row and not missing:
                    break
                missing -= is_row
                size += len(line)
    except OSError as error:
        raise ResultsError(f"{path} cannot be opened ({error.strerror}): {_REMEDY}") from error
    if missing:
        raise ResultsError(
            f"{path} has {n_rows - missing} rows, but the run to resume had written {n_rows} of "
            f"them: {_REMEDY}"
        )
    return size


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
        stream = cls.check(path, size, header, columns)
        stream.cut_back(size)
        return stream

    @classmethod
    def check(cls, path: Path, size: int, header: str, columns: Mapping[str, str]) -> "Stream":
        """What `reopened` raises, and the table as it is: nothing is written."""
        stream = cls.__new__(cls)
        stream._describe(path, header, columns)
        stream._size = stream._checked(size)
        return stream

    @property
    def size(self) -> int:
        """Bytes written so far, header included."""
        return self._size

    def append(self, rows: Iterable[Sequence[ArrayLike] | np.ndarray]) -> None:
        """Write rows of one number per column: all of them or, where that fails, none.

        They are counted with the same step as they are written, whatever interrupts it.

        Raises:
            ValueError: if a row has too few or too many numbers, or one does not fit its format;
                then nothing is written.
            ResultsError: if the file cannot be written to, or somebody else has changed it.
        """
        text = "".join(self._line(row) for row in rows).encode()
        path = self._path
        with uninterrupted(), writing(path), path.open("rb+", buffering=0) as file:
            found = file.seek(0, os.SEEK_END)
            if found != self._size:
                raise ResultsError(
                    f"{path} has {found} bytes, this run wrote {self._size}: "
                    "does another run write to the same folder?"
                )
            append(file, text, to_disk=True)
            self._size += len(text)

    def cut_back(self, size: int) -> None:
        """Remove the rows behind `size` bytes.

        Raises:
            ResultsError: if that cannot be done.
        """
        with uninterrupted(), writing(self._path), self._path.open("rb+", buffering=0) as file:
            file.truncate(size)
            os.fsync(file.fileno())
            self._size = size

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

    def _checked(self, size: int) -> int:
        """Bytes of the file, in which a row must end at `size`."""
        try:
            with self._path.open("rb") as file:
                found = file.seek(0, os.SEEK_END)
                if found < size:
                    raise self._not_resumable(f"has {found} bytes", size)
                file.seek(0)
                if file.read(len(self._head)) != self._head or size < len(self._head):
                    raise self._not_resumable("begins with another header", size)
                file.seek(size - 1)
                if file.read(1) != b"\n":
                    raise self._not_resumable(f"has no row that ends at byte {size}", size)
        except OSError as error:
            raise self._not_resumable(f"cannot be opened ({error.strerror})", size) from error
        return found

    def _not_resumable(self, found: str, size: int) -> ResultsError:
        return ResultsError(
            f"{self._path} {found}, but the run to resume had written {size} bytes of it: {_REMEDY}"
        )
