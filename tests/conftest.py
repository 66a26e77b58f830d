"""Shared fixtures: strict numerics, runtime-checked annotations, the reference material."""

import gc
import os
import shutil
import signal
import threading
from pathlib import Path

import jax
import pytest
from jaxtyping import install_import_hook
from markupsafe import Markup
from matplotlib.figure import Figure

# Checks every jaxtyping annotation of the package at run time, in the tests only.
with install_import_hook("deeppseudopot_jax", "beartype.beartype"):
    import deeppseudopot_jax  # noqa: F401

from deeppseudopot_jax.files.atomic import atomic_path
from deeppseudopot_jax.files.results.figures import style
from deeppseudopot_jax.files.results.report import render
from deeppseudopot_jax.run import console, workflows
from deeppseudopot_jax.run.stages import observables
from deeppseudopot_jax.run.stages.report.making import FILE, write_report

# Most tests run a program once, so that compiling it well takes longer than running it badly. The
# tests of the command line, as processes of their own, compile as users do.
if "JAX_DISABLE_MOST_OPTIMIZATIONS" not in os.environ:
    jax.config.update("jax_disable_most_optimizations", True)

# Tracing makes millions of objects that live on; looking through them takes a sixth of the time.
gc.set_threshold(100_000)

LONGEST = ("test_kills", "test_parallel", "test_compilation", "test_configs", "test_stages")
"""Modules of few and long tests: they begin, so that no worker waits for another in the end."""

# Whoever starts the tests in the background may have told them to ignore Ctrl-C; some send it.
if threading.current_thread() is threading.main_thread():
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Promotions of dtypes and ranks are written out: an implicit one may be a mistake, or cost time.
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")

REPOSITORY = Path(__file__).parents[1]


_BLANK = {".png": b"\x89PNG\r\n\x1a\n", ".svg": b'<svg xmlns="http://www.w3.org/2000/svg"/>\n'}

_MANY_MAPS = 30_000
"""Of memory, of which Linux gives a process 65530; a compiled program takes dozens of them."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest modules first, the others in their order."""
    rank = {name: number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: rank.get(item.path.stem, len(rank)))


@pytest.fixture(autouse=True, scope="module")
def room_for_programs():
    """Programs of earlier modules make room, before compiling crashes for want of it."""
    yield
    maps = Path("/proc/self/maps")
    if maps.exists() and maps.read_bytes().count(b"\n") > _MANY_MAPS:
        jax.clear_caches()


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of reference bundles and golden numbers."""
    return reference_material()


def reference_material() -> Path:
    """The folder of the fixture `shared`; tests skip where it is absent.

    On CI it must be there: a skipped golden test would be a green lie.
    """
    folder = Path(os.environ.get("DEEPPSEUDOPOT_SHARED", REPOSITORY.parent / "shared"))
    if not (folder / "golden").is_dir():
        reason = f"no reference material at {folder} (set DEEPPSEUDOPOT_SHARED)"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return folder


@pytest.fixture(scope="session")
def golden(shared: Path) -> Path:
    """The folder of golden numbers."""
    return shared / "golden"


@pytest.fixture(scope="session")
def reference_bundle(shared: Path, tmp_path_factory: pytest.TempPathFactory):
    """Copies a reference bundle to a temporary folder, with an NN_config.par where it has none."""

    def copy(name: str, config: str = "") -> Path:
        folder = tmp_path_factory.mktemp("bundles") / name
        folder.mkdir()
        for file in (shared / "bundles" / name).iterdir():
            shutil.copyfile(file, folder / file.name)
        default = "PPmodel = ZeroFunction\nhiddenLayers = 1\nnSystem = 1\n"
        if config or not (folder / "NN_config.par").exists():
            (folder / "NN_config.par").write_text(config or default)
        return folder

    return copy


@pytest.fixture(scope="session", autouse=True)
def quick_reports():
    """Reports without their figures, which take a second, by runs in this process.

    A report that cannot be made is an error here, where a run would only tell it. Gives what draws
    the figures.
    """
    drawn = render.drawn

    def loud(session):
        outputs, evaluated = session.outputs, session.plan.mode == "evaluate"
        if outputs.folder is not None:
            write_report(session.bundle, outputs.file(FILE), evaluated, outputs.painter)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(workflows, "at_the_end", loud)
        patch.setattr(render, "drawn", lambda chart, name: Markup("<svg></svg>"))
        yield drawn


@pytest.fixture(scope="session", autouse=True)
def no_kept_programs():
    """Commands in this process keep no compiled programs: all that follows would write its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(console, "keep_compiled_programs", lambda: None)
        yield


@pytest.fixture(scope="module", autouse=True)
def quick_figures(request):
    """Figures by runs in this process are made, but not drawn, which takes half of a short run.

    Modules in which DRAWS is true have them whole.
    """
    with pytest.MonkeyPatch.context() as patch:
        if not getattr(request.module, "DRAWS", False):
            patch.setattr(style, "_save", _blank)
        yield


def _blank(figure: Figure, path: Path | str) -> None:
    with atomic_path(path) as temporary:
        temporary.write_bytes(_BLANK.get(temporary.suffix, b"%PDF-1.4\n%%EOF\n"))


@pytest.fixture(scope="module", autouse=True)
def quick_observables(request):
    """Runs in this process tell no mass tensors, whose programs take seconds to compile.

    Modules in which TELLS_MASSES is true have them.
    """
    with pytest.MonkeyPatch.context() as patch:
        if not getattr(request.module, "TELLS_MASSES", False):
            patch.setattr(observables, "edge_masses", lambda *_: [])
        yield


@pytest.fixture(scope="session")
def configs() -> Path:
    """The project's own bundles."""
    return REPOSITORY / "configs"
