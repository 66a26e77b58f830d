"""Band structures from files: `python scripts/plot_BS_from_file.py FIGURE FILE...`."""

import sys

from deeppseudopot_jax.cli.app import app

if __name__ == "__main__":
    app(["plot", "bands", *sys.argv[1:]])
