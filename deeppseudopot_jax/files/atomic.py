"""The results folder, and files that appear in it complete or not at all."""

import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from deeppseudopot_jax.errors import ResultsError
from deeppseudopot_jax.files.disk import writing
from deeppseudopot_jax.files.generations import complete_generations, generation

# What a killed run leaves: .<stem>.<pid>.part<suffix>
_TEMPORARY = re.compile(r"\..+\.[0-9]+\.part(\.[^.]+)?")


@contextmanager
def atomic_path(path: Path | str) -> Iterator[Path]:
    """A temporary name in the folder of `path`, with its suffix; becomes `path` on success.

    The file is on the disk before it gets its name, so that whoever sees `path` sees all of it.
    When the block raises, the temporary file is removed and `path` stays as it was.

    Raises:
        ResultsError: if it cannot be written.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix}")
    with writing(path):
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
            their successors are written, unless `clear` removes them before. What a killed run has
            left half done is removed or completed with the first file.

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

    @contextmanager
    def together(self, name: str) -> Iterator["ResultsFolder"]:
        """A hidden folder for files that appear in this one all at once, when the block ends.

        A killed run leaves them visible, or those of the same names before them, or hidden for
        whoever uses the folder next.

        Raises:
            ResultsError: as for `file`, or if they cannot be written.
        """
        self._check_name(name)
        if not self._ready:
            self._create()
        with generation(self.path, name) as staged:
            yield ResultsFolder(staged)
            self._earlier -= {path.name for path in staged.iterdir()}

    def clear(self, own: Callable[[str], bool]) -> int:
        """Remove the files that `own` says are those of an earlier run, and count them.

        Raises:
            ResultsError: if one cannot be removed.
        """
        if not self.path.is_dir():
            return 0
        with writing(self.path):
            self._tidy()
            found = [path for path in self.path.iterdir() if own(path.name) and not path.is_dir()]
            for path in found:
                path.unlink(missing_ok=True)
        return len(found)

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
        with writing(f"the results folder {self.path}"):
            self.path.mkdir(parents=True, exist_ok=True)
            self._tidy()
            self._earlier = {path.name for path in self.path.iterdir()}
        self._ready = True

    def _tidy(self) -> None:
        """Nothing of what killed runs were writing is left."""
        complete_generations(self.path)
        for path in list(self.path.iterdir()):
            if _TEMPORARY.fullmatch(path.name):
                shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)

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
