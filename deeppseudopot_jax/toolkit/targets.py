"""Files that a command will write, looked at before it computes anything."""

from collections.abc import Iterable
from pathlib import Path

from deeppseudopot_jax.errors import ResultsError


def refuse_existing(paths: Iterable[Path], overwrite: bool) -> None:
    """No file is replaced unless `overwrite` says so.

    Raises:
        ResultsError: naming all the files that are there, or a folder in the place of one.
    """
    paths = list(paths)
    folders = [str(path) for path in paths if path.is_dir()]
    if folders:
        raise ResultsError(f"{', '.join(folders)}: a folder is in the place of the file")
    present = [str(path) for path in paths if path.exists()]
    if present and not overwrite:
        raise ResultsError(
            f"{', '.join(present)}: choose another name, or allow it to be replaced (--overwrite)"
        )
