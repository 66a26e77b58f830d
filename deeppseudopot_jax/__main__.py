"""`python -m deeppseudopot_jax run INPUTS RESULTS`, where no command is installed."""

from deeppseudopot_jax.cli.app import app

if __name__ == "__main__":
    app(prog_name="deeppseudopot")
