"""Snapshots come back bit by bit, or are refused with a reason."""

import json
import signal
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array

from deeppseudopot_jax.files.results.snapshots import SnapshotError, read_snapshot, write_snapshot
from deeppseudopot_jax.records import record, static

FACTS = {"inputs": "3f0d", "seed": "7"}

# The kernel ends a process that lets a file grow beyond the limit: in the middle of real writing.
KILLED_WHILE_WRITING = """
import resource, signal, sys
from pathlib import Path
import numpy as np
from deeppseudopot_jax.files.results.snapshots import write_snapshot
signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))
write_snapshot(Path(sys.argv[1]), {"a": np.ones(10000)}, {})
"""


@record
class Ladder:
    betas: Array
    period: int | None = static()


class Walker(NamedTuple):
    key: Array
    params: dict
    ladder: Ladder
    vectors: tuple


def walker() -> Walker:
    """Every kind of leaf, with values that a conversion would spoil."""
    nan = np.array([0x7FF8_0000_0000_1234], np.uint64).view(np.float64)
    return Walker(
        key=jax.random.split(jax.random.key(3), 2),
        params={
            "local": {"kernel/0": jnp.array([[0.1, -0.0], [5e-324, jnp.inf]])},
            "long range": jnp.asarray(nan),
            "single": {7: jnp.float32(0.1)},
            "generator": jax.random.key(3, impl="rbg"),
            "absent": None,
        },
        ladder=Ladder(jnp.zeros((3, 0), jnp.float32), period=5),
        vectors=(
            jnp.array([[1 / 3 - 0.0j, 2e-310j]]),
            jnp.array([1j / 3], jnp.complex64),
            [jnp.array([True, False]), np.int64(2**62 + 1), np.arange(3, dtype=np.uint8)],
        ),
    )


def raw(leaf) -> tuple:
    """All there is to know of a leaf."""
    kind = str(leaf.dtype)
    if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        leaf = jax.random.key_data(leaf)
    return kind, leaf.shape, np.asarray(leaf).tobytes()


def assert_same(read, written) -> None:
    assert jax.tree.structure(read) == jax.tree.structure(written)
    for a, b in zip(jax.tree.leaves(read), jax.tree.leaves(written), strict=True):
        assert raw(a) == raw(b)


@pytest.fixture
def file(tmp_path) -> Path:
    path = tmp_path / "state.npz"
    write_snapshot(path, walker(), FACTS)
    return path


@pytest.mark.parametrize("abstract", [False, True])
def test_every_bit_comes_back(file, abstract):
    like = jax.eval_shape(walker) if abstract else walker()
    assert_same(read_snapshot(file, like, FACTS), walker())


def test_keys_go_on_where_they_stopped(file):
    read = read_snapshot(file, walker(), FACTS)
    for of in (lambda tree: tree.key[1], lambda tree: tree.params["generator"]):
        assert jax.random.normal(of(read)) == jax.random.normal(of(walker()))


@pytest.mark.parametrize("tree", [jnp.arange(3), {}, jax.random.key(0)])
def test_a_tree_may_be_one_leaf_or_none(tmp_path, tree):
    write_snapshot(tmp_path / "a.npz", tree, {})
    assert_same(read_snapshot(tmp_path / "a.npz", tree, {}), tree)


def test_leaves_are_named_by_their_place(file):
    names = set(zipfile.ZipFile(file).namelist())
    assert {".params['local']['kernel/0'].npy", ".ladder.betas.npy", ".vectors[2][1].npy"} <= names


def test_equal_trees_give_equal_files(file, tmp_path):
    write_snapshot(tmp_path / "again.npz", walker(), FACTS)
    assert (tmp_path / "again.npz").read_bytes() == file.read_bytes()


@pytest.mark.parametrize("leaf", [1.0, "text", np.array([None]), np.zeros(1, jnp.bfloat16)])
def test_what_a_snapshot_cannot_hold_is_refused_when_written(file, leaf):
    before = file.read_bytes()
    with pytest.raises(TypeError, match=r"\['b'\]"):
        write_snapshot(file, {"a": np.zeros(1), "b": leaf}, FACTS)
    assert file.read_bytes() == before


def test_leaves_of_one_name_are_refused(tmp_path):
    class Pair:
        pass

    place = jax.tree_util.GetAttrKey("a")
    jax.tree_util.register_pytree_with_keys(
        Pair, lambda _: (((place, np.zeros(1)), (place, np.ones(1))), None), lambda *_: Pair()
    )
    with pytest.raises(TypeError, match="distinct names"):
        write_snapshot(tmp_path / "a.npz", Pair(), {})


def test_a_kill_while_writing_leaves_the_old_snapshot(file):
    before = file.read_bytes()
    command = [sys.executable, "-c", KILLED_WHILE_WRITING, str(file)]
    assert subprocess.run(command, check=False).returncode == -signal.SIGXFSZ
    (half,) = set(file.parent.iterdir()) - {file}
    assert 0 < half.stat().st_size <= 5000
    assert file.read_bytes() == before
    with pytest.raises(SnapshotError, match=r"damaged.*another snapshot"):
        read_snapshot(half, walker(), FACTS)


SMALL = {"a": np.arange(3.0), "k": jax.random.key(1)}


def test_a_flipped_byte_is_refused(tmp_path):
    """Wherever it is: refused, or (a date in the archive, say) without any effect."""
    path, tree = tmp_path / "a.npz", {"a": np.arange(3.0)}
    write_snapshot(path, tree, FACTS)
    whole = path.read_bytes()
    refused = np.zeros(len(whole), bool)
    for i in range(len(whole)):
        path.write_bytes(whole[:i] + bytes([whole[i] ^ (1 << i % 8)]) + whole[i + 1 :])
        try:
            assert_same(read_snapshot(path, tree, FACTS), tree)
        except SnapshotError as error:
            assert str(path) in str(error)
            refused[i] = True
    data = whole.index(tree["a"].tobytes())
    assert refused[data - 128 : data + tree["a"].nbytes].all()  # with the dtype and shape


@pytest.mark.parametrize("part", [0.0, 0.3, 0.99])
def test_a_truncated_file_is_refused(file, part):
    whole = file.read_bytes()
    file.write_bytes(whole[: int(part * len(whole))])
    with pytest.raises(SnapshotError, match=rf"{file} is damaged.*legal.*start the run anew"):
        read_snapshot(file, walker(), FACTS)


def test_a_missing_file_is_reported(tmp_path):
    with pytest.raises(SnapshotError, match=r"a.npz cannot be read \(No such file"):
        read_snapshot(tmp_path / "a.npz", SMALL, FACTS)


@pytest.mark.parametrize("content", ["text", "npy", "npz", "version"])
def test_other_files_are_refused(tmp_path, content):
    path = tmp_path / "a.npz"
    with path.open("wb") as file:
        match content:
            case "text":
                file.write(b"no archive\n")
            case "npy":
                np.save(file, np.zeros(3))
            case "npz":
                np.savez(file, weights=np.zeros(3))
            case "version":
                np.savez(file, snapshot=np.array(json.dumps({"format": "snapshot 0"})))
    with pytest.raises(SnapshotError, match=f"{path} is .*no snapshot.*legal"):
        read_snapshot(path, SMALL, FACTS)


def test_pickles_are_not_executed(tmp_path):
    class Trap:
        def __reduce__(self):
            return pytest.fail, ("executed",)

    np.savez(tmp_path / "a.npz", allow_pickle=True, snapshot=np.array([Trap()]))
    with pytest.raises(SnapshotError, match="damaged or no snapshot"):
        read_snapshot(tmp_path / "a.npz", SMALL, FACTS)


def test_every_fact_that_differs_is_named(file):
    with pytest.raises(SnapshotError) as caught:
        read_snapshot(file, walker(), {"seed": "8", "precision": "single"})
    lines = str(caught.value).splitlines()
    assert lines[0] == f"snapshot {file} belongs to another run:"
    assert lines[1:-1] == [
        "  seed: '7' in the file, '8' in this run",
        "  precision: absent in the file, 'single' in this run",
        "  inputs: '3f0d' in the file, absent in this run",
    ]
    assert "inputs it was written with" in lines[-1]


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"a": np.zeros(4)}, "['a']: 'float64 (3,)' in the file, 'float64 (4,)' in this run"),
        ({"a": np.zeros(3, int)}, "['a']: 'float64 (3,)' in the file, 'int64 (3,)' in this run"),
        ({"b": np.zeros(2)}, "['b']: absent in the file, 'float64 (2,)' in this run"),
        ({"a": None}, "['a']: 'float64 (3,)' in the file, absent in this run"),
        (
            {"k": jax.random.key(1, impl="rbg")},
            "['k']: 'uint32 (2,), data of threefry2x32 keys' in the file, "
            "'uint32 (4,), data of rbg keys' in this run",
        ),
        (
            {"k": jax.random.key_data(jax.random.key(1))},
            "['k']: 'uint32 (2,), data of threefry2x32 keys' in the file, "
            "'uint32 (2,)' in this run",
        ),
    ],
)
def test_a_leaf_that_differs_is_named(tmp_path, changes, line):
    write_snapshot(tmp_path / "a.npz", SMALL, FACTS)
    with pytest.raises(SnapshotError, match="another state") as caught:
        read_snapshot(tmp_path / "a.npz", {**SMALL, **changes}, FACTS)
    assert str(caught.value).splitlines()[1:-1] == [f"  {line}"]


def test_a_flood_of_differences_is_cut_short(tmp_path):
    write_snapshot(tmp_path / "a.npz", {}, FACTS)
    with pytest.raises(SnapshotError, match=r"\n  and 10 more\n"):
        read_snapshot(tmp_path / "a.npz", [np.zeros(1)] * 30, FACTS)
