"""The version of this package."""

from importlib import metadata


def version() -> str:
    """Of this package, as it is installed; pyproject.toml is where it is written."""
    try:
        return metadata.version("deeppseudopot-jax")
    except metadata.PackageNotFoundError:
        return "(version unknown: not installed)"
