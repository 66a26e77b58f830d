"""The command line in this process: what it tells of itself, and how it ends."""

import errno
import os
import re
from fnmatch import fnmatch
from io import StringIO

import bundle_samples
import jax
import pytest
from rich.console import Console
from typer.testing import CliRunner

from deeppseudopot_jax.cli import running
from deeppseudopot_jax.cli.app import app
from deeppseudopot_jax.errors import InputError
from deeppseudopot_jax.files.results.painter import Here
from deeppseudopot_jax.run import workflows
from deeppseudopot_jax.run.cluster import find_devices
from deeppseudopot_jax.run.reporting import Report
from deeppseudopot_jax.settings import Settings

ZERO = "PPmodel = ZeroFunction\nnSystem = 1\nnQGrid = 16\nnRGrid = 8\n"


@pytest.fixture
def command(monkeypatch):
    """Runs the program on arguments; gives its exit code, output and errors."""
    monkeypatch.setattr(running, "Beside", Here)

    def run(*arguments):
        result = CliRunner(env={"COLUMNS": "200"}).invoke(app, [str(a) for a in arguments])
        return result.exit_code, result.stdout, result.stderr

    return run


def raises(error):
    def workflow(*_, **__):
        raise error

    return workflow


def test_a_mistake_of_the_program_is_one_line_and_a_traceback(command, monkeypatch, tmp_path):
    monkeypatch.setattr(workflows, "run", raises(KeyError("a\nb")))
    results = tmp_path / "results"
    for name in ("traceback.log", "traceback_2.log"):
        code, _, errors = command("run", tmp_path, results)
        assert code == 70 and errors.count("\n") == 1
        assert "KeyError" in errors and errors.endswith(f" {results / name}\n")
        text = (results / name).read_text()
        assert text.startswith("Traceback") and "in workflow" in text
    code, _, errors = command("run", tmp_path, results / "traceback.log")  # a file
    assert code == 70 and "\nTraceback" in errors and "KeyError" in errors


def test_a_mistake_in_a_run_is_in_its_log(command, monkeypatch, tmp_path):
    monkeypatch.setattr(workflows, "describe", raises(TypeError("no such thing")))
    inputs, results = bundle_samples.write(tmp_path / "inputs", NN_config=ZERO), tmp_path / "out"
    code, _, errors = command("run", inputs, results)
    assert code == 70 and errors.count("\n") == 1
    assert "TypeError: no such thing" in errors and errors.endswith(f" {results / 'run.log'}\n")
    assert "Traceback" in (results / "run.log").read_text()
    assert not list(results.glob("traceback*"))


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (MemoryError(), "not enough memory"),
        (RuntimeError("RESOURCE_EXHAUSTED: 9 GB"), "not enough memory"),
        (PermissionError(errno.EACCES, "Permission denied", "here"), "Permission denied: here"),
    ],
)
def test_what_the_machine_refuses_is_no_mistake(command, monkeypatch, tmp_path, error, text):
    monkeypatch.setattr(workflows, "run", raises(error))
    code, _, errors = command("run", tmp_path, tmp_path / "results")
    assert code == 71 and text in errors and errors.count("\n") == 1
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize("place", range(3))
def test_names_that_are_too_long_are_told_in_one_line(command, tmp_path, place):
    inputs = bundle_samples.write(tmp_path / "inputs", NN_config=ZERO)
    paths = [inputs, tmp_path / "results", inputs]
    paths[place] = tmp_path / ("a" * 300)
    code, _, errors = command("eval", *paths[:2], "--potential", paths[2])
    assert code == (1 if place == 1 else 71)
    assert "File name too long" in errors and errors.count("\n") == 1


def test_what_a_user_can_mend_has_its_own_code_and_no_traceback(command, monkeypatch, tmp_path):
    class SpecialError(InputError):
        exit_code = 7

    monkeypatch.setattr(workflows, "evaluate", raises(SpecialError("mend it")))
    code, _, errors = command("eval", tmp_path, tmp_path / "results")
    assert (code, errors) == (7, "deeppseudopot: mend it\n")
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize("error", [AssertionError(), RuntimeError("Unable to. Or not")])
def test_devices_that_are_not_there_are_named(monkeypatch, error):
    monkeypatch.setattr(jax, "devices", raises(error))
    monkeypatch.setenv("JAX_PLATFORMS", "cuda")
    with pytest.raises(InputError, match="JAX_PLATFORMS = cuda: JAX finds no such device") as found:
        find_devices()
    assert "\n" not in str(found.value) and "Or not" not in str(found.value)
    monkeypatch.delenv("JAX_PLATFORMS")
    with pytest.raises(type(error)):
        find_devices()


def test_a_closed_pipe_does_not_end_a_run(monkeypatch, tmp_path):
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as pipe:
        monkeypatch.setattr("sys.stdout", pipe)
        report = Report(tmp_path / "run.log")
        with report.progress("counting", 2) as counter, report.first_time("nothing"):
            report.line("first")
            counter.update(2)
        report.line("second")
        report.close()
    log = (tmp_path / "run.log").read_text()
    assert "] first\n" in log and "counting: 2/2" in log and log.endswith("] second\n")


@pytest.mark.parametrize("width", [20, 40, 80, 120])
def test_progress_fits_the_terminal(tmp_path, width):
    report = Report(tmp_path / "run.log")
    shown = StringIO()
    report.console = Console(file=shown, force_terminal=True, width=width, color_system=None)
    with report.progress("Monte Carlo", 123456) as counter:
        counter.update(300, "lowest cost 0.0123456 eV^2")
        counter.update(301, "lowest cost 0.0123456 eV^2")
    report.close()
    lines = re.split("[\r\n]+", re.sub(r"\x1b\[[0-9?]*[a-zA-Z]", "", shown.getvalue()))
    assert max(map(len, lines)) <= width and "\N{HORIZONTAL ELLIPSIS}" not in shown.getvalue()
    last = [line for line in lines if line.strip()][-1]
    assert "301/123456" in last and ("left" in last) == (width >= 40)
    assert ("lowest cost 0.0123456 eV^2" in last) == (width >= 80)


def test_it_tells_its_version_and_completes_words(command):
    code, output, _ = command("--version")
    assert code == 0 and output.startswith("deeppseudopot 0.") and jax.__version__ in output
    assert "--show-completion" in command("-h")[1]


def test_help_names_the_groups_of_keys_and_what_eval_needs(command):
    code, output, _ = command("run", "-h")
    assert code == 0 and all(f"{group}: {keys}" in output for group, keys in running.KEYS.items())
    known = " ".join(running.KEYS.values()).split()
    for field in Settings.model_fields.values():
        assert sum(fnmatch(str(field.alias), pattern) for pattern in known) == 1, field.alias
    _, output, _ = command("eval", "--help")
    for part in ("--potential", "init_PPmodel.pth", "init_<atom>Params.par", "other k-points"):
        assert part in output
