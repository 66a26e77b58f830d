"""What is installed, and what a run computes with."""

import os
import platform
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import jax
import jaxlib
from threadpoolctl import threadpool_info

from deeppseudopot_jax.files.results.movies import movies_made_by
from deeppseudopot_jax.resources import physical_memory, spelled
from deeppseudopot_jax.run.checks.resources import available_memory
from deeppseudopot_jax.version import version

EXTRAS: Mapping[str, tuple[str, ...]] = {
    "bundles": ("ase", "seekpath"),
    "cluster": ("scikit-learn",),
}
"""Optional dependencies by the name of the extra that brings them."""
_NEEDED = ("numpy", "scipy", "flax", "optax", "spglib", "matplotlib")


def installation() -> dict[str, str]:
    """Facts by their name: versions, devices, precision, threads, memory, programs, cache."""
    return {
        "deeppseudopot-jax": version(),
        "Python": f"{platform.python_version()}, {platform.system()} {platform.machine()}",
        "JAX": f"{jax.__version__}, jaxlib {jaxlib.__version__}",
        "packages": ", ".join(f"{name} {_version(name)}" for name in _NEEDED),
        "devices": ", ".join(_devices()),
        "precision": "float64" if _setting("jax_enable_x64") else "float32 alone (JAX_ENABLE_X64)",
        "cores": str(
            len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        ),
        "BLAS": "; ".join(_blas()),
        "memory": f"{spelled(physical_memory())}, {spelled(available_memory())} free",
        "movies": movies_made_by(),
        **{f"extra {extra}": _extra(extra, names) for extra, names in EXTRAS.items()},
        "compile cache": _cache(),
    }


def _setting(name: str) -> Any:
    """Of JAX, which declares them at run time only."""
    return getattr(jax.config, name)


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "(not installed)"


def _extra(extra: str, names: tuple[str, ...]) -> str:
    found = {name: _version(name) for name in names}
    text = ", ".join(f"{name} {number}" for name, number in found.items())
    if "(not installed)" in found.values():
        text += f": pip install 'deeppseudopot-jax[{extra}]'"
    return text


def _cores() -> int | None:
    """Those that this process may use, where the system tells; else all."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count()


def _devices() -> list[str]:
    kinds = [device.device_kind for device in jax.devices()]
    return [f"{kinds.count(kind)} x {kind}" for kind in dict.fromkeys(kinds)]


def _blas() -> list[str]:
    """Every BLAS library that is loaded, and the threads it may use."""
    return [
        f"{library['internal_api']} {library['version']}, {library['num_threads']} threads"
        for library in threadpool_info()
        if library["user_api"] == "blas"
    ] or ["none loaded"]


def _cache() -> str:
    folder = _setting("jax_compilation_cache_dir")
    if not folder or not _setting("jax_enable_compilation_cache"):
        return "not used"
    files = [path for path in Path(folder).glob("*") if path.is_file()]
    n_bytes = float(sum(path.stat().st_size for path in files))
    return f"{folder}, {len(files)} files, {spelled(n_bytes)}"
