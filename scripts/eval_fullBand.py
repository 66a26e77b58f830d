"""Evaluate a bundle as eval_fullBand.py did: `python scripts/eval_fullBand.py INPUTS RESULTS`."""

import sys

from deeppseudopot_jax.cli.app import app

if __name__ == "__main__":
    app(["eval", *sys.argv[1:]])
