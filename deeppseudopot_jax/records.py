"""Frozen records that are JAX pytrees."""

from typing import Any, TypeVar, dataclass_transform

from flax import struct

_T = TypeVar("_T")


def static(**default: Any) -> Any:
    """A field that is part of a record's structure (hashable, not an array).

    `default=` gives it a value where none is given.
    """
    return struct.field(pytree_node=False, **default)


@dataclass_transform(frozen_default=True, field_specifiers=(static,))
def record(cls: type[_T]) -> type[_T]:
    """A frozen dataclass registered as a pytree, with `replace`.

    The annotations of its fields describe one unbatched record; they are not checked at run time,
    because JAX also stores stacked arrays and placeholders in records.
    """
    made = struct.dataclass(cls)
    made.__no_type_check__ = True  # type: ignore[attr-defined]
    return made
