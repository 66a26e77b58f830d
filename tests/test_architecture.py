"""The layers of the package: a module imports only from its own layer or a lower one."""

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "deeppseudopot_jax"
LAYERS = (
    ("errors", "version", "arguments", "bundle_arguments", "units", "types", "settings", "stages",
     "numerics", "records"),
    ("crystal", "basis", "parallel", "parameters", "symmetry_points", "symmetry_library",
     "space_group", "k_path", "band_curves", "resources", "primitive_cell"),
    ("potentials",),
    ("hamiltonian", "eigensolvers", "batching"),
    ("problem", "observables"),
    ("costs", "initialise", "training", "montecarlo"),
    ("files",),
    # "" is the package itself: whoever imports its public names stands above all of them.
    ("", "run"),
    ("toolkit",),
    ("cli", "__main__"),
)  # fmt: skip
LAYER_OF = {name: number for number, names in enumerate(LAYERS) for name in names}
FIRST_WITH_FILES = LAYER_OF["files"]
FORBIDDEN_CALLS = {"open", "print", "input"}
FILE_METHODS = {
    "open", "read_text", "read_bytes", "write_text", "write_bytes", "mkdir", "unlink", "exists",
    "is_file", "is_dir", "iterdir", "glob", "rglob", "load", "loadtxt", "genfromtxt", "fromfile",
    "save", "savez", "savetxt", "tofile",
}  # fmt: skip


def module_name(path: Path) -> str:
    """`hamiltonian.local` for deeppseudopot_jax/hamiltonian/local.py, "" for the package."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


TREES = {
    module_name(path): ast.parse(path.read_text(encoding="utf-8"))
    for path in sorted(PACKAGE.rglob("*.py"))
}


def layer(module: str) -> int:
    """Number of a module's layer."""
    return LAYER_OF[module.split(".")[0]]


def imports(module: str, at_once: bool = False) -> set[str]:
    """Absolute names of all that a module imports; also inside functions, if not `at_once`."""
    found = set()
    for node in TREES[module].body if at_once else ast.walk(TREES[module]):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: a relative import"
            for alias in node.names:  # `from package import module` imports the module
                inner = f"{node.module}.{alias.name}".removeprefix(f"{PACKAGE.name}.")
                found.add(f"{PACKAGE.name}.{inner}" if inner in TREES else str(node.module))
    return found


def own_imports(module: str, at_once: bool = False) -> set[str]:
    """The modules of this package among the imports, without the package's name."""
    names = (name for name in imports(module, at_once) if name.split(".")[0] == PACKAGE.name)
    return {name.removeprefix(PACKAGE.name).lstrip(".") for name in names}


def calls(module: str) -> set[str]:
    """Names of the functions and `.methods` that a module calls."""
    functions = [node.func for node in ast.walk(TREES[module]) if isinstance(node, ast.Call)]
    names = {function.id for function in functions if isinstance(function, ast.Name)}
    methods = {f".{f.attr}" for f in functions if isinstance(f, ast.Attribute)}
    return names | methods


CORE = [name for name in TREES if LAYER_OF.get(name.split(".")[0], 99) < FIRST_WITH_FILES]


def test_every_module_has_a_layer():
    unknown = {name for name in TREES if name.split(".")[0] not in LAYER_OF}
    assert not unknown, "give them a place in the table of layers"
    assert len(CORE) > 25


@pytest.mark.parametrize("module", TREES)
def test_imports_come_from_the_same_or_a_lower_layer(module):
    higher = {name for name in own_imports(module) if layer(name) > layer(module)}
    assert not higher


@pytest.mark.parametrize("module", CORE)
def test_the_core_neither_prints_nor_touches_files(module):
    assert not calls(module) & FORBIDDEN_CALLS
    assert not {name.lstrip(".") for name in calls(module) if name[0] == "."} & FILE_METHODS


def test_matplotlib_is_imported_by_the_figures_only():
    users = {
        module for module in TREES if any(n.split(".")[0] == "matplotlib" for n in imports(module))
    }
    assert all(module.startswith("files.results.figures") for module in users), users


def test_what_draws_is_imported_when_something_is_drawn():
    templates = {"files.results.report.render", "toolkit.export.template"}
    slow = ("files.results.figures", *templates)
    users = {
        module: needed
        for module in TREES
        if not module.startswith(slow)
        and (needed := {name for name in own_imports(module, True) if name.startswith(slow)})
    }
    assert users == {}
    makers = {module for module in TREES if "jinja2" in imports(module)}
    assert makers == templates


def test_training_and_monte_carlo_do_not_know_each_other():
    for one, other in (("training", "montecarlo"), ("montecarlo", "training")):
        for module in TREES:
            if module.split(".")[0] == one:
                assert not any(name.split(".")[0] == other for name in own_imports(module))


def test_reading_bundles_needs_records_and_the_names_of_the_models_only():
    allowed = {*LAYERS[0], "parameters", "potentials.catalogue"}  # where a0 to a8 stand
    allowed |= {"crystal", "k_path", "symmetry_points", "resources"}  # what a crystal can be
    for module in TREES:
        if module.startswith("files.bundle"):
            others = {name for name in own_imports(module) if layer(name) != layer(module)}
            assert others <= allowed, module


def test_no_two_parts_of_a_package_need_each_other():
    for package in {".".join(name.split(".")[:depth]) for name in TREES for depth in range(3)}:
        graph = needs_among_parts(package)
        try:
            list(TopologicalSorter(graph).static_order())
        except CycleError as error:
            pytest.fail(f"a circle in {package or 'the package'}: {' -> '.join(error.args[1])}")


def needs_among_parts(package: str) -> dict[str, set[str]]:
    """Which modules and packages directly in a package import which others of them."""
    prefix = f"{package}." if package else ""
    graph: dict[str, set[str]] = {}
    for module in TREES:
        if module.startswith(prefix) and module != package and module:
            part = module.removeprefix(prefix).split(".")[0]
            needed = (name for name in own_imports(module) if name.startswith(prefix) and name)
            parts = {name.removeprefix(prefix).split(".")[0] for name in needed}
            graph.setdefault(part, set()).update(parts - {part, ""})
    return graph


def test_eigensolvers_know_matrices_and_operators_only():
    for module in TREES:
        if module.split(".")[0] == "eigensolvers":
            assert {name.split(".")[0] for name in own_imports(module)} <= {
                "eigensolvers",
                "errors",
                "records",
            }


def test_the_walk_sees_what_it_should():
    assert "hamiltonian.local" in own_imports("hamiltonian.assemble")
    assert "jax.numpy" in imports("numerics")
    assert layer("hamiltonian.assemble") == 3
    assert "torch_pickle" in needs_among_parts("files")["bundle"]
    assert calls("eigensolvers.dense") >= {".matrix", "subset_eigenpairs"}
    assert "lowest_eigenpairs" in calls("eigensolvers.lapack_ffi")
