"""Compiled programs are kept from run to run, and counted."""

import re
import subprocess
import sys
from pathlib import Path

import bundle_samples
import jax
import jax.numpy as jnp
import pytest
from processes import QUICKLY_COMPILED

from deeppseudopot_jax.run.compilation import Ahead, counted

CONFIG = "nSystem = 1\nPPmodel = ZeroFunction\nnQGrid = 64\nnRGrid = 32\n"
COEFFICIENTS = "5\n2\n3\n0.4\n"
EDGES = "nBands = 4\nmaxKE = 5\n"  # none, whose masses would take time


def evaluated(inputs: Path, results: Path, *options: str, **environment: str) -> str:
    """The log of an evaluation in a process of its own, with a cache folder of its own."""
    known = {k: v for k, v in QUICKLY_COMPILED.items() if not k.startswith("JAX_COMPILATION")}
    command = [sys.executable, "-m", "deeppseudopot_jax", "eval", str(inputs), str(results)]
    subprocess.run([*command, *options], env=known | environment, check=True, capture_output=True)
    return (results / "eval.log").read_text()


@pytest.fixture(scope="module")
def inputs(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("cached")
    start = {"init_ZnParams": COEFFICIENTS, "init_SParams": COEFFICIENTS}
    return bundle_samples.write(folder / "inputs", NN_config=CONFIG, input_0=EDGES, **start)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have other cache folders")
def test_the_second_run_finds_the_programs_of_the_first(inputs, tmp_path):
    home = {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    logs = [evaluated(inputs, tmp_path / name, **home) for name in ("first", "second")]
    anew = re.compile(r"bands: [1-9]\d* programs in .*, 0 of them from the cache")
    assert anew.search(logs[0]) and not anew.search(logs[1])
    (folder,) = (tmp_path / "cache" / "deeppseudopot_jax").iterdir()
    assert folder.name.startswith("compiled-")
    bands = [(tmp_path / name / "eval_BS_sys0.dat").read_bytes() for name in ("first", "second")]
    assert bands[0] == bands[1]


@pytest.mark.exhaustive
def test_the_environment_says_where_and_an_option_keeps_none(inputs, tmp_path):
    home = {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    kept = {"JAX_COMPILATION_CACHE_DIR": str(tmp_path / "mine")}
    evaluated(inputs, tmp_path / "without", "--no-cache", **home)
    evaluated(inputs, tmp_path / "elsewhere", **home, **kept)
    assert not (tmp_path / "cache" / "deeppseudopot_jax").exists()
    assert any((tmp_path / "mine").iterdir())


def test_programs_are_counted_inside_the_block_only():
    with counted() as compiled:
        jax.jit(lambda x: x * 3.0 + 1.0)(jnp.ones(7)).block_until_ready()
    before = compiled.programs
    jax.jit(lambda x: x * 3.0 + 2.0)(jnp.ones(7)).block_until_ready()
    assert before >= 1 and compiled.programs == before
    assert compiled.seconds > 0 and "programs in" in str(compiled)


def test_what_is_compiled_ahead_is_waited_for_and_its_errors_are_not_raised():
    done, ahead = [], Ahead()
    ahead.begin(done.append, 1)
    ahead.begin(lambda: 1 / 0)
    ahead.begin(done.append, 2)
    ahead.finish()
    assert done == [1, 2]
