"""Run a bundle as the PyTorch code's main.py did: `python scripts/main.py INPUTS RESULTS`."""

import sys

from deeppseudopot_jax.cli.app import app

if __name__ == "__main__":
    app(["run", *sys.argv[1:]])
