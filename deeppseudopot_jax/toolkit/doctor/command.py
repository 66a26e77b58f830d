"""The command line of `doctor`."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from deeppseudopot_jax.run.console import NoCache, computing, errors_told
from deeppseudopot_jax.toolkit.doctor.examination import examine
from deeppseudopot_jax.toolkit.doctor.installation import installation
from deeppseudopot_jax.toolkit.doctor.show import as_json, show

EXAMPLE = (
    "Example: deeppseudopot doctor inputs"
    "\n\nNothing is run and nothing is written. The exit code is 1 where a run would refuse the "
    "bundle, 0 where there are warnings at most."
)

Bundle = Annotated[
    Path | None,
    typer.Argument(metavar="BUNDLE", help="Folder with a bundle; without it, the installation."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


def doctor_command(bundle: Bundle = None, json: Json = False, no_cache: NoCache = False) -> None:
    """Tell what is installed, and look for mistakes in a bundle without running it."""
    with errors_told(), computing(no_cache):
        installed = installation()
        found = None if bundle is None else examine(bundle)
        if json:
            print(as_json(installed, found))
        else:
            show(installed, found, Console(highlight=False))
        if found is not None and found.is_refused:
            raise typer.Exit(1)
