"""What a folder is read for: one prepared for a fit can be evaluated as it is."""

from dataclasses import replace
from typing import Literal, TypeVar

from pydantic import BaseModel

from deeppseudopot_jax.files.bundle.key_value import KeyFile

Purpose = Literal["run", "eval"]
Model = TypeVar("Model", bound=BaseModel)


def without_fits(keys: KeyFile[Model], *fits: str) -> KeyFile[Model]:
    """The keys with the fields `fits` at their defaults, which are off; a note tells which."""
    asked = [name for name in fits if getattr(keys.values, name)]
    if not asked:
        return keys
    names = ", ".join(keys.key(name) for name in asked)
    keys.document.findings.note(f"{keys.document.name}: {names} left out, nothing is fitted here.")
    off = {name: type(keys.values).model_fields[name].default for name in asked}
    return replace(keys, values=keys.values.model_copy(update=off))
