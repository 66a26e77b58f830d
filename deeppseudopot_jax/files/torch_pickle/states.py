"""What a .pth file may be read for: the weights of a network, or the state of an optimizer."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from deeppseudopot_jax.files.findings import BundleError, Finding
from deeppseudopot_jax.files.torch_pickle.read import read_checkpoint


def read_state_dict(path: Path | str) -> dict[str, np.ndarray]:
    """The state dict in a .pth file: parameter names and (read-only) arrays of finite numbers.

    Raises:
        BundleError: if the file is damaged, holds something else, or numbers that are not finite.
        UnsafePickleError: if it asks for anything but data.
    """
    what, legal = "is no state dict", "a state dict (model.state_dict())"
    state = _dict_of_finite(Path(path), what, legal)
    for key, value in state.items():
        if not (isinstance(key, str) and isinstance(value, np.ndarray)):
            found, legal = f"{key}: {type(value).__name__}", "names with tensors"
            raise BundleError([Finding(Path(path).name, what, found=found, legal=legal)])
    return state


def read_optimizer_state(path: Path | str) -> dict:
    """The state of an optimizer in a .pth file, all of its numbers finite.

    Raises:
        BundleError: if the file is damaged, holds something else, or numbers that are not finite.
        UnsafePickleError: if it asks for anything but data.
    """
    legal = "a dict (optimizer.state_dict())"
    return _dict_of_finite(Path(path), "is no optimizer state", legal)


def _dict_of_finite(path: Path, otherwise: str, legal: str) -> dict:
    """The dict that a file holds; one problem for each of its entries with NaN or infinity."""
    state = read_checkpoint(path)
    if not isinstance(state, dict):
        found = type(state).__name__
        raise BundleError([Finding(path.name, otherwise, found=found, legal=legal)])
    problems = [
        Finding(path.name, f"{place} is not finite", found=found, legal="finite numbers")
        for place, found in _not_finite(state, ())
    ]
    if problems:
        raise BundleError(problems)
    return dict(state)


def _not_finite(content: object, keys: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """Where there is NaN or infinity, and the first such number."""
    match content:
        case dict():
            for key, value in content.items():
                yield from _not_finite(value, (*keys, str(key)))
        case list() | tuple():
            for index, value in enumerate(content):
                yield from _not_finite(value, (*keys, str(index)))
        case float() | np.ndarray():
            values = np.ravel(content)
            bad = values[~np.isfinite(values)]
            if bad.size:
                yield ": ".join(keys), f"{bad[0]}"
