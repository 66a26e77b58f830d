"""Charge density of bands: `python scripts/charge_density_from_wfns.py INPUTS RESULTS`."""

import sys

from deeppseudopot_jax.cli.app import app

if __name__ == "__main__":
    app(["density", *sys.argv[1:]])
