"""What public functions look at before anything is traced: the kinds, shapes and values given.

Shapes are known of every array, traced or not. Values are looked at where they are concrete and
few, so that no call waits for a large array of a device.
"""

import inspect
import operator
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, ParamSpec, TypeGuard, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from deeppseudopot_jax.errors import InputError

P = ParamSpec("P")
R = TypeVar("R")

Check = Callable[[str, Any, Mapping[str, Any]], None]
"""check(name, value, all arguments by name): raises where the value is not legal."""

Axes = tuple[int | str, ...]
"""Sizes of the axes of an array; a name stands for any size but zero."""

_MOST_VALUES = 10_000
"""Arrays with more numbers are not looked into."""


def checked(**checks: Check) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """A function whose arguments are checked on every call, in the order given here."""

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        signature = inspect.signature(function)
        assert checks.keys() <= signature.parameters.keys(), function

        @wraps(function)
        def with_checks(*args: P.args, **kwargs: P.kwargs) -> R:
            given = signature.bind(*args, **kwargs)
            given.apply_defaults()
            for name, check in checks.items():
                check(name, given.arguments[name], given.arguments)
            return function(*args, **kwargs)

        return with_checks

    return decorate


def refuse(name: str, found: object, legal: str) -> InputError:
    """The error for an argument: what was found, what is legal."""
    return InputError(f"{name}: found {found}; legal: {legal}")


def kind(*kinds: type) -> Check:
    """The argument is an object of one of these classes."""

    def check(name: str, value: Any, arguments: Mapping[str, Any]) -> None:
        if not isinstance(value, kinds):
            legal = " or ".join(f"a {each.__name__}" for each in kinds)
            raise refuse(name, described(value), legal)

    return check


def optional(check: Check) -> Check:
    """The argument is None, or what `check` wants."""

    def check_if_given(name: str, value: Any, arguments: Mapping[str, Any]) -> None:
        if value is not None:
            check(name, value, arguments)

    return check_if_given


def one_of(*legal: str) -> Check:
    """The argument is one of these words."""

    def check(name: str, value: Any, arguments: Mapping[str, Any]) -> None:
        if not (isinstance(value, str) and value in legal):
            raise refuse(name, repr(value), " or ".join(map(repr, legal)))

    return check


def array(
    *axes: int | str,
    legal: str = "finite numbers",
    good: Callable[[np.ndarray], Any] = np.isfinite,
) -> Check:
    """The argument is what `require_array` wants."""

    def check(name: str, value: Any, arguments: Mapping[str, Any]) -> None:
        require_array(name, value, axes, legal, good)

    return check


def positive(name: str, value: Any, arguments: Mapping[str, Any]) -> None:
    """The argument is a number > 0 that is not traced."""
    if is_traced(value):
        raise refuse(name, "a traced number", "a static number > 0 (static_argnames, or a closure)")
    require_array(name, value, (), "a number > 0", lambda numbers: numbers > 0)


def count(name: str, value: Any, arguments: Mapping[str, Any]) -> None:
    """The argument is a whole number >= 1 that is not traced."""
    if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < 1:
        raise refuse(name, described(value), "a whole number >= 1")


def require_array(
    name: str,
    value: Any,
    axes: Axes,
    legal: str = "finite numbers",
    good: Callable[[np.ndarray], Any] = np.isfinite,
) -> None:
    """Raise unless `value` is an array of real numbers with these axes, finite and `good`.

    Raises:
        InputError: with the shape, kind or first number that was found, and what is legal.
    """
    require_shape(name, value, axes)
    if is_known(value):
        numbers = np.asarray(value, float)
        bad = numbers[~(np.isfinite(numbers) & good(numbers))]
        if bad.size:
            raise refuse(name, f"{bad[0]:g}", legal)


def require_shape(name: str, value: Any, axes: Axes) -> None:
    """Raise unless `value` is an array of real numbers with these axes, whatever they are."""
    spelled = "(" + ", ".join(map(str, axes)) + ("," if len(axes) == 1 else "") + ")"
    legal = f"real numbers of shape {spelled}" if axes else "a real number"
    try:
        shape = np.shape(value)
        dtype = value.dtype if hasattr(value, "dtype") else np.asarray(value).dtype
    except ValueError:
        raise refuse(name, f"a ragged {type(value).__name__}", legal) from None
    if not any(jnp.issubdtype(dtype, number) for number in (jnp.floating, jnp.integer)):
        raise refuse(name, described(value), legal)
    fits = len(shape) == len(axes) and all(
        found == axis if isinstance(axis, int) else found > 0
        for found, axis in zip(shape, axes, strict=True)
    )
    if not fits:
        raise refuse(name, f"shape {shape}", legal)


def require_index(name: str, value: Any, size: int, owner: str) -> None:
    """Raise unless `value` is one of 0 to size - 1; of a traced one only the kind is known.

    Raises:
        InputError: if it is no whole number.
        IndexError: if it is out of range; `owner` tells of what.
    """
    legal = f"a whole number, 0 to {size - 1}"
    is_number = np.shape(value) == () and not isinstance(value, bool)
    if is_traced(value):
        if not (is_number and jnp.issubdtype(value.dtype, jnp.integer)):
            raise refuse(name, described(value), legal)
        return
    try:
        number = operator.index(value)
    except TypeError:
        is_number = False
    if not is_number:
        raise refuse(name, described(value), legal)
    if not 0 <= number < size:
        raise IndexError(f"{name}: found {number}; legal: 0 to {size - 1}, of {owner}")


def require_list(name: str, value: Any, legal: str) -> None:
    """Raise unless `value` is a list, a tuple or an array of one axis."""
    if not (isinstance(value, list | tuple) or len(np.shape(value)) == 1):
        raise refuse(name, described(value), legal)


def is_traced(value: Any) -> TypeGuard[jax.core.Tracer]:
    """Whether only shape and kind of a number or array are known here."""
    return isinstance(value, jax.core.Tracer)


def is_known(value: Any) -> bool:
    """Whether the numbers of an array can be had at little cost."""
    if is_traced(value):
        return False
    if isinstance(value, jax.Array) and not value.is_fully_addressable:
        return False
    return np.size(value) <= _MOST_VALUES


def described(value: Any) -> str:
    """What an argument is, in a few words."""
    if isinstance(value, jax.Array | np.ndarray | np.generic):
        return f"an array of {value.dtype} of shape {np.shape(value)}"
    if isinstance(value, bool | int | float | complex | str | None):
        return repr(value)
    return f"a {type(value).__name__}"
