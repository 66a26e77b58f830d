"""The results folder, and files that appear in it complete or not at all."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deeppseudopot_jax.errors import ResultsError

# What a killed run leaves: .<stem>.<pid>.part<suffix>
_TEMPORARY = re.compile(r"\..+\.[0-9]+\.part(\.[^.]+)?")


@contextmanager
def atomic_path(path: Path | str) -> Iterator[Path]:
    """A temporary name in the folder of `path`, with its suffix; becomes `path` on success.

    The file is on the disk before it gets its name, so that whoever sees `path` sees all of it.
    When the block raises, the temporary file is removed and `path` stays as it was.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix}")
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


class ResultsFolder:
    """A folder to write results to, checked at once and created when the first file is asked for.

    Args:
        path: the folder; its parents are created too.
        inputs: the inputs folder of the run, which must be another one.
        overwrite: whether the folder may hold files already. They are replaced one by one, as
            their successors are written; only temporary files of a killed run are removed.

    Raises:
        ResultsError: if the folder is the inputs folder, holds files already, or cannot be written
            to.
    """

    def __init__(
        self, path: Path | str, inputs: Path | str | None = None, overwrite: bool = False
    ) -> None:
        self.path = Path(path)
        self._inputs, self._overwrite = inputs, overwrite
        self._outer: ResultsFolder | None = None
        self._inner: set[str] = set()
        self._ready = False
        self._earlier: set[str] = set()
        if inputs is not None and self.path.resolve() == Path(inputs).resolve():
            raise ResultsError(
                f"the results folder {self.path} is the inputs folder: choose another one"
            )
        self._check_contents()
        self._check_permission()

    def file(self, name: str) -> Path:
        """Where to write the file `name`; creates the folder.

        Raises:
            ResultsError: if the folder cannot be created, was filled by another run in the
                meantime, or `name` is not a plain file name.
        """
        self._check_name(name)
        if not self._ready:
            self._create()
        self._earlier.discard(name)
        return self.path / name

    def folder(self, name: str) -> "ResultsFolder":
        """The folder `name` inside this one, checked in the same way; created with its first file.

        Raises:
            ResultsError: if it cannot be used, or `name` is not a plain file name.
        """
        self._check_name(name)
        inner = ResultsFolder(self.path / name, self._inputs, self._overwrite)
        inner._outer = self
        self._inner.add(name)
        return inner

    def left_over(self) -> list[str]:
        """Files, and folders/, that were here before, and that nobody has asked for since."""
        found = {name: self.path / name for name in self._earlier - self._inner}
        files = [name for name, path in found.items() if path.is_file()]
        return sorted(files + [f"{name}/" for name, path in found.items() if path.is_dir()])

    def _check_name(self, name: str) -> None:
        if Path(name).name != name or name in ("", ".."):
            raise ResultsError(f"{name!r} cannot be the name of a results file")

    def _create(self) -> None:
        if self._outer is not None and not self._outer._ready:
            self._outer._create()
        self._check_contents()
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            for entry in list(self.path.iterdir()):
                if _TEMPORARY.fullmatch(entry.name):
                    entry.unlink(missing_ok=True)
                else:
                    self._earlier.add(entry.name)
        except OSError as error:
            raise self._not_writable(error.strerror) from error
        self._ready = True

    def _check_contents(self) -> None:
        try:
            used = self.path.exists() and next(self.path.iterdir(), None) is not None
        except OSError as error:
            raise self._not_writable(error.strerror) from error
        if used and not self._overwrite:
            raise ResultsError(
                f"the results folder {self.path} is not empty: choose another one, or allow its "
                "files to be replaced (--overwrite)"
            )

    def _check_permission(self) -> None:
        """Find out now, not after hours, that nothing can be written."""
        existing = self.path.absolute()
        while not existing.exists():
            existing = existing.parent
        if not existing.is_dir():
            raise self._not_writable(f"{existing} is a file")
        if not os.access(existing, os.W_OK | os.X_OK):
            raise self._not_writable(f"no permission to write to {existing}")

    def _not_writable(self, reason: str | None) -> ResultsError:
        return ResultsError(
            f"cannot write to the results folder {self.path} ({reason}): choose another one"
        )
