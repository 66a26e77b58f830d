"""Files that belong together, such as weights, moments and coefficients of one potential.

They are written to a hidden folder `.<name>.<pid>.part`, which becomes `.<name>.whole` when all of
them are on the disk. Then their predecessors are removed, and they take their places. Whenever this
ends, what is visible is of one generation: all of it, or, for an instant, a part. Whoever uses the
results folder next completes it from what `.<name>.whole` still holds.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deeppseudopot_jax.files.disk import sync_folder, writing
from deeppseudopot_jax.files.interrupts import uninterrupted

_WHOLE = ".whole"
_LAST = "_PPmodel.pth"
"""Who finds weights finds what belongs to them."""


@contextmanager
def generation(folder: Path, name: str) -> Iterator[Path]:
    """A hidden folder for the files of a generation, under the names they will have in `folder`.

    When the block raises, the generation before stays as it is.

    Raises:
        ResultsError: if they cannot be written.
    """
    whole, staged = folder / f".{name}{_WHOLE}", folder / f".{name}.{os.getpid()}.part"
    with uninterrupted(), writing(folder / name):
        if whole.exists():
            _complete(whole)
        shutil.rmtree(staged, ignore_errors=True)
        try:
            staged.mkdir()
            yield staged
            sync_folder(staged)
            staged.rename(whole)
        finally:
            shutil.rmtree(staged, ignore_errors=True)
        _complete(whole)


def complete_generations(folder: Path) -> None:
    """Finish what a killed run has begun.

    Raises:
        OSError: if that cannot be done.
    """
    for whole in folder.glob(f".*{_WHOLE}"):
        if whole.is_dir():
            _complete(whole)


def files_of(folder: Path, name: str) -> dict[str, Path]:
    """The files of a folder by their names; those of a generation on its way are where they are."""
    places = (folder, folder / f".{name}{_WHOLE}")
    found = (path for place in places if place.is_dir() for path in place.iterdir())
    return {path.name: path for path in found if path.is_file()}


def _complete(whole: Path) -> None:
    """Files in `whole` have not taken their places yet: what is there is older."""
    folder = whole.parent
    sync_folder(folder)
    parts = sorted(whole.iterdir(), key=lambda part: part.name.endswith(_LAST))
    for part in reversed(parts):
        (folder / part.name).unlink(missing_ok=True)
    for part in parts:
        part.rename(folder / part.name)
    sync_folder(folder)
    whole.rmdir()
