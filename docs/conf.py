"""How Sphinx makes pages of the Markdown files here: `make docs`."""

import html
import logging
import os
import re
import sys
import tomllib
from pathlib import Path

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml
from pygments.lexer import RegexLexer
from pygments.token import Comment, Name, Number, Operator, Text
from sphinx.application import Sphinx
from sphinx.writers.html5 import HTML5Translator

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))
_PROJECT = tomllib.loads((HERE.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]

project = "deeppseudopot_jax"
author = "The deeppseudopot_jax developers"
copyright = author
version = release = _PROJECT["version"]

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build", "gallery/*"]  # tables that pages include
suppress_warnings = ["epub.unknown_project_files"]
default_role = "literal"

myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 4

nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 600
nb_merge_streams = True
# Cells run a program once: compiling it well would take longer than running it badly.
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
os.environ["PYTHONPATH"] = os.pathsep.join([str(HERE.parent), os.environ.get("PYTHONPATH", "")])
# IPython's settings are these, not those of whoever builds the pages.
_PROFILE = HERE / "_build" / "ipython" / "profile_default"
_PROFILE.mkdir(parents=True, exist_ok=True)
(_PROFILE / "ipython_kernel_config.json").write_text('{"IPKernelApp": {"log_level": 40}}')
os.environ["IPYTHONDIR"] = str(_PROFILE.parent)
logging.getLogger("traitlets").setLevel(logging.WARNING)  # it would tell every page

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
maximum_signature_line_length = 80
python_display_short_literal_types = True
add_module_names = False
napoleon_numpy_docstring = False
napoleon_use_ivar = True  # the attributes of a record as one list
napoleon_attr_annotations = False  # the signature has them

html_theme = "furo"
html_math_renderer = "mathml"
html_title = f"deeppseudopot_jax {release}"
html_static_path = ["_static"]
html_css_files = ["pages.css"]
html_show_copyright = False
html_copy_source = False
html_theme_options = {"navigation_with_keys": True}

_LINK = re.compile(r"\[([^\[\]]+)\]\(([^)#:\s]+)((?:#[^)\s]*)?)\)")
_PAGES = {
    HERE.parent / "README.md": HERE / "readme.md",
    HERE.parent / "CHANGELOG.md": HERE / "changelog.md",
}


class BundleLexer(RegexLexer):
    """Files of a bundle: keys, numbers and comments."""

    name = "par"
    aliases = ("par",)
    tokens = {  # noqa: RUF012
        "root": [
            (r"#.*", Comment),
            (r"^(\s*)([A-Za-z_]\w*)(?=\s*=)", Name.Attribute),
            (r"=", Operator),
            (r"[-+]?\d+(\.\d*)?([eE][-+]?\d+)?\b", Number),
            (r"[^\s#=]+", Text),
            (r"\s+", Text),
        ]
    }


def for_pages(app: Sphinx, name: str, source: list[str]) -> None:
    """Links that the repository can follow and a built page cannot."""
    source[0] = _followed(source[0], (HERE / name).parent)


def for_included(app: Sphinx, path: Path, name: str, source: list[str]) -> None:
    """The same in what a page includes."""
    source[0] = _followed(source[0], Path(app.srcdir, path).resolve().parent)


def _followed(text: str, folder: Path) -> str:
    """README and changelog are pages here; of links to folders, the text alone stays."""

    def link(match: re.Match) -> str:
        target = (folder / match[2]).resolve()
        if target in _PAGES:
            return f"[{match[1]}]({os.path.relpath(_PAGES[target], folder)}{match[3]})"
        return match[1] if target.is_dir() else match[0]

    return _LINK.sub(link, text)


_PLAIN_SIGNS = re.compile(r"[|*]|(?<=\w)_(?!\w)")
_MODULES = re.compile(r"~?\b(?:[A-Za-z_]\w*\.)+(?=[A-Za-z_])")
_UNCHECKED_AXIS = re.compile(r"(?<=[' ])_(?=[a-z])")
_BREAKS = re.compile(r"(?<=\w)[._/]+(?=\w)")
_OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]*")
_OF_PROPERTIES: dict[str, list[str]] = {}


def plain(app: Sphinx, kind: str, name: str, found: object, options: object, lines: list) -> None:
    """Docstrings are plain text with names in backticks: bars and stars mean themselves there."""
    for number, line in enumerate(lines):
        parts = line.split("`")
        parts[::2] = [_PLAIN_SIGNS.sub(r"\\\g<0>", part) for part in parts[::2]]
        lines[number] = "`".join(parts)
    if kind in ("attribute", "property"):
        _OF_PROPERTIES[name] = list(lines)


def no_types(
    app: Sphinx, kind: str, name: str, found: object, options: object, lines: list
) -> None:
    """Napoleon takes what stands before a colon in the docstring of a property for its name."""
    if name in _OF_PROPERTIES:
        lines[:] = _OF_PROPERTIES[name]


def short(
    app: Sphinx,
    kind: str,
    name: str,
    found: object,
    options: object,
    signature: str | None,
    result: str | None,
) -> tuple[str, str] | None:
    """Types without their modules, so that the axes of arrays can be read."""
    if signature is None:
        return None
    if name.endswith(".Settings"):
        return "", ""  # the keys of NN_config.par, which have their own page

    def spelled(text: str | None) -> str:
        text = _MODULES.sub("", text or "").replace("<factory>", "...")
        return _UNCHECKED_AXIS.sub("", text)

    return spelled(signature), spelled(result)


def skipped(
    app: Sphinx, kind: str, name: str, found: object, skip: bool, options: object
) -> bool | None:
    """What the libraries beneath have added to a class."""
    text = getattr(found, "__doc__", None) or ""
    added = text.startswith(("Alias for field number", "Returns a new object replacing"))
    return True if added else None


def code(writer: HTML5Translator, node: nodes.literal) -> None:
    """Names in code may be broken behind their dots and underscores, without a sign of it."""
    text = _BREAKS.sub(r"\g<0><wbr>", html.escape(node.astext()))
    text = _OPTION.sub(r'<span class="whole">\g<0></span>', text)
    writer.body.append(f'<code class="docutils literal notranslate">{text}</code>')
    raise nodes.SkipNode


def inline_math(writer: HTML5Translator, node: nodes.math) -> None:
    """A formula in MathML, which browsers show without any script."""
    writer.body.append(tex2mathml(node.astext()))
    raise nodes.SkipNode


def displayed_math(writer: HTML5Translator, node: nodes.math_block) -> None:
    """The same in a line of its own, which may be scrolled on narrow screens."""
    formula = tex2mathml(node.astext(), as_block=True)
    writer.body.append(f'<div class="math">{formula}</div>')
    raise nodes.SkipNode


def setup(app: Sphinx) -> None:
    """What is not in any extension."""
    app.add_lexer("par", BundleLexer)
    app.add_node(nodes.literal, override=True, html=(code, None))
    app.add_html_math_renderer("mathml", (inline_math, None), (displayed_math, None))
    app.connect("autodoc-process-docstring", plain, priority=100)  # before napoleon
    app.connect("autodoc-process-docstring", no_types, priority=900)  # after it
    app.connect("autodoc-process-signature", short)
    app.connect("autodoc-skip-member", skipped)
    app.connect("source-read", for_pages)
    app.connect("include-read", for_included)
