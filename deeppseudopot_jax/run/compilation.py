"""Compiled programs are kept from run to run, and how long compiling takes is told."""

import hashlib
import os
import platform
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import jax
import jax.monitoring
from platformdirs import user_cache_path

_SIZE = 256 * 2**20
"""Bytes; the programs of a run take one or two MiB, and those used last stay."""

_COMPILED = "/jax/core/compile/backend_compile_duration"
_FOUND = "/jax/compilation_cache/cache_hits"


def keep_compiled_programs() -> None:
    """Use JAX's compilation cache, in the user's cache folder unless the environment names one.

    Programs are made for one type of processor; where several share a home, each has a folder.
    """
    if "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS" not in os.environ:
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    if os.environ.get("JAX_COMPILATION_CACHE_DIR"):
        return
    folder = user_cache_path("deeppseudopot_jax", appauthor=False) / f"compiled-{_processor()}"
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_compilation_cache_max_size", _SIZE)


class Ahead:
    """Programs that are compiled beside the stages of a run, until somebody needs them."""

    def __init__(self) -> None:
        """Nothing is begun."""
        self._pool = ThreadPoolExecutor(1, "compiler")
        self._begun: list[Future] = []

    def begin(self, compile_: Callable[..., None], *arguments: object) -> None:
        """`compile_(*arguments)`, after what was begun before."""
        self._begun.append(self._pool.submit(compile_, *arguments))

    def finish(self) -> None:
        """Return when all is compiled; what could not be is told where it is needed."""
        wait(self._begun)
        self._pool.shutdown()


@dataclass
class Compiled:
    """Programs that were compiled or taken from the cache, and the seconds it took."""

    programs: int = 0
    from_cache: int = 0
    seconds: float = 0.0

    def __str__(self) -> str:
        return (
            f"{self.programs} programs in {self.seconds:.1f} s, {self.from_cache} of them from the "
            "cache"
        )


@contextmanager
def counted() -> Iterator[Compiled]:
    """What is compiled inside the block."""
    found = Compiled()

    def on_duration(event: str, duration_secs: float, **_: str | int) -> None:
        if event == _COMPILED:
            found.programs += 1
            found.seconds += duration_secs

    def on_event(event: str, **_: str | int) -> None:
        if event == _FOUND:
            found.from_cache += 1

    jax.monitoring.register_event_duration_secs_listener(on_duration)
    jax.monitoring.register_event_listener(on_event)
    try:
        yield found
    finally:
        jax.monitoring.unregister_event_duration_listener(on_duration)
        jax.monitoring.unregister_event_listener(on_event)


def _processor() -> str:
    """A short name for what this processor can do."""
    text = platform.machine() + platform.processor()
    described = Path("/proc/cpuinfo")
    if described.exists():  # Linux
        lines = described.read_text(errors="replace").splitlines()
        known = {line for line in lines if line.startswith(("flags", "Features", "model name"))}
        text += "".join(sorted(known))
    return hashlib.sha256(text.encode()).hexdigest()[:12]
