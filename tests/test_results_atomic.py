"""Results files are complete or absent, and nothing is overwritten by accident."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from deeppseudopot_jax.errors import ResultsError
from deeppseudopot_jax.files.atomic import ResultsFolder, atomic_path

KILLED_WHILE_WRITING = """
import os, signal, sys
from deeppseudopot_jax.files.atomic import atomic_path
with atomic_path(sys.argv[1]) as temporary:
    temporary.write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_appears_under_its_name_when_complete(tmp_path):
    with atomic_path(tmp_path / "plot.pdf") as temporary:
        temporary.write_text("new")
        assert temporary.suffix == ".pdf"
        assert names(tmp_path) == [temporary.name]
        assert temporary.name.startswith(".")
    assert names(tmp_path) == ["plot.pdf"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_failed_write_leaves_the_old_file(tmp_path, error):
    target = tmp_path / "costs.dat"
    target.write_text("old")
    with pytest.raises(error), atomic_path(target) as temporary:
        temporary.write_text("half")
        raise error
    assert names(tmp_path) == ["costs.dat"]
    assert target.read_text() == "old"


def test_a_kill_leaves_no_incomplete_file_and_its_rest_is_cleaned_up(tmp_path):
    target = tmp_path / "costs.dat"
    target.write_text("old")
    (tmp_path / ".own.part").write_text("not ours")
    (tmp_path / ".final_PPmodel.123.part.pth").write_text("a checkpoint under way")
    command = [sys.executable, "-c", KILLED_WHILE_WRITING, str(target)]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    assert target.read_text() == "old"
    assert len(names(tmp_path)) == 4
    ResultsFolder(tmp_path, overwrite=True).file("other.dat")
    assert names(tmp_path) == [".own.part", "costs.dat"]


def test_the_folder_is_created_when_the_first_file_is_asked_for(tmp_path):
    folder = ResultsFolder(tmp_path / "deep" / "results")
    assert names(tmp_path) == []
    assert folder.file("a.dat") == tmp_path / "deep" / "results" / "a.dat"
    assert folder.path.is_dir()
    folder.file("a.dat").write_text("")
    folder.file("b.dat")  # its own files do not count as foreign


def test_an_empty_folder_may_be_used(tmp_path):
    ResultsFolder(tmp_path).file("a.dat")


def test_a_folder_with_files_is_refused_unless_overwriting(tmp_path):
    (tmp_path / "old.dat").write_text("old")
    with pytest.raises(ResultsError, match=f"{tmp_path} is not empty.*--overwrite"):
        ResultsFolder(tmp_path)
    ResultsFolder(tmp_path, overwrite=True).file("new.dat").write_text("new")
    assert (tmp_path / "old.dat").read_text() == "old"


def test_a_folder_filled_by_another_run_in_the_meantime_is_refused(tmp_path):
    first, second = (ResultsFolder(tmp_path / "results") for _ in range(2))
    first.file("run.log").write_text("first")
    with pytest.raises(ResultsError, match="not empty"):
        second.file("run.log")


@pytest.mark.parametrize("spelling", ["inputs", "inputs/../inputs", "link"])
def test_the_inputs_folder_is_refused(tmp_path, spelling):
    (tmp_path / "inputs").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "inputs")
    with pytest.raises(ResultsError, match="is the inputs folder"):
        ResultsFolder(tmp_path / spelling, tmp_path / "inputs", overwrite=True)


@pytest.mark.parametrize("where", ["file", "file/results"])
def test_a_file_in_the_way_is_reported_at_once(tmp_path, where):
    (tmp_path / "file").write_text("")
    with pytest.raises(ResultsError, match="cannot write to the results folder"):
        ResultsFolder(tmp_path / where)


def test_a_place_without_permission_is_reported_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(ResultsError, match=f"no permission to write to {tmp_path}"):
        ResultsFolder(tmp_path / "results")


def test_a_folder_that_cannot_be_created_is_reported(tmp_path, monkeypatch):
    def refuse(*args, **kwargs):
        raise PermissionError(13, "Permission denied")

    folder = ResultsFolder(tmp_path / "results")
    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(ResultsError, match="Permission denied"):
        folder.file("a.dat")


@pytest.mark.parametrize("name", ["../a.dat", "a/b.dat", "", ".."])
def test_files_stay_inside_the_folder(tmp_path, name):
    with pytest.raises(ResultsError, match="cannot be the name"):
        ResultsFolder(tmp_path).file(name)


def test_left_over_files_are_those_nobody_asked_for(tmp_path):
    for name in ("old.dat", "again.dat", ".x.7.part.dat"):
        (tmp_path / name).touch()
    folder = ResultsFolder(tmp_path, overwrite=True)
    assert folder.left_over() == []
    for name in ("again.dat", "new.dat"):
        folder.file(name).touch()
    assert folder.left_over() == ["old.dat"]


def test_a_folder_inside_is_checked_and_created_like_the_outer_one(tmp_path):
    outer = ResultsFolder(tmp_path / "results")
    inner = outer.folder("1_zunger")
    assert not outer.path.exists()
    inner.file("run.log").touch()
    outer.file("run.log").touch()
    assert names(outer.path) == ["1_zunger", "run.log"] and names(inner.path) == ["run.log"]
    (outer.path / "2_network").mkdir()
    with pytest.raises(ResultsError, match="--overwrite"):
        ResultsFolder(outer.path)
    again = ResultsFolder(outer.path, overwrite=True)
    again.folder("1_zunger").file("final.dat")
    assert again.left_over() == ["2_network/", "run.log"]
    with pytest.raises(ResultsError, match="is the inputs folder"):
        ResultsFolder(outer.path, outer.path / "1_zunger", overwrite=True).folder("1_zunger")
    with pytest.raises(ResultsError, match="cannot write"):
        again.folder("run.log")
    with pytest.raises(ResultsError, match="cannot be the name"):
        again.folder("a/b")
