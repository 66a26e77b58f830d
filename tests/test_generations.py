"""Files that belong together appear together, whenever a program is killed or its disk full."""

import errno
import os
import signal
from io import FileIO
from pathlib import Path

import pytest

from deeppseudopot_jax.errors import DiskFullError, ResultsError
from deeppseudopot_jax.files.atomic import ResultsFolder, atomic_path
from deeppseudopot_jax.files.disk import append, writing

PARTS = ("best_AdamState.pth", "best_PPmodel.pth", "best_SParams.par", "best_ZnParams.par")
CHANGES = ("mkdir", "rename", "replace", "unlink", "rmdir", "fsync")


class Killed(BaseException):
    """Nothing of the program goes on."""


def killed_after(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Lets the first changes to a disk pass, and none after them."""
    done = []

    def mortal(original):
        def change(*arguments, **options):
            if len(done) >= number:
                raise Killed
            done.append(original)
            return original(*arguments, **options)

        return change

    for name in CHANGES:
        monkeypatch.setattr(os, name, mortal(getattr(os, name)))


def save(folder: ResultsFolder, text: str) -> None:
    """One potential."""
    with folder.together("best") as parts:
        for name in PARTS:
            with atomic_path(parts.file(name)) as temporary:
                temporary.write_text(text)


def visible(folder: Path) -> dict[str, str]:
    return {p.name: p.read_text() for p in folder.iterdir() if not p.name.startswith(".")}


def hidden(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize("before", [None, "old"])
def test_a_kill_never_mixes_generations_and_the_next_run_completes_them(tmp_path, before):
    outcomes = []
    for number in range(100):
        folder = tmp_path / str(number)
        results = ResultsFolder(folder)
        if before is not None:
            save(results, before)
        with pytest.MonkeyPatch.context() as patch:
            killed_after(patch, number)
            try:
                save(results, "new")
                complete = True
            except Killed:
                complete = False
        if folder.exists():
            found = visible(folder)
            assert set(found.values()) <= {before, "new"} and len(set(found.values())) <= 1
            assert set(found) == set(PARTS) or "best_PPmodel.pth" not in found
        ResultsFolder(folder, overwrite=True).file("run.log")
        found = visible(folder)
        assert found in ({}, dict.fromkeys(PARTS, before), dict.fromkeys(PARTS, "new"))
        assert hidden(folder) == []
        outcomes.append(found.get("best_PPmodel.pth"))
        if complete:
            break
    assert complete and len(outcomes) > 15
    assert outcomes == sorted(outcomes, key=lambda text: text == "new")  # never back again
    assert outcomes.count("new") > len(PARTS)


def test_a_generation_that_is_not_in_place_is_completed_before_the_next_one(tmp_path):
    results = ResultsFolder(tmp_path)
    save(results, "old")
    whole = tmp_path / ".best.whole"
    whole.mkdir()
    (whole / "best_SParams.par").write_text("newer")
    save(results, "newest")
    assert visible(tmp_path) == dict.fromkeys(PARTS, "newest") and hidden(tmp_path) == []


def test_an_error_leaves_the_generation_before(tmp_path):
    results = ResultsFolder(tmp_path)
    save(results, "old")
    with pytest.raises(KeyError), results.together("best") as parts:
        parts.file("best_PPmodel.pth").write_text("half")
        raise KeyError
    assert visible(tmp_path) == dict.fromkeys(PARTS, "old") and hidden(tmp_path) == []


def test_an_interrupt_waits_until_all_parts_are_there(tmp_path, monkeypatch):
    results, original = ResultsFolder(tmp_path), Path.rename

    def interrupted(self, target):
        signal.raise_signal(signal.SIGINT)
        return original(self, target)

    monkeypatch.setattr(Path, "rename", interrupted)
    with pytest.raises(KeyboardInterrupt):
        save(results, "new")
    assert visible(tmp_path) == dict.fromkeys(PARTS, "new") and hidden(tmp_path) == []


def test_old_results_are_cleared_and_nothing_else(tmp_path):
    for name in ("final_a.dat", "notes.txt", ".final_a.7.part.dat"):
        (tmp_path / name).touch()
    (tmp_path / "final_folder").mkdir()
    (tmp_path / ".best.whole").mkdir()
    (tmp_path / ".best.whole" / "final_b.dat").touch()
    folder = ResultsFolder(tmp_path, overwrite=True)
    assert folder.clear(lambda name: name.startswith("final")) == 2
    assert sorted(visible_names(tmp_path)) == ["final_folder", "notes.txt"]
    assert folder.clear(lambda name: False) == 0
    assert ResultsFolder(tmp_path / "absent").clear(lambda name: True) == 0
    folder.file("run.log").touch()
    assert folder.left_over() == ["final_folder/", "notes.txt"]


def visible_names(folder: Path) -> list[str]:
    assert hidden(folder) == []
    return [path.name for path in folder.iterdir()]


@pytest.mark.parametrize(
    ("number", "kind", "code"),
    [(errno.ENOSPC, DiskFullError, 74), (errno.EDQUOT, DiskFullError, 74),
     (errno.EROFS, ResultsError, 1)],
)  # fmt: skip
def test_what_cannot_be_written_is_told_in_one_line(tmp_path, number, kind, code, monkeypatch):
    def refused(_):
        raise OSError(number, os.strerror(number))

    results = ResultsFolder(tmp_path)
    save(results, "old")
    monkeypatch.setattr(os, "fsync", refused)
    with pytest.raises(kind) as error, atomic_path(tmp_path / "final.dat") as temporary:
        temporary.write_text("1")
    with pytest.raises(kind) as another:
        save(results, "new")
    for message, name in ((str(error.value), "final.dat"), (str(another.value), PARTS[0])):
        assert message.startswith(f"cannot write to {tmp_path / name} ({os.strerror(number)})")
        assert "\n" not in message
    assert error.value.exit_code == code
    assert visible(tmp_path) == dict.fromkeys(PARTS, "old") and hidden(tmp_path) == []


def test_a_clean_up_that_fails_after_a_full_disk_hides_nothing(tmp_path):
    with pytest.raises(DiskFullError, match="No space"), atomic_path(tmp_path / "a.pdf"):
        try:
            raise OSError(errno.ENOSPC, "No space left on device")
        finally:
            raise AttributeError("pos")  # as matplotlib does in PDF files
    with pytest.raises(AttributeError, match="pos"), atomic_path(tmp_path / "a.pdf"):
        raise AttributeError("pos")


def test_a_line_is_added_whole_or_not_at_all(tmp_path):
    class Full(FileIO):
        """A file for which there is room for three bytes."""

        room = 3

        def write(self, data):
            if not self.room:
                raise OSError(errno.ENOSPC, "No space left on device")
            self.room -= 3
            return super().write(data[:3])

    path = tmp_path / "run.log"
    path.write_text("first\n")
    with Full(path, "a") as file, pytest.raises(DiskFullError, match=r"run\.log"), writing(path):
        append(file, b"second\n")
    assert path.read_text() == "first\n"
    with path.open("ab", buffering=0) as file:
        append(file, b"second\n", to_disk=True)
    assert path.read_text() == "first\nsecond\n"
