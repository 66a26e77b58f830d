"""Clusters of fitted potentials: `python scripts/cluster_pp.py TARGET SOURCE...`."""

import sys

from deeppseudopot_jax.cli.app import app

if __name__ == "__main__":
    app(["cluster", *sys.argv[1:]])
