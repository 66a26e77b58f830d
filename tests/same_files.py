"""Whether two runs wrote the same: files of every kind by content, apart from times and places."""

import json
import math
import re
import zlib
from collections.abc import Callable
from pathlib import Path

import matplotlib.image
import numpy as np

from deeppseudopot_jax.files.torch_pickle import read_checkpoint

RELATIVE = 1e-9  # sums are taken in another order
_NUMBER = re.compile(r"[-+]?\d+(?:\.\d*)?(?:e[-+]?\d+)?|[-+]?nan|[-+]?inf")
_FINGERPRINT = re.compile(r"\b[0-9a-f]{16}\b")
_STAMP = re.compile(r"^\[ *[\d.]+ s\] ", re.MULTILINE)
_OF_THE_MACHINE = re.compile(
    r"^(compiling: .*|.*: \d+ programs in .*|.* devices? of .*|[\w ]+: \d+/\d+ .*)\n", re.MULTILINE
)
"""Lines of a log that tell times, or where it was calculated."""
_NOT_OF_THE_RESULTS = re.compile(
    r'<svg.*?</svg>|<section id="(machine|again)".*?</section>|<div><dt>Time</dt>.*?</div>',
    re.DOTALL,
)
"""Parts of a report."""

_MEASURED = {
    "seconds", "compile_seconds", "host_peak_bytes", "device_peak_bytes", "device", "command"
}  # fmt: skip


def assert_same_folder(one: Path, two: Path) -> None:
    """The same files, in folders below too, with the same contents."""
    names = {file.relative_to(one) for file in one.rglob("*") if file.is_file()}
    assert names == {file.relative_to(two) for file in two.rglob("*") if file.is_file()}
    for name in sorted(names):
        try:
            assert_same_file(one / name, two / name)
        except AssertionError as error:
            raise AssertionError(f"{name}: {error}") from error


def assert_same_file(one: Path, two: Path) -> None:
    """Two files of a kind that is known; another one is a mistake."""
    KINDS[one.suffix](one, two)


def assert_same_text(one: str, two: str) -> None:
    """The same words, and numbers that differ by rounding at most: 1 in the last digit printed."""
    assert _NUMBER.split(one) == _NUMBER.split(two)
    for first, second in zip(_NUMBER.findall(one), _NUMBER.findall(two), strict=True):
        a, b = float(first), float(second)
        near = abs(a - b) <= RELATIVE * abs(a) + 1.01 * max(map(_last_digit, (first, second)))
        assert first == second or near, f"{first} and {second}"


def _last_digit(number: str) -> float:
    """What the last digit of a number counts."""
    digits, _, exponent = number.partition("e")
    return 10.0 ** (int(exponent or 0) - len(digits.partition(".")[2]))


def _same_tables(one: Path, two: Path) -> None:
    assert_same_text(one.read_text(), two.read_text())


def _same_logs(one: Path, two: Path) -> None:
    assert_same_text(*(told(file) for file in (one, two)))


def told(log: Path) -> str:
    """What a log says, times and places aside."""
    text = _STAMP.sub("", log.read_text()).replace(str(log.parent), "RESULTS")
    return _OF_THE_MACHINE.sub("", text)


def _same_pages(one: Path, two: Path) -> None:
    """What a report says of the results, its figures and its log aside."""
    assert_same_text(*(_said(file) for file in (one, two)))


def _said(page: Path) -> str:
    text = page.read_text().replace(str(page.parent), "RESULTS")
    return _NOT_OF_THE_RESULTS.sub("", text)


def _same_records(one: Path, two: Path) -> None:
    """The same names and texts, and numbers that differ by rounding, but for those of a machine."""
    _same_content(*(_computed(json.loads(file.read_text())) for file in (one, two)))


def _computed(value: object) -> object:
    """Without what tells times, memory, or where it was calculated."""
    if isinstance(value, dict):
        return {name: _computed(part) for name, part in value.items() if name not in _MEASURED}
    return [_computed(part) for part in value] if isinstance(value, list) else value


def _same_images(one: Path, two: Path) -> None:
    """Pixels; a line may be drawn elsewhere by a fraction of one."""
    first, second = map(matplotlib.image.imread, (one, two))
    assert first.shape == second.shape and np.abs(first - second).mean() < 1e-4


def _same_drawings(one: Path, two: Path) -> None:
    """Drawing commands and fonts of a PDF; what is around them has lengths and positions."""
    first, second = map(_streams, (one, two))
    assert len(first) == len(second) > 0
    for a, b in zip(first, second, strict=True):
        if a != b:
            assert_same_text(a.decode("ascii"), b.decode("ascii"))


def _streams(file: Path) -> list[bytes]:
    found = re.findall(rb"stream\r?\n(.*?)\r?\nendstream", file.read_bytes(), re.DOTALL)
    # What looks like the end of a line may be the last byte of the checksum.
    return [zlib.decompressobj().decompress(stream) for stream in found]


def _same_checkpoints(one: Path, two: Path) -> None:
    _same_content(read_checkpoint(one), read_checkpoint(two))


def _same_content(one: object, two: object) -> None:
    assert type(one) is type(two)
    if isinstance(one, dict):
        assert list(one) == list(two)
        one, two = list(one.values()), list(two.values())
    if isinstance(one, list | tuple):
        assert len(one) == len(two)
        for first, second in zip(one, two, strict=True):
            _same_content(first, second)
    elif isinstance(one, np.ndarray):
        _same_array(one, two)
    elif isinstance(one, float):
        assert one == two or math.isclose(one, two, rel_tol=RELATIVE), f"{one} and {two}"
    else:
        assert one == two


def _same_array(one: np.ndarray, two: np.ndarray, relative: float = RELATIVE) -> None:
    assert (one.shape, one.dtype) == (two.shape, two.dtype)
    largest = np.abs(one).max(initial=0.0)
    np.testing.assert_allclose(two, one, rtol=relative, atol=1e-3 * relative * largest)


def _same_archives(one: Path, two: Path) -> None:
    """Arrays by name; wave functions but for what a solver leaves open, and costs on them near."""
    with np.load(one) as first, np.load(two) as second:
        assert first.files == second.files
        for name in first.files:
            a, b = first[name], second[name]
            # Logs name machine and folders, k-points are padded to the number of devices.
            if "log_size" in name or (".carried." in name and a.shape != b.shape):
                continue
            if a.dtype.kind == "U":
                # Fingerprints are those of numbers up to the last bit.
                assert _FINGERPRINT.sub("", str(a)) == _FINGERPRINT.sub("", str(b))
            elif "vectors" in name:  # phases, and which states of a multiplet are the last ones
                _same_array(*(np.linalg.norm(vectors, axis=-2) for vectors in (a, b)))
            elif "screened" in name:  # in the span of these
                _same_array(a, b, 1e-5)
            elif a.dtype.kind in "fc":
                _same_array(a, b)
            else:
                np.testing.assert_array_equal(a, b)


KINDS: dict[str, Callable[[Path, Path], None]] = {
    ".dat": _same_tables,
    ".par": _same_tables,
    ".log": _same_logs,
    ".html": _same_pages,
    ".png": _same_images,
    ".pdf": _same_drawings,
    ".pth": _same_checkpoints,
    ".npz": _same_archives,
    ".json": _same_records,
}
