"""The package as it is handed out: one version everywhere, and distributions that are complete."""

import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

import deeppseudopot_jax

REPOSITORY = Path(__file__).parents[1]
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
PYTHONS = [line.rsplit(" ", 1)[1] for line in PROJECT["classifiers"] if "Python :: 3." in line]
USER = """
import deeppseudopot_jax as dp

problem: dp.Problem = dp.build_problem(dp.read_bundle("bundle"))
reversed_roles: dp.Bundle = problem  # type: ignore[assignment]
"""
"""Of a checker that sees types: without py.typed the import is told, and the comment is unused."""


def test_the_version_is_the_same_everywhere():
    citation = (REPOSITORY / "CITATION.cff").read_text()
    changes = (REPOSITORY / "CHANGELOG.md").read_text()
    found = {
        re.search(r"^version: (.*)$", citation, re.MULTILINE)[1],
        re.search(r"^## (\S+)", changes, re.MULTILINE)[1],
        deeppseudopot_jax.__version__,
    }
    assert found == {PROJECT["version"]}


@pytest.fixture(scope="module")
def distributions(tmp_path_factory) -> dict[str, Path]:
    """The wheel and the source distribution, by their suffixes."""
    folder = tmp_path_factory.mktemp("dist")
    source = tmp_path_factory.mktemp("source") / "checkout"
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    known = subprocess.run(command, cwd=REPOSITORY, check=True, capture_output=True, text=True)
    for name in filter(None, known.stdout.split("\0")):  # no caches, no builds
        target = source / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(REPOSITORY / name, target)
    command = [sys.executable, "-m", "build", "--outdir", str(folder), str(source)]
    subprocess.run(command, check=True, capture_output=True)
    return {path.suffix: path for path in folder.iterdir()}


@pytest.mark.exhaustive
def test_distributions_are_complete(distributions):
    with zipfile.ZipFile(distributions[".whl"]) as wheel:
        inside = set(wheel.namelist())
    package = REPOSITORY / "deeppseudopot_jax"
    wanted = {p for s in ("*.py", "*.j2", "py.typed") for p in package.rglob(s)}
    assert {str(p.relative_to(REPOSITORY)) for p in wanted} <= inside
    with tarfile.open(distributions[".gz"]) as source:
        inside = {name.partition("/")[2] for name in source.getnames()}
    wanted = {"tests/conftest.py", "tests/literal.py", "configs/silicon/NN_config.par", "Makefile"}
    assert wanted <= inside and not any(name.endswith(".pyc") for name in inside)


@pytest.mark.exhaustive
@pytest.mark.parametrize("kind", [".whl", ".gz"])
@pytest.mark.parametrize("version", PYTHONS)
def test_a_fresh_environment_runs_a_bundle(distributions, tmp_path, monkeypatch, version, kind):
    python = shutil.which(f"python{version}")
    if python is None or subprocess.run([python, "--version"], check=False).returncode != 0:
        pytest.skip(f"no python{version} here")
    monkeypatch.delenv("PYTHONPATH", raising=False)  # not the checkout, but what is installed
    environment = tmp_path / "environment"
    subprocess.run([python, "-m", "venv", str(environment)], check=True)
    program = environment / "bin" / "deeppseudopot"
    install = [environment / "bin" / "pip", "install", "--quiet", distributions[kind]]
    subprocess.run(install, check=True)
    inside = environment / "bin" / "python"
    subprocess.run([inside, "-m", "pip", "check"], check=True)
    look = "import deeppseudopot_jax as p; print(p.__file__)"
    asked = subprocess.run([inside, "-P", "-c", look], check=True, capture_output=True, text=True)
    module = Path(asked.stdout.strip())
    assert module.is_relative_to(environment) and (module.parent / "py.typed").exists()
    asked = subprocess.run([program, "--version"], check=True, capture_output=True, text=True)
    assert asked.stdout.startswith(f"deeppseudopot {PROJECT['version']}, JAX ")
    bundle = shutil.copytree(REPOSITORY / "configs" / "silicon_start", tmp_path / "bundle")
    subprocess.run([program, "run", bundle, tmp_path / "results"], check=True, cwd=tmp_path)
    assert (tmp_path / "results" / "report.html").exists()
    (tmp_path / "user.py").write_text(USER)
    command = [sys.executable, "-m", "mypy", "--strict", "--python-executable", str(inside)]
    subprocess.run([*command, "user.py"], check=True, cwd=tmp_path)
