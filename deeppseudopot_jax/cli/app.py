"""The command line: `deeppseudopot run INPUTS RESULTS`, and the commands beside it."""

from typing import Annotated

import jax
import typer

from deeppseudopot_jax.cli.running import (
    EVAL_NEEDS,
    RUN_KEYS,
    eval_command,
    report_command,
    run_command,
)
from deeppseudopot_jax.run.stages.describe import version
from deeppseudopot_jax.toolkit.doctor.command import EXAMPLE as DOCTOR_EXAMPLE
from deeppseudopot_jax.toolkit.doctor.command import doctor_command
from deeppseudopot_jax.toolkit.export.command import EXAMPLE as EXPORT_EXAMPLE
from deeppseudopot_jax.toolkit.export.command import export_command
from deeppseudopot_jax.toolkit.new.command import new_command

app = typer.Typer(
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)


def _tell_version(asked: bool) -> None:
    if asked:
        print(f"deeppseudopot {version()}, JAX {jax.__version__}")
        raise typer.Exit


Version = Annotated[
    bool,
    typer.Option(
        "--version", help="Show the version and exit.", callback=_tell_version, is_eager=True
    ),
]


@app.callback()
def main(version: Version = False) -> None:
    """Semi-empirical pseudopotentials fitted to band structures."""


app.command("run", epilog=RUN_KEYS)(run_command)
app.command("eval", epilog=EVAL_NEEDS)(eval_command)
app.command("report")(report_command)
app.command("new")(new_command)
app.command("export", epilog=EXPORT_EXAMPLE)(export_command)
app.command("doctor", epilog=DOCTOR_EXAMPLE)(doctor_command)
