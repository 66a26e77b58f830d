"""PyTorch checkpoints: what is data comes back equal, what is a program is refused unexecuted."""

import pickle
import zipfile
from collections import OrderedDict
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from deeppseudopot_jax.files.bundle import BundleError
from deeppseudopot_jax.files.torch_pickle import (
    UnsafePickleError,
    read,
    read_checkpoint,
    read_optimizer_state,
    read_state_dict,
    write_checkpoint,
)
from deeppseudopot_jax.files.torch_pickle.storage import DTYPES

TENSOR = b"ctorch._utils\n_rebuild_tensor_v2\n"


def archive(path: Path, program: bytes, compression: int = zipfile.ZIP_STORED, **data: bytes):
    """A checkpoint with any pickle and any storages (`_0=...`) in it."""
    with zipfile.ZipFile(path, "w", compression) as file:
        file.writestr("root/data.pkl", program)
        for key, raw in data.items():
            file.writestr(f"root/data/{key.lstrip('_')}", raw)
    return path


def integer(value: int) -> bytes:
    return pickle.BININT + value.to_bytes(4, "little", signed=True)


def text(value: str) -> bytes:
    return pickle.BINUNICODE + len(value).to_bytes(4, "little") + value.encode()


def storage(kind: str = "DoubleStorage", key: str = "0", count: int = 4) -> bytes:
    """The reference to a storage, as PyTorch pickles it."""
    parts = text("storage") + f"ctorch\n{kind}\n".encode() + text(key) + text("cpu")
    return b"(" + parts + integer(count) + b"tQ"


def tensor(offset: int, shape: list[int], strides: list[int], **of: object) -> bytes:
    """A whole pickle of one tensor on a storage."""
    numbers = [b"(" + b"".join(map(integer, values)) + b"t" for values in (shape, strides)]
    arguments = storage(**of) + integer(offset) + b"".join(numbers) + b"\x89N"
    return b"\x80\x02" + TENSOR + b"(" + arguments + b"tR."


FOUR = np.arange(4.0).tobytes()


def equal(one: object, other: object) -> bool:
    """Equality down to types and array types; OrderedDict counts as dict."""
    if isinstance(one, np.ndarray):
        assert isinstance(other, np.ndarray)
        return one.dtype == other.dtype and np.array_equal(one, other)
    if isinstance(one, dict):
        assert isinstance(other, dict)
        return list(one) == list(other) and all(equal(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        assert type(one) is type(other)
        return len(one) == len(other) and all(map(equal, one, other))
    return type(one) is type(other) and one == other


def random_content(generator: np.random.Generator, depth: int) -> object:
    """Something that a checkpoint may hold."""
    dtypes = list(DTYPES.values())
    shape = tuple(generator.integers(0, 4, generator.integers(0, 4)))
    choices = [
        None,
        bool(generator.integers(2)),
        int(generator.integers(-(2**62), 2**62)) * 2 ** int(generator.integers(0, 900, 1)[0]),
        int(generator.integers(-300, 300)),
        float(generator.normal()),
        "Ångström" * int(generator.integers(3)),
        generator.integers(0, 100, shape).astype(dtypes[generator.integers(len(dtypes))]),
    ]
    if depth == 0 or generator.integers(4) == 0:
        return choices[generator.integers(len(choices))]
    items = [random_content(generator, depth - 1) for _ in range(generator.integers(4))]
    named = {f"{i}.weight" if i % 2 else i: item for i, item in enumerate(items)}
    return [items, tuple(items), named, OrderedDict(named)][generator.integers(4)]


@pytest.mark.parametrize("seed", range(40))
def test_what_is_written_is_read_back_equal(tmp_path, seed):
    content = random_content(np.random.default_rng(seed), depth=4)
    write_checkpoint(tmp_path / "a.pth", content)
    assert equal(content, read_checkpoint(tmp_path / "a.pth"))
    assert [path.name for path in tmp_path.iterdir()] == ["a.pth"]


def test_arrays_of_any_layout_are_written_by_value(tmp_path):
    base = np.arange(24.0).reshape(4, 6)
    views = {"T": base.T, "step": base[::2, ::-1], "big": base.astype(">f4"), "scalar": base[1, 2]}
    write_checkpoint(tmp_path / "a.pth", views)
    found = read_checkpoint(tmp_path / "a.pth")
    for name, view in views.items():
        np.testing.assert_array_equal(found[name], view)


def test_writing_is_reproducible_and_all_or_nothing(tmp_path):
    path = tmp_path / "a.pth"
    write_checkpoint(path, {"w": np.ones(3)})
    before = path.read_bytes()
    write_checkpoint(path, {"w": np.ones(3)})
    assert path.read_bytes() == before
    for bad in ({1, 2}, np.array(["text"]), np.zeros(2, np.uint64), object()):
        with pytest.raises(TypeError, match=r"cannot hold|has no storage"):
            write_checkpoint(path, [np.ones(2), bad])
    assert path.read_bytes() == before and len(list(tmp_path.iterdir())) == 1


def test_a_state_dict(tmp_path):
    state = OrderedDict([("hidden_l.0.weight", np.ones((2, 1))), ("hidden_l.0.bias", np.zeros(2))])
    write_checkpoint(tmp_path / "a.pth", state)
    assert equal(read_state_dict(tmp_path / "a.pth"), dict(state))


@pytest.mark.parametrize(
    ("content", "found"),
    [([1], "list"), ({"w": 1.0}, "w: float"), ({1: np.ones(2)}, "1: ndarray"), (None, "NoneType")],
)
def test_what_is_no_state_dict(tmp_path, content, found):
    write_checkpoint(tmp_path / "a.pth", content)
    with pytest.raises(BundleError, match=f"a.pth: is no state dict; found '{found}'; legal: "):
        read_state_dict(tmp_path / "a.pth")


def test_tensors_are_read_only_views_of_their_storage(tmp_path):
    path = archive(tmp_path / "a.pth", tensor(1, [2, 2], [1, 1], count=4), _0=FOUR)
    values = read_checkpoint(path)
    np.testing.assert_array_equal(values, [[1, 2], [2, 3]])
    assert not values.flags.writeable


def test_big_endian_and_bfloat16_storages(tmp_path):
    path = archive(
        tmp_path / "a.pth", tensor(0, [4], [1]), _0=np.arange(4.0).astype(">f8").tobytes()
    )
    with zipfile.ZipFile(path, "a") as file:
        file.writestr("root/byteorder", "big")
    np.testing.assert_array_equal(read_checkpoint(path), np.arange(4.0))
    raw = (np.array([1.5, -2.0], np.float32).view(np.uint32) >> 16).astype(np.uint16).tobytes()
    program = tensor(0, [2], [1], kind="BFloat16Storage", count=2)
    values = read_checkpoint(archive(tmp_path / "b.pth", program, _0=raw))
    np.testing.assert_array_equal(values, np.array([1.5, -2.0], np.float32))


def test_attributes_of_an_ordered_dict_are_dropped(tmp_path):
    program = b"\x80\x02ccollections\nOrderedDict\n)R}" + text("items") + b"Nsb."
    state = read_state_dict(archive(tmp_path / "a.pth", program))
    assert state == {} and list(state.items()) == []


class Evil:
    """Pickles as a call of `function(*arguments)`."""

    def __init__(self, function: object, *arguments: object) -> None:
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


def touch(path: Path) -> str:
    return f"touch {path}"


@pytest.mark.parametrize("protocol", range(6))
def test_no_call_of_the_system_is_executed(tmp_path, protocol):
    import os

    mark = tmp_path / "executed"
    for evil in (Evil(os.system, touch(mark)), Evil(eval, f"open({str(mark)!r}, 'w')")):
        program = pickle.dumps({"w": [evil]}, protocol)
        with pytest.raises(UnsafePickleError) as caught:
            read_checkpoint(archive(tmp_path / "a.pth", program))
        if protocol >= 2:
            assert "refused pickle global" in str(caught.value)
            assert "system" in str(caught.value) or "eval" in str(caught.value)
        assert not mark.exists()


@pytest.mark.parametrize(
    ("program", "found"),
    [
        (b"cos\nsystem\n(X\x04\x00\x00\x00truetR.", "os.system"),
        (b"cposix\nsystem\n(X\x04\x00\x00\x00truetR.", "posix.system"),
        (b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x04true\x85R.", "os.system"),
        (b"\x80\x04\x8c\x0ctorch._utils\x8c\x05_eval\x93.", "torch._utils._eval"),
        (b"ctorch\nload\n.", "torch.load"),
        (b"ctorch\nUntypedStorage\n.", "torch.UntypedStorage"),
        (b"cnumpy\nload\n.", "numpy.load"),
        (b"ccollections\nOrderedDict.update\n.", "collections.OrderedDict.update"),
        (b"cbuiltins\ngetattr\n.", "builtins.getattr"),
        (b"(S'true'\nios\nsystem\n.", "STRING true"),
        (b"(ios\nsystem\n.", "INST os system"),
        (b"\x80\x02ccollections\nOrderedDict\n)\x81.", "NEWOBJ"),
        (b"\x82\x01.", "EXT1 1"),
        (b"Psomething\n.", "PERSID something"),
        (b"\x80\x05\x96\xff\xff\xff\xff\xff\xff\xff\x7f.", None),
    ],
)
def test_every_other_name_and_instruction_is_refused(tmp_path, program, found):
    with pytest.raises(BundleError) as caught:
        read_checkpoint(archive(tmp_path / "a.pth", program))
    assert caught.value.problems[0].file == "a.pth"
    if found is not None:
        assert isinstance(caught.value, UnsafePickleError)
        assert caught.value.problems[0].found == found
        assert "legal: tensors, numbers, text, lists and dicts only" in str(caught.value)


@pytest.mark.parametrize(
    "program",
    [
        b"",
        b"\x80\x02N",  # no STOP
        b"\x80\x02}r\xff\xff\xff\x7f.",  # a memo index of 2 billion
        b"\x80\x02X\xff\xff\xff\x7fabc.",  # a text of 2 GB
        b"\x80\x02]]Q.",  # a storage named by a list
        b"\x80\x02" + storage(key="../0") + b".",
        b"\x80\x02(" + storage() + text("cpu") + b"tQ.",  # a storage inside a storage's name
        b"\x80\x02" + TENSOR + b")R.",
        b"\x80\x02" + TENSOR + b"}" + text("__kwdefaults__") + b"Nsb.",  # altering the builder
        b"\x80\x02ctorch\nDoubleStorage\n)R.",
        tensor(0, [5], [1]),
        tensor(0, [2], [4]),
        tensor(4, [1], [1]),
        tensor(-1, [1], [1]),
        tensor(0, [-1], [1]),
        tensor(3, [2], [-1]),
        tensor(0, [2, 2], [1]),
        tensor(0, [2**30, 2**30], [0, 0]),  # a tensor far larger than its storage
        tensor(0, [0, *[2**31 - 1] * 3], [1] * 4),
        tensor(0, [4], [1], count=3),
        tensor(0, [4], [1], count=5),
        tensor(0, [4], [1], kind="FloatStorage"),
        tensor(0, [4], [1], key="1"),
    ],
)
def test_damaged_pickles(tmp_path, program):
    with pytest.raises(BundleError, match=r"a\.pth: is damaged"):
        read_checkpoint(archive(tmp_path / "a.pth", program, _0=FOUR))


def test_damaged_archives(tmp_path):
    whole = archive(tmp_path / "whole.pth", tensor(0, [4], [1]), _0=FOUR).read_bytes()
    path = tmp_path / "a.pth"
    for size in range(0, len(whole), 7):
        path.write_bytes(whole[:size])
        with pytest.raises(BundleError, match=r"a\.pth: is damaged or not a zip file"):
            read_checkpoint(path)
    for position in range(0, len(whole), 5):  # a flipped bit is told, or does not matter
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 8]) + whole[position + 1 :])
        try:
            np.testing.assert_array_equal(read_checkpoint(path), np.arange(4.0))
        except BundleError as error:
            assert "a.pth" in str(error)


def test_what_is_no_checkpoint(tmp_path):
    path = tmp_path / "a.pth"
    with pytest.raises(BundleError, match="cannot be read: No such file"):
        read_checkpoint(path)
    path.write_bytes(pickle.dumps(0x1950A86A20F9469CFC6C, 2))  # PyTorch before 1.6
    with pytest.raises(BundleError, match=r"not a zip file.*torch\.save\(torch\.load"):
        read_checkpoint(path)
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("readme", "x")
    with pytest.raises(BundleError, match=r"has 0 data\.pkl in it"):
        read_checkpoint(path)


def test_a_zip_bomb_is_not_unpacked(tmp_path):
    archive(tmp_path / "a.pth", tensor(0, [4], [1]), zipfile.ZIP_DEFLATED, _0=bytes(10**7))
    assert (tmp_path / "a.pth").stat().st_size < 20_000
    with pytest.raises(BundleError, match=r"the entry root/data\.pkl is compressed or encrypted"):
        read_checkpoint(tmp_path / "a.pth")


NAMES_OF_A_PICKLE = sorted(read._NAMES)
STATES = {
    "attributes": b"}" + text("name") + text("FloatStorage") + b"s",
    "one name": b"]" + text("FloatStorage") + b"a",
    "the other attributes": b"N}" + text("name") + text("FloatStorage") + b"s\x86",
    "a class": b"N}" + text("__class__") + b"ccollections\nOrderedDict\ns\x86",
    "a call": b"}" + text("__call__") + b"ccollections\nOrderedDict\ns",
}


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("name", NAMES_OF_A_PICKLE)
def test_nothing_of_the_reader_can_be_changed_by_a_file(tmp_path, name, state):
    """BUILD on every name, and on what calls of it return: later files are read as ever."""
    good = archive(tmp_path / "good.pth", tensor(0, [4], [1]), _0=FOUR)
    halves = tensor(0, [2], [1], kind="HalfStorage", count=2)
    also = archive(tmp_path / "also.pth", halves, _0=np.ones(2, np.float16).tobytes())
    before = {key: (value, type(value), repr(value)) for key, value in read._NAMES.items()}
    push = f"c{name.replace(' ', chr(10))}\n".encode()
    for program in (push, push + b"(" + text("a") + b"tR", push + b")R", TENSOR):
        for build in (b"b", b"ub", b"sb", b"ab"):
            raw = b"\x80\x02" + program + STATES[state] + build + b"."
            with suppress(BundleError):
                read_checkpoint(archive(tmp_path / "bad.pth", raw))
    after = {key: (value, type(value), repr(value)) for key, value in read._NAMES.items()}
    assert before == after
    np.testing.assert_array_equal(read_checkpoint(good), np.arange(4.0))
    np.testing.assert_array_equal(read_checkpoint(also), np.ones(2, np.float16))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_not_finite_are_told_on_reading(tmp_path, bad):
    weights = np.array([1.0, bad, bad])
    write_checkpoint(
        tmp_path / "init_PPmodel.pth", {"good": np.ones(2), "hidden.0.weight": weights}
    )
    message = f"init_PPmodel.pth: hidden.0.weight is not finite; found '{bad}'"
    with pytest.raises(BundleError, match=message):
        read_state_dict(tmp_path / "init_PPmodel.pth")
    adam = {"state": {0: {"exp_avg": np.float32([bad])}}, "param_groups": [{"betas": (0.9, bad)}]}
    write_checkpoint(tmp_path / "init_AdamState.pth", adam)
    with pytest.raises(BundleError) as caught:
        read_optimizer_state(tmp_path / "init_AdamState.pth")
    assert [str(problem).split(";")[0] for problem in caught.value.problems] == [
        "init_AdamState.pth: state: 0: exp_avg is not finite",
        "init_AdamState.pth: param_groups: 0: betas: 1 is not finite",
    ]
