"""Compiled programs are kept from run to run, and how long compiling takes is told."""

import hashlib
import os
import platform
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import jax
import jax.monitoring
from platformdirs import user_cache_path

_SIZE = 256 * 2**20
"""Bytes; the programs of a run take one or two MiB, and those used last stay."""

_COMPILED = "/jax/core/compile/backend_compile_duration"
_FOUND = "/jax/compilation_cache/cache_hits"
_WAITED = "/deeppseudopot_jax/waited_for_compiler"
_TRACING = (
    "/jax/core/compile/jaxpr_trace_duration",
    "/jax/core/compile/jaxpr_to_mlir_module_duration",
)


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
        start = time.perf_counter()
        wait(self._begun)
        jax.monitoring.record_event_duration_secs(_WAITED, time.perf_counter() - start)
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


@dataclass
class CompilingTime:
    """When a thread traced, lowered, compiled or fetched programs: spans apart, in order."""

    spans: list[tuple[float, float]] = field(default_factory=list)

    def add(self, start: float, end: float) -> None:
        """A span that ends now; those inside of it, as of a function that it calls, are part."""
        while self.spans and self.spans[-1][1] > start:
            start = min(start, self.spans.pop()[0])
        self.spans.append((start, end))

    @property
    def seconds(self) -> float:
        """How long it took in all."""
        return sum(end - start for start, end in self.spans)


@contextmanager
def compiling_time() -> Iterator[CompilingTime]:
    """How long this thread has the compiler work, or waits for it, inside the block."""
    found, thread = CompilingTime(), threading.get_ident()

    def on_duration(event: str, duration_secs: float, **_: str | int) -> None:
        if event in (_COMPILED, *_TRACING, _WAITED) and threading.get_ident() == thread:
            now = time.perf_counter()
            found.add(now - duration_secs, now)

    jax.monitoring.register_event_duration_secs_listener(on_duration)
    try:
        yield found
    finally:
        jax.monitoring.unregister_event_duration_listener(on_duration)


def _processor() -> str:
    """A short name for what this processor can do."""
    text = platform.machine() + platform.processor()
    described = Path("/proc/cpuinfo")
    if described.exists():  # Linux
        lines = described.read_text(errors="replace").splitlines()
        known = {line for line in lines if line.startswith(("flags", "Features", "model name"))}
        text += "".join(sorted(known))
    return hashlib.sha256(text.encode()).hexdigest()[:12]
