"""A page as one HTML file that needs nothing beside it."""

from itertools import count
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from deeppseudopot_jax.files.atomic import atomic_path
from deeppseudopot_jax.files.results import figures
from deeppseudopot_jax.files.results.report.page import Chart, Page

_TEMPLATE = "report.html.j2"


def html_page(page: Page) -> str:
    """The page with its figures as inline SVG: no scripts, and nothing is loaded."""
    environment = Environment(
        loader=PackageLoader(__package__, ""),
        autoescape=True,
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    numbers = count(1)
    return environment.get_template(_TEMPLATE).render(
        page=page, drawn=lambda chart: drawn(chart, f"figure-{next(numbers)}")
    )


def drawn(chart: Chart, name: str) -> Markup:
    """A chart as an <svg> element whose ids begin with `name`."""
    figure = getattr(figures, chart.figure)(*chart.arguments)
    return Markup(figures.inline_svg(figure, name, chart.title, chart.size or figures.PANEL))


def save(html: str, path: Path | str) -> None:
    """Write a page; the file appears complete or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_text(html, encoding="utf-8", newline="\n")
