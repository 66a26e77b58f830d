"""Make a cell primitive: `python scripts/convert_convCell_to_primCell.py SOURCE TARGET`."""

import sys

from deeppseudopot_jax.cli.app import app

if __name__ == "__main__":
    app(["primitive", *sys.argv[1:]])
