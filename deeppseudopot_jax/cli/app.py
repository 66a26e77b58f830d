"""The command line: `deeppseudopot run INPUTS RESULTS`, and the commands beside it."""

from typing import Annotated

import jax
import typer

from deeppseudopot_jax.cli.running import (
    EVAL_NEEDS,
    REPORT_EXAMPLE,
    RUN_KEYS,
    eval_command,
    report_command,
    run_command,
)
from deeppseudopot_jax.toolkit.cluster import command as cluster
from deeppseudopot_jax.toolkit.convert.command import convert_app
from deeppseudopot_jax.toolkit.density import command as density
from deeppseudopot_jax.toolkit.doctor import command as doctor
from deeppseudopot_jax.toolkit.export import command as export
from deeppseudopot_jax.toolkit.new import command as new
from deeppseudopot_jax.toolkit.plot.command import plot_app
from deeppseudopot_jax.toolkit.primitive import command as primitive
from deeppseudopot_jax.version import version

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
app.command("report", epilog=REPORT_EXAMPLE)(report_command)

app.command("new", epilog=new.EXAMPLE)(new.new_command)
app.add_typer(convert_app, name="convert")
app.command("primitive", epilog=primitive.EXAMPLE)(primitive.primitive_command)
app.command("doctor", epilog=doctor.EXAMPLE)(doctor.doctor_command)

app.command("density", epilog=density.EXAMPLE)(density.density_command)
app.add_typer(plot_app, name="plot")
app.command("cluster", epilog=cluster.EXAMPLE)(cluster.cluster_command)
app.command("export", epilog=export.EXAMPLE)(export.export_command)
