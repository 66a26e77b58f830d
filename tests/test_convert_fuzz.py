"""Broken outputs of pw.x and BerkeleyGW: refused with an error meant for users, or a sane bundle.

Some cases always; `pytest -m exhaustive tests/test_convert_fuzz.py` cuts and changes everywhere.
"""

import random
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from test_convert_berkeley_gw import (
    CRYSTAL,
    PATH_INPUT,
    XML,
    bandstructure,
    eqp,
    levels,
    paired,
)

from deeppseudopot_jax import read_bundle
from deeppseudopot_jax.errors import UserError
from deeppseudopot_jax.files.bundle.writing import system_text
from deeppseudopot_jax.toolkit.convert import (
    ConversionOptions,
    SourceBands,
    read_berkeley_gw,
    read_espresso,
    write_bundle,
)

DATA = Path(__file__).parent / "data" / "espresso"
Files = dict[str, bytes]
Bundle = dict[str, str]
Read = Callable[[Path], SourceBands]


def frozen(**names: str) -> Files:
    return {name.replace("_", "."): (DATA / file).read_bytes() for name, file in names.items()}


def made(**texts: str) -> Files:
    return {name: text.encode() for name, text in texts.items()}


SOURCES: dict[str, tuple[Files, Read]] = {
    "XML": (
        frozen(pw_xml="si.xml", pw_in="si.bands.in"),
        lambda folder: read_espresso(folder / "pw.xml", input_file=folder / "pw.in"),
    ),
    "XML of spinors": (frozen(pw_xml="so.xml"), lambda folder: read_espresso(folder / "pw.xml")),
    "XML of spins": (
        frozen(pw_xml="lsda.xml"), lambda folder: read_espresso(folder / "pw.xml", "up")
    ),
    "output": (
        frozen(pw_out="si.bands.out", pw_in="si.bands.in"),
        lambda folder: read_espresso(folder / "pw.out"),
    ),
    "output of spins": (
        frozen(pw_out="lsda.scf.out"), lambda folder: read_espresso(folder / "pw.out", "down")
    ),
    "bands": (
        made(**{"b.dat": bandstructure(*levels()), "system_0.par": system_text(CRYSTAL, 10.0),
                "path.in": PATH_INPUT}),
        lambda folder: read_berkeley_gw(
            folder / "b.dat", folder / "system_0.par", path_input=folder / "path.in"
        ),
    ),
    "blocks": (
        made(**{"b.dat": eqp(*levels()), "pw.in": PATH_INPUT}),
        lambda folder: read_berkeley_gw(folder / "b.dat", folder / "pw.in"),
    ),
    "blocks and XML": (
        made(**{"b.dat": eqp(*map(paired, levels())), "pw.xml": XML}),
        lambda folder: read_berkeley_gw(folder / "b.dat", folder / "pw.xml"),
    ),
}  # fmt: skip
NOT_FINITE = (b"*****", b"nan", b"-inf", b"1e999", b"")
NUMBERS = (
    b"1e300", b"-1", b"0", b"1d-10", b"99999999999999999999", b"x", b"1 2", "\u00b2".encode(),
    b"1e30", b"9" * 5000, b"1e9", b"100000", b"0.5.5", b"1_0", b"truf",
)  # fmt: skip


def bundle_of(folder: Path, files: Files, read: Read) -> Bundle | None:
    """The files of the bundle, which a run can read; None where one cannot be made."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(content)
    try:
        write_bundle(read(folder), folder / "new", ConversionOptions(shift=0.0))
    except UserError as error:
        assert str(error).strip() and not (folder / "new").exists()
        return None
    (system,) = read_bundle(folder / "new").systems
    assert np.isfinite(system.reference_energies).all()
    return {path.name: path.read_text() for path in (folder / "new").iterdir()}


def cuts(content: bytes) -> Iterator[bytes]:
    """The file without its end, after every line and amid it."""
    for line in re.finditer(rb"\n", content):
        yield content[: line.end()]
        yield content[: line.end() + 7]


def other_numbers(content: bytes, words: tuple[bytes, ...], rng: random.Random) -> Iterator[bytes]:
    """A number of the file is another word, one after the other in random order."""
    found = list(re.finditer(rb"[-+]?\d+(\.\d*)?(e[-+]?\d+)?", content))
    for number in rng.sample(found, len(found)):
        yield content[: number.start()] + rng.choice(words) + content[number.end() :]


def other_bytes(content: bytes, rng: random.Random) -> Iterator[bytes]:
    """A line is lost, or a byte is another one."""
    lines = content.splitlines(keepends=True)
    for place in rng.sample(range(len(lines)), len(lines)):
        yield b"".join(lines[:place] + lines[place + 1 :])
        other = bytearray(content)
        other[rng.randrange(len(other))] = rng.randrange(256)
        yield bytes(other)


def some(contents: Iterator[bytes], rng: random.Random, most: int | None) -> list[bytes]:
    listed = list(contents)
    return listed if most is None else rng.sample(listed, min(most, len(listed)))


def check(kind: str, folder: Path, most: int | None) -> int:
    """Break each file of a source in every way, `most` times each; returns how often it is told."""
    files, read = SOURCES[kind]
    rng, told = random.Random(kind), 0
    right = bundle_of(folder, files, read)
    assert right is not None
    for name, content in files.items():

        def of(changed: bytes, name: str = name) -> Bundle | None:
            return bundle_of(folder, {**files, name: changed}, read)

        for spelled in (content.replace(b"\n", b"\r\n"), b"\xef\xbb\xbf" + content):
            assert of(spelled) == right, name
        assert of(b"") is None, name
        # What counts its own parts is never taken for whole.
        counts_itself = not (name == "b.dat" or name.startswith("system"))
        for cut in some(cuts(content), rng, most):
            found = of(cut)
            told += found is None
            assert found in (None, right) or not counts_itself, (name, cut[-60:])
        for changed in some(other_numbers(content, NOT_FINITE, rng), rng, most):
            found = of(changed)
            told += found is None
        for changed in (
            *some(other_numbers(content, NUMBERS, rng), rng, most),
            *some(other_bytes(content, rng), rng, most),
        ):
            told += of(changed) is None
    return told


@pytest.mark.parametrize("kind", SOURCES)
def test_broken_sources_are_refused_or_understood(kind, tmp_path):
    pytest.importorskip("ase")
    assert check(kind, tmp_path / "case", 1) >= 1


@pytest.mark.exhaustive
@pytest.mark.parametrize("kind", SOURCES)
def test_sources_broken_everywhere(kind, tmp_path):
    pytest.importorskip("ase")
    assert check(kind, tmp_path / "case", None) > 100


def test_files_of_other_programs_are_refused(tmp_path):
    pytest.importorskip("ase")
    contents = {name: files[name] for files, _ in SOURCES.values() for name in files}
    for kind, (files, read) in SOURCES.items():
        source, *_ = files
        own = (source,) if source == "b.dat" else ("pw.xml", "pw.out")
        for other in sorted(set(contents).difference(own)):
            swapped = {**files, source: contents[other]}
            assert bundle_of(tmp_path / "case", swapped, read) is None, (kind, other)
