"""Ways to break a bundle at random: what people mistype, what disks and programs leave behind."""

import os
import random
from collections.abc import Callable
from pathlib import Path

Mutation = Callable[[Path, random.Random], None]
"""Changes one file of a folder; the generator decides which and how."""

NUMBERS = (
    "nan", "inf", "-inf", "-1", "0", "1", "2", "1e-300", "1e24", "1e308", "1e999", "0.5", "-0.5",
    "99999999999999999999", "1000000", "1,5", "0x10", "1_000", "1d-3", "--1", "1e", "True", "abc",
    "", "\u0661", "\u00bd", "1 2", "#", "=", "None", "\x00", "3;",
)  # fmt: skip
KEYS = (
    "maxKE", "nBands", "mc_replicas", "nQGrid", "hiddenLayers", "nSystem", "SObool", "seed",
    "idxVB", "idxCB", "idxGap", "PPmodel", "optimizer", "max_num_epochs", "stages", "validation_k",
    "ensemble_size", "prior_width", "mc_betas", "mc_bool", "trainSO", "relE_bIdx", "scale",
    "smooth_reorder", "unknown_key", "max_num_epoch", "PPmodel_n_knots", "patience", "memory_flag",
)  # fmt: skip


def files_of(folder: Path, ending: str = "") -> list[Path]:
    """The regular files of a folder in a fixed order."""
    return sorted(path for path in folder.iterdir() if path.is_file() and path.match(f"*{ending}"))


def _any_text(folder: Path, rng: random.Random) -> Path:
    return rng.choice(files_of(folder, ".par"))


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8", errors="replace").split("\n")


def _write(path: Path, lines: list[str]) -> None:
    path.write_text("\n".join(lines), encoding="utf-8", newline="")


def other_number(folder: Path, rng: random.Random) -> None:
    """One word of a file becomes a number of another kind, or none."""
    path = _any_text(folder, rng)
    lines = _lines(path)
    full = [index for index, line in enumerate(lines) if line.split()]
    if not full:
        return
    index = rng.choice(full)
    words = lines[index].split()
    words[rng.randrange(len(words))] = rng.choice(NUMBERS)
    lines[index] = " ".join(words)
    _write(path, lines)


def near_number(folder: Path, rng: random.Random) -> None:
    """A number of a file becomes another one that may well be meant."""
    path = _any_text(folder, rng)
    lines = _lines(path)
    places = [
        (index, place)
        for index, line in enumerate(lines)
        for place, word in enumerate(line.split())
        if word.lstrip("-").replace(".", "", 1).isdigit()
    ]
    if not places:
        return
    index, place = rng.choice(places)
    words = lines[index].split()
    number = float(words[place])
    changed = rng.choice(
        (number + 1, number - 1, -number, 2 * number, number / 3, 0.0, 10 * number)
    )
    words[place] = f"{changed:.6g}"
    lines[index] = " ".join(words)
    _write(path, lines)


def other_order(folder: Path, rng: random.Random) -> None:
    """A line is lost, said twice, cut, or changes places with another one."""
    path = _any_text(folder, rng)
    lines = _lines(path)
    first, second = rng.randrange(len(lines)), rng.randrange(len(lines))
    match rng.randrange(4):
        case 0:
            del lines[first]
        case 1:
            lines.insert(second, lines[first])
        case 2:
            lines[first], lines[second] = lines[second], lines[first]
        case _:
            lines[first] = lines[first][: rng.randrange(len(lines[first]) + 1)]
    _write(path, lines)


def other_key(folder: Path, rng: random.Random) -> None:
    """A key is added, perhaps a second time, with some value."""
    path = rng.choice([*files_of(folder, "input_*.par"), folder / "NN_config.par"])
    if path.is_file():
        text = path.read_text(encoding="utf-8", errors="replace")
        path.write_text(f"{text}\n{rng.choice(KEYS)} = {rng.choice(NUMBERS)}\n", encoding="utf-8")


def other_bytes(folder: Path, rng: random.Random) -> None:
    """Some bytes of any file are others, or its end is missing, or it is empty."""
    path = rng.choice(files_of(folder))
    content = bytearray(path.read_bytes())
    match rng.randrange(3):
        case 0:
            for _ in range(rng.randrange(1, 5)):
                if content:
                    content[rng.randrange(len(content))] = rng.randrange(256)
        case 1:
            content = content[: rng.randrange(len(content) + 1)]
        case _:
            content = bytearray()
    path.write_bytes(bytes(content))


def other_kind(folder: Path, rng: random.Random) -> None:
    """A file is gone, or in its place is a folder, a pipe, a device, a broken link or another."""
    path = rng.choice(files_of(folder))
    other = rng.choice(files_of(folder)).read_bytes()
    path.unlink()
    match rng.randrange(6):
        case 0:
            path.mkdir()
        case 1:
            os.mkfifo(path)
        case 2:
            path.symlink_to("/dev/zero")
        case 3:
            path.symlink_to("nowhere")
        case 4:
            path.write_bytes(other)
        case _:
            pass


def other_column(folder: Path, rng: random.Random) -> None:
    """Every line of a table loses a column or has one twice."""
    path = _any_text(folder, rng)
    column, twice = rng.randrange(4), rng.random() < 0.5

    def changed(line: str) -> str:
        words = line.split()
        if column < len(words):
            words[column : column + 1] = [words[column]] * 2 if twice else []
        return " ".join(words)

    _write(path, [changed(line) for line in _lines(path)])


MUTATIONS: tuple[Mutation, ...] = (
    near_number, near_number, near_number, other_number, other_order, other_key, other_bytes,
    other_kind, other_column,
)  # fmt: skip


def mutate(folder: Path, seed: int) -> str:
    """Break a bundle once to three times; returns what was done."""
    rng = random.Random(seed)
    chosen = [rng.choice(MUTATIONS) for _ in range(rng.choice((1, 1, 1, 2, 3)))]
    for mutation in chosen:
        if files_of(folder, ".par"):
            mutation(folder, rng)
    return f"seed {seed}: " + ", ".join(mutation.__name__ for mutation in chosen)
