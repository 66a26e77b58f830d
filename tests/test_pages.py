"""The pages of docs/: names, files and messages in them are those of the code."""

import ast
import re
from functools import cache
from importlib import import_module
from itertools import product
from pathlib import Path

import pytest

import deeppseudopot_jax
from deeppseudopot_jax.run import file_names
from deeppseudopot_jax.toolkit.density.files import FORMATS, targets_in
from deeppseudopot_jax.toolkit.export import structures, writing

REPOSITORY = Path(__file__).parents[1]
DOCS = REPOSITORY / "docs"
PACKAGE = REPOSITORY / "deeppseudopot_jax"
TOOLKIT = sorted(path.parent.name for path in (PACKAGE / "toolkit").glob("*/__init__.py"))


@cache
def text_of(page: str) -> str:
    return (DOCS / page).read_text(encoding="utf-8")


def first_cells(page: str) -> list[str]:
    """The first cell of every row of every table."""
    rows = re.findall(r"^\| (.+?) \|", text_of(page), re.MULTILINE)
    return [row for row in rows if not row.startswith("---")]


def in_code(text: str) -> list[str]:
    return re.findall(r"`([^`]+)`", text)


# --- theory.md


def test_functions_of_the_formulas_exist():
    names = set(re.findall(r"`([a-z_]+(?:\.\w+)+)`", text_of("theory.md")))
    assert len(names) > 40
    for name in names:
        module, _, attribute = name.rpartition(".")
        assert hasattr(import_module(f"deeppseudopot_jax.{module}"), attribute), name


# --- files.md


def named(pattern: str) -> str:
    """A name on the page as a regular expression."""
    found = re.escape(pattern)
    found = found.replace(re.escape("[mcOpts*_]"), "(mcOpts.*_)?")
    found = found.replace("<X>", r"\d+").replace("<N>", r"\d+").replace("<i>", r"\d+")
    found = found.replace("<n>", r"\d+").replace("<atom>", "[A-Z][a-z]*").replace("<stem>", r"\w+")
    return re.sub(r"\\\{([\w,]+)\\\}", lambda m: f"({m[1].replace(',', '|')})", found)


@cache
def described() -> re.Pattern:
    """All names on the page."""
    before, _, after = text_of("files.md").partition("\n## Of every potential")
    prefixes = in_code("".join(re.findall(r"^\| (`.+?`) \|", before, re.MULTILINE)))
    stage = f"({'|'.join(map(named, prefixes))})"
    cells = re.findall(r"^\| (.+?) \|", after, re.MULTILINE)
    names = [name for cell in cells for name in in_code(cell)]
    return re.compile("|".join(named(name).replace("<stage>", stage) for name in names))


def samples(pattern: re.Pattern) -> set[str]:
    """A name for every way through a regular expression; what repeats is there once."""
    return set(map("".join, _ways(re._parser.parse(pattern.pattern))))


def _ways(tree) -> list[tuple[str, ...]]:
    return [sum(parts, ()) for parts in product(*(_of_item(*item) for item in tree))]


def _of_item(kind, value) -> list[tuple[str, ...]]:
    kind = str(kind)
    if kind == "LITERAL":
        return [(chr(value),)]
    if kind == "ANY":
        return [("1",)]
    if kind == "IN":
        first = value[0]
        return [("3",)] if str(first[0]) == "CATEGORY" else [(chr(first[1][0]),)]
    if kind == "SUBPATTERN":
        return _ways(value[3])
    if kind == "BRANCH":
        return [way for branch in value[1] for way in _ways(branch)]
    assert kind == "MAX_REPEAT", kind
    low, high, inner = value
    return ([()] if low == 0 and high == 1 else []) + _ways(inner)


def test_every_name_of_a_run_and_of_an_evaluation_is_described():
    found = samples(file_names._RUN) | samples(file_names._EVALUATION)
    assert {"final_qSpace_pot.dat", "mcOpts1_best_PPmodel.pth", "eval_BS_sys3.dat"} <= found
    assert not sorted(name for name in found if not described().fullmatch(name))


def test_so_is_every_name_of_the_toolkit(tmp_path):
    found = {"SO_Ga.par", "clusters.dat", "clusters.csv", writing._MODULE, "some_energies.dat"}
    for image in FORMATS:
        targets = targets_in(tmp_path / "inputs", tmp_path, 0, True, True, image, False)
        found |= {path.name for path in targets if path}
    found |= {f"clusters_plot{name}.{end}" for name in ("PCA", "PP") for end in ("pdf", "png")}
    for with_tail in (False, True):
        found |= {*writing._q_names(with_tail), *writing._pot_names(("Ga", "P"), with_tail)}
    found |= {writing._coefficients_name("Ga"), *(name.format(0) for name in structures.FORMATS)}
    assert not sorted(name for name in found if not described().fullmatch(name))


def test_nothing_is_described_that_nobody_writes():
    after = (
        text_of("files.md").partition("\n## Of every run")[2].partition("\n## Of the toolkit")[0]
    )
    for cell in re.findall(r"^\| (.+?) \|", after, re.MULTILINE):
        for name in in_code(cell):
            if "." not in name or name.startswith("traceback"):
                continue
            sample = re.sub(
                r"<[XNin]>", "3", name.replace("[mcOpts*_]", "").replace("<atom>", "Ga")
            )
            sample = re.sub(r"\{(\w+)[\w,]*\}", r"\1", sample)
            assert file_names.of_run(sample) or file_names.of_evaluation(sample), name


# --- troubleshooting.md


@cache
def texts_of_the_code() -> str:
    """All texts in the code, a line each; what is filled in is a star."""
    found = []
    for path in PACKAGE.rglob("*.py"):
        nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
        docstrings = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
        for node in nodes:
            if id(node) in docstrings:
                continue
            if isinstance(node, ast.JoinedStr):
                parts = (v.value if isinstance(v, ast.Constant) else "*" for v in node.values)
                found.append("".join(map(str, parts)))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(node.value)
    return "\n".join(text.replace("\n", " ") for text in found)


def test_every_quoted_message_is_one_of_the_code():
    tables = text_of("troubleshooting.md").partition("\n## ")[2]
    quoted = [
        name
        for cell in re.findall(r"^\| (`.+?`) \| ", tables, re.MULTILINE)
        for name in in_code(cell)
    ]
    assert len(quoted) > 45
    for message in quoted:
        pattern = "[^\n]*".join(re.escape(part) for part in message.split("..."))
        assert re.search(pattern, texts_of_the_code()), message


# --- api.md


@pytest.mark.parametrize("package", ["", *(f"toolkit.{name}" for name in TOOLKIT)])
def test_every_public_name_is_on_the_page(package):
    module = import_module(f"deeppseudopot_jax.{package}".rstrip("."))
    blocks = text_of("api.md").split("```{eval-rst}")[1:]
    ours = [b for b in blocks if f".. currentmodule:: {module.__name__}\n" in b]
    found = re.findall(r"^\.\. auto\w+:: (\w+)", "\n".join(ours), re.MULTILINE)
    assert sorted(found) == sorted(set(module.__all__) - {"loss"})
    assert deeppseudopot_jax.loss is deeppseudopot_jax.cost


# --- index.md, quickstart.md


def test_the_quick_start_is_the_same_on_both_pages():
    block = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)
    assert block.findall(text_of("index.md"))[0] == block.findall(text_of("quickstart.md"))[0]
