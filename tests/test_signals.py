"""Ctrl-C and SIGTERM: raised once, where they can be, and not while something is saved."""

import signal
import time

import pytest
from typer.testing import CliRunner

from deeppseudopot_jax.cli import running
from deeppseudopot_jax.cli.app import app
from deeppseudopot_jax.errors import DiskFullError, ResultsError
from deeppseudopot_jax.files.interrupts import uninterrupted
from deeppseudopot_jax.run.signals import Terminated, signals_raised


@pytest.fixture(autouse=True)
def handlers_stay():
    """Whatever happens in a block, the handlers of before are back after it."""
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    yield
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


@pytest.mark.parametrize(
    ("number", "kind"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, Terminated)]
)
def test_saving_is_over_before_anything_is_raised(number, kind):
    saved = []
    with signals_raised(), pytest.raises(kind):
        with uninterrupted():
            with uninterrupted():
                signal.raise_signal(number)
                saved.append("inner")
            saved.append("outer")
        saved.append("too late")
    assert saved == ["inner", "outer"]


def test_the_second_signal_finds_the_program_saving(capfd):
    with signals_raised():
        with pytest.raises(Terminated):
            signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGINT)
    assert "saving; once more ends at once" in capfd.readouterr().err


def test_signals_that_the_shell_switched_off_stay_so():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with signals_raised():
            signal.raise_signal(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)


class _Dying:
    def __del__(self):
        signal.raise_signal(signal.SIGTERM)


def test_a_signal_in_a_destructor_comes_back():
    with signals_raised(), pytest.raises(Terminated):
        dying = _Dying()
        del dying
        time.sleep(20.0)


@pytest.mark.parametrize(
    ("ending", "code", "text"),
    [
        (lambda: signal.raise_signal(signal.SIGTERM), 143, "interrupted; files written so far"),
        (lambda: signal.raise_signal(signal.SIGINT), 130, "interrupted; files written so far"),
        (DiskFullError("cannot write to a"), 74, "cannot write to a"),
        (ResultsError("cannot write to b"), 1, "cannot write to b"),
    ],
)
def test_exit_codes(monkeypatch, ending, code, text):
    def run(*_, **__):
        if isinstance(ending, Exception):
            raise ending
        ending()

    monkeypatch.setattr(running.workflows, "run", run)
    result = CliRunner().invoke(app, ["run", "inputs", "results"])
    assert result.exit_code == code
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"deeppseudopot: {text}")
