"""Tables that grow: readable at any time, and cut back to where a run resumes."""

import errno
import os
import signal
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from deeppseudopot_jax.errors import DiskFullError, ResultsError
from deeppseudopot_jax.files.results.streams import Stream

HEADER = "costs of replica 0\nin eV^2"
COLUMNS = {"step": "d", "cost": ".10e", "accepted": "d"}
HEAD = "# costs of replica 0\n# in eV^2\n# step cost accepted\n"


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "costs.dat"


def test_rows_are_in_the_file_at_once(path):
    stream = Stream(path, HEADER, COLUMNS)
    assert path.read_text() == HEAD
    assert stream.size == len(HEAD)
    stream.append([(0, 2.5, True), (np.int64(1), np.float32(0.5), np.False_)])
    expected = HEAD + "0 2.5000000000e+00 1\n1 5.0000000000e-01 0\n"
    assert path.read_text() == expected
    assert stream.size == len(expected)
    stream.append([])
    assert path.read_text() == expected
    assert [entry.name for entry in path.parent.iterdir()] == ["costs.dat"]


def test_numpy_reads_them(path):
    stream = Stream(path, HEADER, COLUMNS)
    steps, costs = jnp.arange(3), jnp.array([1 / 3, jnp.nan, jnp.inf])
    stream.append(zip(steps, costs, costs > 0, strict=True))
    expected = np.column_stack([steps, costs, costs > 0])
    np.testing.assert_allclose(np.loadtxt(path), expected, rtol=1e-10)


def test_rows_may_be_those_of_an_array(path):
    stream = Stream(path, "", {"a": ".3f", "b": ".3f"})
    stream.append(np.arange(4.0).reshape(2, 2))
    assert path.read_text() == "# a b\n0.000 1.000\n2.000 3.000\n"


def test_an_old_file_is_replaced(path):
    path.write_text("old\n" * 100)
    Stream(path, HEADER, COLUMNS)
    assert path.read_text() == HEAD


def test_rows_come_in_one_write_that_reaches_the_disk(path, monkeypatch):
    stream, sizes = Stream(path, HEADER, COLUMNS), []
    monkeypatch.setattr(os, "fsync", lambda number: sizes.append(os.fstat(number).st_size))
    stream.append((i, 1.0, 0) for i in range(10_000))
    assert sizes == [stream.size] == [path.stat().st_size]


@pytest.mark.parametrize("row", [(1, 2.0), (1, 2.0, 0, 0), (1.5, 2.0, 0), ("1", 2.0, 0)])
def test_rows_that_do_not_fit_are_refused_before_anything_is_written(path, row):
    stream = Stream(path, HEADER, COLUMNS)
    with pytest.raises(ValueError, match=r"shorter|longer|format code"):
        stream.append([(0, 1.0, 0), row])
    assert path.read_text() == HEAD
    stream.append([(0, 1.0, 0)])
    assert stream.size == path.stat().st_size > len(HEAD)


def test_a_resumed_run_writes_the_same_file(path):
    def rows(first, last):
        return [(i, 1 / (i + 1), i % 2) for i in range(first, last)]

    stream = Stream(path, HEADER, COLUMNS)
    stream.append(rows(0, 5))
    size = stream.size
    stream.append(rows(5, 9))
    whole = path.read_bytes()
    path.write_bytes(whole + b"9 1.00")  # killed while writing
    resumed = Stream.reopened(path, size, HEADER, COLUMNS)
    assert resumed.size == size == path.stat().st_size
    resumed.append(rows(5, 9))
    assert path.read_bytes() == whole
    assert resumed.size == len(whole)


def test_a_run_may_resume_before_its_first_row(path):
    Stream(path, HEADER, COLUMNS).append([(0, 1.0, 0)])
    assert Stream.reopened(path, len(HEAD), HEADER, COLUMNS).size == len(HEAD)
    assert path.read_text() == HEAD


ROWS = "0 1.0000000000e+00 0\n1 1.0000000000e+00 0\n"


@pytest.mark.parametrize(
    ("content", "size", "reason"),
    [
        (None, 100, r"cannot be opened \(No such file"),
        (HEAD, len(HEAD) + 21, f"has {len(HEAD)} bytes"),
        ("# step\n" + ROWS, 28, "another header"),
        (HEAD + ROWS, 10, "another header"),
        (HEAD + ROWS, len(HEAD) + 20, f"no row that ends at byte {len(HEAD) + 20}"),
    ],
)
def test_a_file_that_a_run_cannot_go_on_with_stays_as_it_is(path, content, size, reason):
    if content is not None:
        path.write_text(content)
    with pytest.raises(ResultsError, match=rf"{path}.*{reason}.*{size} bytes.*put the file"):
        Stream.reopened(path, size, HEADER, COLUMNS)
    assert (path.read_text() if path.exists() else None) == content


def test_a_file_that_somebody_else_changed_is_reported(path):
    stream = Stream(path, HEADER, COLUMNS)
    Stream.reopened(path, stream.size, HEADER, COLUMNS).append([(0, 1.0, 0)])
    before = path.read_text()
    with pytest.raises(ResultsError, match="does another run write"):
        stream.append([(1, 1.0, 0)])
    assert path.read_text() == before
    path.unlink()
    with pytest.raises(ResultsError, match=rf"cannot write to {path} \(No such file"):
        stream.append([(1, 1.0, 0)])


@pytest.mark.parametrize("way", ["by a signal", "in the middle"])
def test_an_interrupt_never_comes_between_writing_and_counting(path, monkeypatch, way):
    stream, fsync = Stream(path, HEADER, COLUMNS), os.fsync
    stream.append([(0, 1.0, 0)])

    def interrupted(number):
        if way == "in the middle":
            raise KeyboardInterrupt
        signal.raise_signal(signal.SIGINT)
        fsync(number)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", interrupted)
        with pytest.raises(KeyboardInterrupt):
            stream.append([(1, 1.0, 0)])
    written = way == "by a signal"
    assert stream.size == path.stat().st_size
    assert path.read_text() == HEAD + (ROWS if written else ROWS[: len(ROWS) // 2])
    stream.append([(2, 1.0, 0)])
    assert np.loadtxt(path)[:, 0].tolist() == ([0, 1, 2] if written else [0, 2])


def test_a_full_disk_is_told_and_the_table_stays_whole(path, monkeypatch):
    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    stream = Stream(path, HEADER, COLUMNS)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(DiskFullError, match=rf"cannot write to {path} \(No space left"):
            stream.append([(0, 1.0, 0)])
    assert path.read_text() == HEAD
    stream.append([(0, 1.0, 0)])
    assert stream.size == path.stat().st_size > len(HEAD)
