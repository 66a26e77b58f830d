"""What the benchmarks share: where bundles are, times, training epochs, processes of their own."""

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

REPOSITORY = Path(__file__).parents[1]
SHARED = Path(os.environ.get("DEEPPSEUDOPOT_SHARED", REPOSITORY.parent / "shared")) / "bundles"
REPEATS = 5


def times(work: Callable[[], Any], repeats: int = REPEATS) -> list[float]:
    """Wall times of some runs, in seconds."""
    import jax

    found = []
    for _ in range(repeats):
        start = time.perf_counter()
        jax.block_until_ready(work())
        found.append(time.perf_counter() - start)
    return found


def median(work: Callable[[], Any], repeats: int = REPEATS) -> float:
    """Median wall time of some runs, in seconds, after one that may compile."""
    times(work, repeats=1)
    return statistics.median(times(work, repeats))


def denser(bundle: Any, n_k: int) -> Any:
    """The bundle of one system with its k-path sampled at `n_k` points, without reference."""
    (system,) = bundle.systems
    path = np.linspace(0, len(system.k_points) - 1, n_k)
    nodes = np.arange(len(system.k_points))
    k_points = np.stack([np.interp(path, nodes, column) for column in system.k_points.T], axis=1)
    system = replace(system, k_points=k_points, k_weights=np.ones(n_k), reference_energies=None)
    return replace(bundle, systems=(system,))


def training(bundle: Any, problem: Any, params: dict) -> Callable[[], Any]:
    """A function that makes one epoch after the other."""
    from deeppseudopot_jax.losses import loss_of_energies
    from deeppseudopot_jax.training.descent import Descent, TrainingState
    from deeppseudopot_jax.training.optimizers import make_optimizer
    from deeppseudopot_jax.training.trainable import split, trained_channels

    optimizer = make_optimizer(bundle.settings, problem.composition)
    trainable, frozen = split(params, trained_channels(bundle.settings))
    state = TrainingState(trainable, optimizer.init(trainable))
    descent = Descent(loss_of_energies, optimizer)

    def epoch() -> Any:
        nonlocal state
        state, info = descent.step(problem, frozen, state)
        return info

    return epoch


def measured_apart(script: str, *arguments: str, timeout: float | None = None) -> Any:
    """What `script --measure arguments` prints last, as JSON, from a process of its own.

    Raises:
        subprocess.CalledProcessError: with the output, if it fails.
        subprocess.TimeoutExpired: if it takes longer than `timeout` seconds.
    """
    command = [sys.executable, script, "--measure", *arguments]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=timeout)
    return json.loads(done.stdout.splitlines()[-1])
