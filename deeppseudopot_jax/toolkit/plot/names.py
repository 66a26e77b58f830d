"""What legends call files and folders."""

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from deeppseudopot_jax.errors import InputError

_COMMON = re.compile(r"_(BS_sys\d+|qSpace_pot)$")
"""What tables of one kind have in common, at the end of their stems."""


def legend_names(paths: Sequence[Path], labels: Sequence[str] = ()) -> list[str]:
    """Distinct names of files or folders: the labels if there are any, else what tells them apart.

    That is the stem of a file; where several have the same one, the folder as well; or all of the
    path.

    Raises:
        InputError: if there are labels, but not one for each, or two are the same.
    """
    if labels and (len(labels) != len(paths) or len(set(labels)) < len(labels)):
        raise InputError(
            f"--label: found {', '.join(labels)}; legal: {len(paths)} different ones, for "
            f"{', '.join(map(str, paths))}"
        )
    return [_as_text(name) for name in labels or distinct_names(paths)]


def distinct_names(paths: Sequence[Path]) -> list[str]:
    """The shortest names that tell paths apart.

    Raises:
        InputError: if a path is given twice.
    """
    resolved = [path.resolve() for path in paths]
    twice = [str(p) for p, count in Counter(resolved).items() if count > 1]
    if twice:
        raise InputError(f"{twice[0]} is given twice")
    shapes = (
        [_COMMON.sub("", path.stem) if path.suffix else path.name for path in resolved],
        [f"{path.parent.name}/{_COMMON.sub('', path.stem)}" for path in resolved],
        [f"{path.parent.name}/{path.name}" for path in resolved],
    )
    different = (names for names in shapes if len(set(names)) == len(names))
    return next(different, [str(path) for path in paths])


def _as_text(name: str) -> str:
    """A name as matplotlib shows it: no mathematics, and no underscore that would hide it."""
    return name.replace("$", r"\$").lstrip("_") or "unnamed"
