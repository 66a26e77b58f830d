"""Times and memory of the stages of a run: compilation apart, by the thread that waits for it."""

import threading
import time

import jax
import jax.numpy as jnp
import pytest

from deeppseudopot_jax.run import timing
from deeppseudopot_jax.run.compilation import Ahead, CompilingTime, compiling_time
from deeppseudopot_jax.run.reporting import Report
from deeppseudopot_jax.run.timing import StageTime, measured, table

MIB = 2**20
TIMES = [
    StageTime("tables", 1.0, 0.25, 100 * MIB, None),
    StageTime("training", 20.5, 3.0, 250 * MIB, 7 * MIB),
]


def test_stages_are_noted_in_order_and_when_they_fail():
    report = Report(None)
    report.close()
    with report.stage("sleep"):
        time.sleep(0.02)
    with pytest.raises(ZeroDivisionError), report.stage("failure"):
        1 / 0  # noqa: B018
    first, second = report.stages
    assert (first.name, second.name) == ("sleep", "failure")
    assert 0.02 <= first.seconds < 1.0 and first.compile_seconds == 0.0
    assert first.host_peak_bytes == timing.host_peak() > 10 * MIB


def test_compiling_is_told_apart_from_running():
    times: list[StageTime] = []
    program = jax.jit(lambda x: jnp.sin(x @ x.T).sum() + jnp.cos(x).mean())
    x = jnp.ones((7, 7))
    for name in ("first", "second"):
        with measured(name, times):
            program(x).block_until_ready()
            time.sleep(0.05)
    first, second = times
    assert 0.0 < first.compile_seconds <= first.seconds - 0.05
    assert second.compile_seconds == 0.0


def test_what_another_thread_compiles_counts_as_far_as_it_is_waited_for():
    def compiled_elsewhere() -> None:
        jax.jit(lambda x: jnp.tan(x) * 3.25)(jnp.ones(3)).block_until_ready()

    with compiling_time() as found:
        thread = threading.Thread(target=compiled_elsewhere)
        thread.start()
        thread.join()
    assert found.seconds == 0.0
    ahead = Ahead()
    with compiling_time() as found:
        ahead.begin(time.sleep, 0.1)
        time.sleep(0.03)
        ahead.finish()
    assert 0.04 < found.seconds < 0.1


def test_spans_inside_others_count_once():
    found = CompilingTime()
    for span in ((1.0, 2.0), (2.5, 3.0), (0.5, 4.0), (5.0, 6.0)):
        found.add(*span)
    assert found.seconds == pytest.approx(3.5 + 1.0)


def test_the_table_has_what_is_asked_for():
    both = table(TIMES)
    assert both[0].split("  ")[0] == "stage"
    assert [line.split() for line in both[1:]] == [
        ["tables", "1.00", "0.25", "100", "unknown"],
        ["training", "20.50", "3.00", "250", "7"],
        ["total", "21.50", "3.25", "250", "7"],
    ]
    assert len({len(line) for line in both}) == 1
    assert [line.split() for line in table(TIMES, memory=False)[1:]] == [
        ["tables", "1.00", "0.25"], ["training", "20.50", "3.00"], ["total", "21.50", "3.25"],
    ]  # fmt: skip
    assert "seconds" not in table(TIMES, seconds=False)[0]


def test_the_peak_of_the_fullest_device(monkeypatch):
    def device(stats):
        return type("Device", (), {"memory_stats": lambda self: stats})()

    devices = [device(None), device({"peak_bytes_in_use": 5}), device({"peak_bytes_in_use": 9})]
    monkeypatch.setattr(jax, "local_devices", lambda: devices)
    assert timing.device_peak() == 9
    monkeypatch.setattr(jax, "local_devices", lambda: devices[:1])
    assert timing.device_peak() is None
