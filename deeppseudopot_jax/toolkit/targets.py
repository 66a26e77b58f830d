"""Files that a command will write, looked at before it computes anything."""

from collections.abc import Iterable
from pathlib import Path

from deeppseudopot_jax.errors import ResultsError


def refuse_existing(paths: Iterable[Path], overwrite: bool) -> None:
    """No file is replaced unless `overwrite` says so.

    Raises:
        ResultsError: naming all the files that are there, a folder in the place of one, or a file
            in the place of their folder.
    """
    paths = list(paths)
    parents = {str(p.parent) for p in paths if p.parent.exists() and not p.parent.is_dir()}
    if parents:
        raise ResultsError(f"{', '.join(sorted(parents))} is no folder: choose another one")
    folders = [str(path) for path in paths if path.is_dir()]
    if folders:
        raise ResultsError(f"{', '.join(folders)}: a folder is in the place of the file")
    present = [str(path) for path in paths if path.exists()]
    if present and not overwrite:
        raise ResultsError(
            f"{', '.join(present)}: there already; choose another name, or allow files to be "
            "replaced (--overwrite)"
        )
