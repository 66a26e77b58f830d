"""The terms of H as matrices: `python scripts/plot_SOC_NL_T_Vloc.py FIGURE INPUTS`."""

import sys

from deeppseudopot_jax.cli.app import app

if __name__ == "__main__":
    app(["plot", "hamiltonian", *sys.argv[1:]])
