"""Optional dependencies, imported where they are used."""

from importlib import import_module
from types import ModuleType

from deeppseudopot_jax.errors import UnsupportedError


def needed(module: str, purpose: str, package: str, extra: str) -> ModuleType:
    """An optional module.

    Args:
        module: its name, "ase.io".
        purpose: what needs it, "reading a structure".
        package: the name of what is installed, "ASE".
        extra: of this package, which brings it.

    Raises:
        UnsupportedError: if it is not installed, naming the extra.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        raise UnsupportedError(
            f"{purpose} needs {package}: pip install 'deeppseudopot-jax[{extra}]'"
        ) from error
