"""Figures as parts of an HTML page: small SVG that shares the page with others.

Glyphs are outlines, so that figures look the same wherever the page is read.
"""

import re
from io import StringIO
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import matplotlib
from matplotlib.figure import Figure

from deeppseudopot_jax.files.results.figures.style import PANEL, styled

_HREF = "{http://www.w3.org/1999/xlink}href"
_COORDINATES = ("d", "x", "y", "width", "height")
_LONG = re.compile(r"-?\d+\.\d{3,}")
_LEFT_OUT = ("metadata", "style")
"""What matplotlib adds to every figure: the page has its own."""
_PIXELS_PER_POINT = 1.5
"""On a wide screen; a narrow one makes them smaller."""


@styled
def inline_svg(figure: Figure, name: str, title: str, size: tuple[float, float] = PANEL) -> str:
    """An <svg> element without namespaces, as HTML has it; all its ids begin with `name`.

    Args:
        figure: drawn here, in another size than its own.
        name: unique on the page; letters, digits and hyphens.
        title: what the figure shows, for those who do not see it.
        size: width and height in inches.
    """
    figure.set_size_inches(*size)
    drawn = StringIO()
    with matplotlib.rc_context({"svg.fonttype": "path", "svg.hashsalt": name}):
        figure.savefig(drawn, format="svg", metadata={"Date": None})
    root = ElementTree.fromstring(drawn.getvalue())
    for element in list(root.iter()):
        _tidy(element, f"{name}-")
        _share_style(element)
    width = float(root.get("viewBox", "").split()[2])
    label = Element("title", id=f"{name}-title")
    label.text = title
    root.insert(0, label)
    root.attrib = {
        "viewBox": root.get("viewBox", ""),
        "role": "img",
        "aria-labelledby": f"{name}-title",
        "style": f"max-width: {_PIXELS_PER_POINT * width:.0f}px",
    }
    return ElementTree.tostring(root, encoding="unicode")


def _tidy(element: Element, prefix: str) -> None:
    """No namespaces, ids of its own, and hundredths of a point at most."""
    element.tag = element.tag.rpartition("}")[2]
    element.text = element.tail = None  # outlines have none; between elements it is layout
    for child in list(element):
        if child.tag.rpartition("}")[2] in _LEFT_OUT:
            element.remove(child)
    if (target := element.attrib.pop(_HREF, None)) is not None:
        element.set("href", f"#{prefix}{target[1:]}" if target.startswith("#") else target)
    if "id" in element.attrib:
        element.set("id", prefix + element.attrib["id"])
    for key, value in element.attrib.items():
        if "url(#" in value:
            element.set(key, value.replace("url(#", f"url(#{prefix}"))
        elif key in _COORDINATES:
            rounded = _LONG.sub(lambda found: f"{float(found[0]):.2f}", value)
            element.set(key, " ".join(rounded.split()))


def _share_style(element: Element) -> None:
    """The style that all marks of a group have, said once."""
    styles = {child.get("style") for child in element}
    marks = len(element) > 1 and all(child.tag.endswith("use") for child in element)
    if marks and len(styles) == 1 and None not in styles and "style" not in element.attrib:
        element.set("style", str(styles.pop()))
        for child in element:
            del child.attrib["style"]
