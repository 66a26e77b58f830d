"""Make a bundle of BerkeleyGW's bands: `python scripts/convert_bgwBS.py SOURCE BUNDLE ...`."""

import sys

from deeppseudopot_jax.cli.app import app

if __name__ == "__main__":
    app(["convert", "bgw", *sys.argv[1:]])
