"""All commands of the command line: what their help says."""

from collections.abc import Iterator
from typing import Any

import pytest
import typer

from deeppseudopot_jax.cli.app import app


def leaves(command: Any, name: str) -> Iterator[tuple[str, Any]]:
    """Every command that does something, with the words that call it."""
    inner = getattr(command, "commands", None)
    if inner is None:
        yield name, command
        return
    for word, command in inner.items():
        yield from leaves(command, f"{name} {word}")


COMMANDS = dict(leaves(typer.main.get_command(app), "deeppseudopot"))


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_says_what_it_does_and_shows_an_example(name):
    command = COMMANDS[name]
    assert command.help and f"Example: {name} " in (command.epilog or "")
    silent = [p.name for p in command.params if p.param_type_name == "option" and not p.help]
    assert not silent, "options without a word on what they do"
