"""Movies in files: by ffmpeg where one works, else as an animated picture by Pillow."""

import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Timer
from typing import NamedTuple

import numpy as np
from PIL import Image, features

from deeppseudopot_jax.files.atomic import atomic_path

Pictures = Callable[[], Iterator[np.ndarray]]
"""Begins to draw: arrays (height, width, 3) of 8 bits, all of one even size; at least one."""

PER_SECOND = 8
_SUFFIX = ".mp4"
_ENCODERS = {
    "H.264": ("libx264", "-crf", "20", "-preset", "medium"),
    "VP9": ("libvpx-vp9", "-crf", "30", "-b:v", "0", "-deadline", "good", "-cpu-used", "4"),
}
"""By the name of the format: the encoder of ffmpeg, and how good it has to be."""
_PATIENCE = 30.0
"""Seconds within which ffmpeg must take a picture, and finish behind the last one."""
_QUALITY = 80
_LAST = 1000
"""Characters of what ffmpeg says that are told."""


class Made(NamedTuple):
    """A movie: its file, its format, and why ffmpeg did not make it where it did not."""

    path: Path
    kind: str
    failure: str = ""


class _FfmpegError(Exception):
    """ffmpeg has made no movie; says why."""


def write_movie(path: Path, pictures: Pictures) -> Made:
    """Write a movie next to `path`, with the suffix of the format that could be made.

    Whatever is wrong with ffmpeg leads to an animated picture. The file appears complete or not at
    all.

    Raises:
        ResultsError: if no file can be written.
    """
    target = path.with_suffix(_SUFFIX)
    try:
        ffmpeg, kind = _ffmpeg()
        with atomic_path(target) as temporary:
            _encode(ffmpeg, _ENCODERS[kind], pictures(), temporary)
    except _FfmpegError as error:
        failure = str(error)
    else:
        return Made(target, kind)
    kind = "WebP" if features.check("webp") else "GIF"
    target = path.with_suffix(f".{kind.lower()}")
    with atomic_path(target) as temporary:
        _animate(kind, pictures(), temporary)
    return Made(target, kind, failure)


def movies_made_by() -> str:
    """What makes movies on this machine, in words, and why it is not ffmpeg where it is not."""
    try:
        path, kind = _ffmpeg()
    except _FfmpegError as error:
        return f"Pillow, as animated pictures ({error})"
    return f"{path}, as {kind}"


def _ffmpeg() -> tuple[str, str]:
    """Where it is, and the best format that it can make.

    Raises:
        _FfmpegError: if there is none, it fails, or it has no encoder of use.
    """
    found = shutil.which("ffmpeg")
    if found is None:
        raise _FfmpegError("there is no ffmpeg")
    command = [found, "-hide_banner", "-encoders"]
    try:
        told = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_PATIENCE, check=True
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise _FfmpegError(f"ffmpeg does not tell its encoders: {error}") from error
    words = told.stdout.decode(errors="replace").split()
    for kind, (encoder, *_) in _ENCODERS.items():
        if encoder in words:
            return found, kind
    encoders = " or ".join(encoder for encoder, *_ in _ENCODERS.values())
    raise _FfmpegError(f"ffmpeg has no encoder {encoders}")


def _encode(
    ffmpeg: str, encoder: tuple[str, ...], pictures: Iterator[np.ndarray], path: Path
) -> None:
    """Have ffmpeg make a movie, picture by picture.

    Raises:
        _FfmpegError: if it fails, or takes too long.
    """
    first = next(pictures)
    height, width = first.shape[:2]
    command = [
        ffmpeg, "-y", "-loglevel", "error", "-f", "rawvideo", "-pix_fmt", "rgb24",
        "-s", f"{width}x{height}", "-r", str(PER_SECOND), "-i", "-", "-an", "-c:v", *encoder,
        "-pix_fmt", "yuv420p", "-movflags", "+faststart", str(path),
    ]  # fmt: skip
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=said
        )
        try:
            _feed(process, first, pictures)
            process.wait(_PATIENCE)
        except (BrokenPipeError, subprocess.TimeoutExpired):
            pass  # its status or the missing file says so
        finally:
            process.kill()
            process.wait()
        if process.returncode != 0 or not path.exists():
            said.seek(0)
            text = said.read().decode(errors="replace").strip()[-_LAST:]
            raise _FfmpegError(f"ffmpeg has failed (status {process.returncode}) {text}".rstrip())


def _feed(process: subprocess.Popen, first: np.ndarray, rest: Iterator[np.ndarray]) -> None:
    """Hand over all pictures; a process that stops to take them is ended, which breaks its pipe."""
    assert process.stdin is not None
    with process.stdin as pipe:
        for picture in (first, *rest):
            guard = Timer(_PATIENCE, process.kill)
            guard.start()
            try:
                pipe.write(picture.tobytes())
            finally:
                guard.cancel()


def _animate(kind: str, pictures: Iterator[np.ndarray], path: Path) -> None:
    """An animated picture that repeats for ever."""
    first, *others = map(Image.fromarray, pictures)
    with path.open("wb") as file:
        first.save(
            file, kind, save_all=True, append_images=others, duration=1000 // PER_SECOND, loop=0,
            quality=_QUALITY, method=2,
        )  # fmt: skip
