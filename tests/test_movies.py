"""Movies: which frames in which order, axes that stay, and files whatever ffmpeg does."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from samples import bundle_of, random_system

from deeppseudopot_jax import build_problem
from deeppseudopot_jax.files.atomic import ResultsFolder
from deeppseudopot_jax.files.results import movies as encoding
from deeppseudopot_jax.files.results import tables
from deeppseudopot_jax.files.results.figures import BandPlot, PotentialPlot
from deeppseudopot_jax.files.results.figures.movies import band_movie, potential_movie
from deeppseudopot_jax.files.results.movies import write_movie
from deeppseudopot_jax.files.results.painter import Here
from deeppseudopot_jax.run.file_names import frames, of_run
from deeppseudopot_jax.run.outputs import Outputs
from deeppseudopot_jax.run.stages import movies as stage
from deeppseudopot_jax.run.stages.movies import movies

DRAWS = True

K_POINTS = np.linspace([0.0, 0.0, 0.0], [0.5, 0.0, 0.0], 5)
REFERENCE = np.stack([np.linspace(-7.0, -6.0, 5), np.linspace(-4.0, -4.5, 5)], axis=1)
Q = R = np.linspace(0.0, 10.0, 50)
INK = 128
"""Darker than this is ink, which the frames of panels and the labels are made of."""

needs_ffmpeg = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="there is no ffmpeg")


def bands(shift: float) -> list[BandPlot]:
    curves = {"fit": REFERENCE + shift}
    return [BandPlot("sample", K_POINTS, np.eye(3), curves, REFERENCE, valence_band=0)]


def potential(name: str, depth: float) -> PotentialPlot:
    v = depth * np.exp(-(Q**2))[:, None]
    return PotentialPlot(name, v, v)


def pictures() -> Iterator[np.ndarray]:
    """Three small pictures."""
    return (np.full((16, 24, 3), level, np.uint8) for level in (0, 100, 200))


def beside_the_panels(picture: np.ndarray) -> np.ndarray:
    """The labels of the vertical axis on the left, below the line that names the frame."""
    height, width = picture.shape[:2]
    return picture[height // 8 :, : width // 20]


def colored(picture: np.ndarray) -> np.ndarray:
    """Where there is colour: the curves, and their lines in the legend."""
    return np.ptp(picture.astype(int), axis=2) > 60


def test_the_axes_of_bands_stay_and_the_curves_move():
    found = list(band_movie({"start": bands(3.0), "epoch 2": bands(0.5), "epoch 4": bands(0.0)}))
    assert len({picture.shape for picture in found}) == 1
    assert found[0].dtype == np.uint8 and not any(size % 2 for size in found[0].shape[:2])
    for picture in found[1:]:
        labels = beside_the_panels(picture)
        assert (labels < INK).any()
        np.testing.assert_array_equal(labels, beside_the_panels(found[0]))
        assert (colored(picture) != colored(found[0])).any()
    same = list(band_movie({"start": bands(3.0), "again": bands(3.0)}))
    np.testing.assert_array_equal(*map(colored, same))  # nothing is left of the frame before


def test_the_axes_of_potentials_have_room_for_all_frames():
    """The deepest potential comes last: the first frame has the same axes already."""
    shallow, deep = potential("start", -1.0), potential("epoch 2", -8.0)
    found = list(potential_movie(Q, R, ["Si"], [shallow, deep]))
    alone = next(potential_movie(Q, R, ["Si"], [shallow]))
    first, last = map(beside_the_panels, found)
    np.testing.assert_array_equal(first, last)
    assert (first != beside_the_panels(alone)).any()
    depths = [np.flatnonzero(colored(p).any(axis=1)).max() / len(p) for p in found]
    assert depths[0] < 0.4 and 0.7 < depths[1] < 0.9


def test_frames_are_in_the_order_of_the_run(tmp_path):
    order = [
        "initZunger", "preEpoch_2", "preEpoch_10", "mcOpts2_mc_iter_50", "mcOpts2_mc_iter_200",
        "mcOpts10_mc_iter_50", "epoch_20", "epoch_100",
    ]  # fmt: skip
    for prefix in (*reversed(order), "final", "best", "oldFunc", "mcOpts2_best"):
        (tmp_path / f"{prefix}_qSpace_pot.dat").touch()
    assert frames(tmp_path) == order
    assert all(of_run(f"{prefix}_BS_sys0.dat") for prefix in order)
    assert all(of_run(f"movie_BS.{suffix}") for suffix in ("mp4", "webp", "gif"))


@pytest.fixture
def session(tmp_path):
    """What a run has of itself when its movies are made; `told` are its lines."""

    def made(**settings: object) -> SimpleNamespace:
        rng = np.random.default_rng(0)
        grids = {"n_q": 30, "n_r": 20, "max_epochs": 0}
        bundle = bundle_of(rng, random_system(rng), **(grids | settings))
        folder = ResultsFolder(tmp_path / "results")
        outputs = Outputs(bundle, build_problem(bundle), folder, Here())
        told: list[str] = []
        report = SimpleNamespace(line=told.append)
        return SimpleNamespace(bundle=bundle, outputs=outputs, report=report, told=told)

    return made


def write_frame(session: SimpleNamespace, prefix: str) -> None:
    """The tables of a potential on the way."""
    outputs = session.outputs
    outputs.band_tables(prefix, [session.bundle.systems[0].reference_energies])
    v_q = np.outer(np.exp(-(outputs.q**2)), [1.0, -1.0])
    path = outputs.file(f"{prefix}_qSpace_pot.dat")
    tables.write_q_space_potential(path, outputs.q, v_q, outputs.problem.species)


def made_of(session: SimpleNamespace) -> list[str]:
    return sorted(path.name for path in session.outputs.folder.path.glob("movie*"))


def test_complete_frames_become_two_movies(session, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda _: None)
    monkeypatch.setattr(stage, "_MOST_FRAMES", 3)
    run = session()
    for prefix in ("initZunger", *(f"epoch_{n}" for n in (1, 2, 3, 4, 5))):
        write_frame(run, prefix)
    run.outputs.file("epoch_3_BS_sys0.dat").unlink()
    movies(run)
    assert made_of(run) == ["movie_BS.webp", "movie_PP.webp"]
    assert run.told == [
        f"movie_{which}.webp: 3 of 5 frames, WebP (there is no ffmpeg)" for which in ("BS", "PP")
    ]
    with Image.open(run.outputs.file("movie_BS.webp")) as movie:
        assert movie.n_frames == 3 and movie.format == "WEBP"


@pytest.mark.parametrize(
    ("prefixes", "settings"),
    [((), {}), (("initZunger",), {}), (("initZunger", "epoch_1"), {"movie": False})],
    ids=["no frames", "one frame", "movie = 0"],
)
def test_without_frames_there_is_neither_a_movie_nor_an_error(session, prefixes, settings):
    run = session(**settings)
    run.outputs.file("run.log").touch()
    for prefix in prefixes:
        write_frame(run, prefix)
    movies(run)
    assert made_of(run) == run.told == []


@needs_ffmpeg
def test_ffmpeg_makes_what_browsers_play(tmp_path):
    made = write_movie(tmp_path / "movie_BS.mp4", pictures)
    assert made.path == tmp_path / "movie_BS.mp4" and made.kind in ("H.264", "VP9")
    content = made.path.read_bytes()
    assert content[4:8] == b"ftyp"
    assert content.index(b"moov") < content.index(b"mdat")  # it begins before all of it is there
    assert [path.name for path in tmp_path.iterdir()] == ["movie_BS.mp4"]


ENCODERS = 'case "$*" in *-encoders*) echo " V libx264 H.264"; exit 0;; esac\n'
BROKEN = {
    "fails at once": ("exit 3", "does not tell its encoders"),
    "is no program": (None, "does not tell its encoders"),
    "lacks encoders": ("exit 0", "has no encoder libx264 or libvpx-vp9"),
    "fails": (f"{ENCODERS}echo oh no >&2; exit 1", r"(status 1) oh no"),
    "writes nothing": (f"{ENCODERS}cat > /dev/null", "(status 0)"),
    "hangs": (f"{ENCODERS}exec sleep 60", "(status -9)"),
    "never ends": (f"{ENCODERS}cat > /dev/null; exec sleep 60", "(status -9)"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_ffmpeg_is_done_without(tmp_path, monkeypatch, case):
    script, reason = BROKEN[case]
    program = tmp_path / "bin" / "ffmpeg"
    program.parent.mkdir()
    program.write_text("\0" if script is None else f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setattr(encoding.shutil, "which", lambda _: str(program))
    monkeypatch.setattr(encoding, "_PATIENCE", 0.3)
    large = np.zeros((2, 256, 256, 3), np.uint8)  # more than a pipe holds
    made = write_movie(tmp_path / "movie_PP.mp4", lambda: iter(large))
    assert made.kind == "WebP" and reason in made.failure
    files = [path.name for path in Path(tmp_path).iterdir() if path.is_file()]
    assert files == ["movie_PP.webp"]


def test_without_webp_it_is_a_gif(tmp_path, monkeypatch):
    monkeypatch.setattr(encoding.shutil, "which", lambda _: None)
    monkeypatch.setattr(encoding.features, "check", lambda _: False)
    made = write_movie(tmp_path / "movie_PP.mp4", pictures)
    with Image.open(made.path) as movie:
        assert made.path.suffix == ".gif" and movie.n_frames == 3
        assert movie.info["duration"] == 120  # in ms, of 125: the format knows hundredths
