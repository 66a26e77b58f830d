"""Rewrite what docs/bundle.md and docs/models.md take from the code.

python scripts/make_bundle_docs.py            # the tables; seconds
python scripts/make_bundle_docs.py --curves   # docs/data/models.csv too; minutes
"""

import argparse
import re
from collections.abc import Mapping
from pathlib import Path

from key_tables import key_tables
from model_tables import model_tables

DOCS = Path(__file__).parents[1] / "docs"
_SECTION = re.compile(r"(<!-- generated: (.+?) -->\n).*?(<!-- end -->)", re.DOTALL)


def rewritten(page: str, sections: Mapping[str, str]) -> str:
    """The page with every generated section replaced; a section that nobody makes is a KeyError."""
    return _SECTION.sub(lambda m: f"{m[1]}{sections[m[2]]}\n{m[3]}", page)


def pages() -> dict[Path, str]:
    """The pages with generated sections, as they should read."""
    bundle, models = DOCS / "bundle.md", DOCS / "models.md"
    return {
        bundle: rewritten(bundle.read_text("utf-8"), key_tables(bundle.read_text("utf-8"))),
        models: rewritten(models.read_text("utf-8"), model_tables()),
    }


def main() -> None:
    """Write the pages, and the curves where they are asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--curves", action="store_true", help="docs/data/models.csv too")
    for path, text in pages().items():
        path.write_text(text, encoding="utf-8")
    if parser.parse_args().curves:
        from model_figure import write_table  # needs minutes

        write_table(DOCS / "data" / "models.csv")


if __name__ == "__main__":
    main()
