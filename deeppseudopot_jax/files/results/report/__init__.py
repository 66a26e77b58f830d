"""report.html: what a page shows, how it is made of that, and the tables of a folder behind it."""

from deeppseudopot_jax.files.results.report.page import (
    Chart,
    Charts,
    Listing,
    Page,
    Section,
    Table,
    Text,
)
from deeppseudopot_jax.files.results.report.render import html_page, save

__all__ = [
    "Chart",
    "Charts",
    "Listing",
    "Page",
    "Section",
    "Table",
    "Text",
    "html_page",
    "save",
]
