"""Containerfile: what a linter says, what it takes for granted, and, on demand, its images."""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import metadata
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
CONTAINER = REPOSITORY / "Containerfile"
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
ENGINES = ("podman", "docker", "buildah")
ACCELERATORS = re.findall(r"--build-arg ACCELERATOR=(\w+)", CONTAINER.read_text())


def instructions() -> list[tuple[str, str]]:
    """Every instruction with its arguments, lines that go on joined."""
    text = re.sub(r"^\s*#.*\n", "", CONTAINER.read_text(), flags=re.MULTILINE)
    lines = re.sub(r"\\\n\s*", "", text).splitlines()
    return [
        (name, rest.strip()) for name, _, rest in (line.partition(" ") for line in lines) if name
    ]


def arguments(name: str) -> str:
    """What all instructions of one kind are told."""
    return "\n".join(rest for known, rest in instructions() if known == name)


def test_the_linter_finds_nothing():
    program = shutil.which("hadolint", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    if program is None:
        pytest.skip("no hadolint in this environment")
    told = subprocess.run([program, "--no-color", CONTAINER], capture_output=True, text=True)
    assert told.returncode == 0, told.stdout + told.stderr


def test_the_base_is_a_python_that_the_package_supports():
    version = re.fullmatch(r"docker\.io/library/python:(3\.\d+)-slim", arguments("FROM"))[1]
    assert f"Programming Language :: Python :: {version}" in PROJECT["classifiers"]


def test_what_is_copied_is_there_and_suffices_to_build():
    copied = [word for name, rest in instructions() if name == "COPY" for word in rest.split()[:-1]]
    assert all((REPOSITORY / source).exists() for source in copied)
    needed = {"pyproject.toml", PROJECT["readme"], *PROJECT["license-files"], "deeppseudopot_jax"}
    assert needed <= set(copied)


def test_extras_are_those_of_the_package_and_of_jax():
    asked = re.search(r"/source\[([a-z,]+)\]", arguments("RUN"))[1].split(",")
    assert set(asked) == set(PROJECT["optional-dependencies"]) - {"dev", "docs"}
    assert ACCELERATORS
    assert set(ACCELERATORS) <= set(metadata("jax").get_all("Provides-Extra"))


def test_it_starts_an_installed_program():
    program, *words = json.loads(arguments("ENTRYPOINT"))
    assert not words and program in PROJECT["scripts"]
    assert json.loads(arguments("CMD")) == ["--help"]


def engine() -> str | None:
    """A program that can build images here: docker needs a service to be running."""
    found = filter(shutil.which, ENGINES)
    asked = {name: subprocess.run([name, "info"], capture_output=True) for name in found}
    return next((name for name, told in asked.items() if told.returncode == 0), None)


@pytest.mark.exhaustive
@pytest.mark.parametrize("accelerator", ["", *ACCELERATORS])
def test_an_image_is_built(accelerator):
    program = engine()
    if program is None:
        pytest.skip(f"nothing here builds images: {', '.join(ENGINES)}")
    command = [
        program,
        "build",
        "-t",
        f"deeppseudopot-test:{accelerator or 'cpu'}",
        "-f",
        CONTAINER,
    ]
    argument = ["--build-arg", f"ACCELERATOR={accelerator}"]
    subprocess.run([*command, *argument, REPOSITORY], check=True)
