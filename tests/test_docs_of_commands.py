"""README.md and docs: they name the commands, options and scripts that exist, and all of them."""

import re
import runpy
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from deeppseudopot_jax.cli.app import app

REPOSITORY = Path(__file__).parents[1]
PAGES = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").rglob("*.md"))]
GROUP: Any = typer.main.get_command(app)
BLOCK = re.compile(r"^```[^\n]*\n(.*?)^```$|((?:^    .*\n)+)", re.MULTILINE | re.DOTALL)
SCRIPTS = (
    "main",
    "eval_fullBand",
    "charge_density_from_wfns",
    "cluster_pp",
    "convert_bgwBS",
    "convert_convCell_to_primCell",
    "plot_BS_from_file",
    "plot_SOC_NL_T_Vloc",
)
"""Named after the tools of the PyTorch code."""


def shown_commands() -> Iterator[tuple[str, str]]:
    """Pages and the command lines in their code blocks."""
    for page in PAGES:
        for block in BLOCK.finditer(page.read_text(encoding="utf-8")):
            for line in (block[1] or block[2] or "").splitlines():
                if found := re.match(r"[^#]*\b(deeppseudopot [^&]*)", line):
                    yield page.relative_to(REPOSITORY).as_posix(), found[1]


def words_of(line: str) -> list[str]:
    """The words behind `deeppseudopot`; [--option VALUE] counts, [NAME]... does not."""
    plain = re.sub(r"\[(--[^]]+)\]", r"\1", re.sub(r"\[[A-Z]+\](\.\.\.)?", "", line))
    return shlex.split(plain, comments=True)[1:]


def parsed(words: list[str]) -> None:
    """Look for the command, and let it read its arguments; nothing runs."""
    command, name = GROUP, "deeppseudopot"
    with command.make_context(name, ["doctor"]) as context:
        while hasattr(command, "commands"):
            name, command, words = command.resolve_command(context, words)
    command.make_context(name, words)


def test_every_command_line_is_understood():
    lines = list(shown_commands())
    assert len(lines) > 25
    for page, line in lines:
        try:
            parsed(words_of(line))
        except Exception as error:
            pytest.fail(f"{page}: {line}: {error or type(error).__name__}")


@pytest.mark.parametrize("line", ["fit a b", "run a b --fast", "plot band a.pdf b", "eval a"])
def test_others_are_not(line):
    with pytest.raises(Exception, match=r"(?i)no such|missing"):
        parsed(line.split())


def test_every_command_has_a_page():
    """In the table of docs/toolkit.md, or, for those that fit and evaluate, in README.md."""
    table = (REPOSITORY / "docs" / "toolkit.md").read_text(encoding="utf-8")
    linked = set(re.findall(r"`([a-z ]+)`", " ".join(re.findall(r"^\| \[(.*?)\]\(", table, re.M))))
    readme = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    for word, command in GROUP.commands.items():
        for inner in getattr(command, "commands", {"": None}):
            name = f"{word} {inner}".strip()
            listed = ", ".join(sorted(linked))
            assert name in linked or f"\ndeeppseudopot {name} " in readme, f"{name} not in {listed}"


@pytest.mark.parametrize("name", SCRIPTS)
def test_scripts_of_the_reference_code_answer(name, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [f"{name}.py", "--help"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(REPOSITORY / "scripts" / f"{name}.py"), run_name="__main__")
    assert ended.value.code == 0 and "Usage" in capsys.readouterr().out
