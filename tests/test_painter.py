"""Figures by this process and by one beside it."""

from pathlib import Path

import numpy as np
import pytest

from deeppseudopot_jax.files.results.painter import Beside, Drawing, Here

DRAWS = True

ROWS = np.array([[0.0, 3.0], [1.0, 2.0], [2.0, 1.5]])


def drawing(*paths: Path, figure: str = "cost_figure") -> Drawing:
    return Drawing(figure, ({"training": ROWS},), paths)


def test_both_make_the_same_files(tmp_path):
    Here().paint(drawing(tmp_path / "here.png", tmp_path / "here.pdf"))
    painter = Beside()
    painter.paint(drawing(tmp_path / "beside.png", tmp_path / "beside.pdf"))
    painter.close()
    for suffix in ("png", "pdf"):
        here, beside = (tmp_path / f"{name}.{suffix}" for name in ("here", "beside"))
        assert here.read_bytes() == beside.read_bytes()


def test_errors_come_back_and_the_other_figures_too(tmp_path):
    painter = Beside()
    painter.paint(drawing(tmp_path / "lost.png", figure="no_such_figure"))
    painter.paint(drawing(tmp_path / "found.png"))
    with pytest.raises(AttributeError, match="no_such_figure"):
        painter.close()
    assert (tmp_path / "found.png").exists()


def test_who_waits_draws_the_last_ones_himself(tmp_path, monkeypatch):
    painter, here = Beside(), []
    paths = [tmp_path / f"{i}.png" for i in range(6)]
    monkeypatch.setattr(Here, "paint", lambda _, drawing: here.append(drawing.paths[0]))
    for path in paths:
        painter.paint(drawing(path))
    painter.close()
    assert here[0] == paths[-1] and here == sorted(here, reverse=True)
    assert [path for path in paths if path.exists()] == paths[: len(paths) - len(here)]


def test_errors_of_those_come_too(tmp_path):
    painter = Beside()
    painter.paint(drawing(tmp_path / "found.png"))
    painter.paint(drawing(tmp_path / "lost.png", figure="no_such_figure"))
    painter.paint(drawing(tmp_path / "last.png"))
    with pytest.raises(AttributeError, match="no_such_figure"):
        painter.close()
    assert (tmp_path / "found.png").exists() and (tmp_path / "last.png").exists()


def test_who_loses_the_other_process_draws_alone(tmp_path):
    painter = Beside()
    painter.paint(drawing(tmp_path / "first.png"))
    painter._drawn[0].result()
    process = painter._process
    process.kill()
    process.wait()
    painter.paint(drawing(tmp_path / "second.png"))
    painter.close()
    assert (tmp_path / "second.png").exists()


def test_painting_may_go_on_after_closing(tmp_path):
    painter = Beside()
    for name in ("first.png", "second.png"):
        painter.paint(drawing(tmp_path / name))
        painter.close()
        assert (tmp_path / name).exists() and painter._process is None


def test_nothing_to_draw_starts_nothing():
    painter = Beside()
    painter.close()
    assert painter._process is None


def test_drawings_that_are_dropped_are_not_made(tmp_path):
    painter = Beside()
    for name in ("first.png", "second.png", "third.png"):
        painter.paint(drawing(tmp_path / name))
    painter._drawn[0].result()
    painter.drop()
    assert (tmp_path / "first.png").exists() and not (tmp_path / "third.png").exists()
    assert painter._process is None
    painter.close()


@pytest.mark.parametrize("painter", [Here(), Beside()], ids=["here", "beside"])
def test_what_is_made_at_once_raises_its_own_errors_only(tmp_path, painter):
    painter.paint(drawing(tmp_path / "before.png"))
    painter.make(drawing(tmp_path / "made.png"))
    assert (tmp_path / "before.png").exists() and (tmp_path / "made.png").exists()
    with pytest.raises(AttributeError, match="no_such_figure"):
        painter.make(drawing(tmp_path / "lost.png", figure="no_such_figure"))
    painter.close()
