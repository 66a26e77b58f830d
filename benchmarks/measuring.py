"""What the benchmarks share: bundles, times, training epochs, processes of their own, figures."""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

REPOSITORY = Path(__file__).parents[1]
SHARED = Path(os.environ.get("DEEPPSEUDOPOT_SHARED", REPOSITORY.parent / "shared")) / "bundles"
REPEATS = 5
FIGURE_SUFFIXES = (".png", ".pdf", ".svg")


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


def training(bundle: Any, problem: Any, params: Any) -> Callable[[], Any]:
    """A function that makes epoch after epoch of the bundle's optimiser, of the levels alone."""
    from deeppseudopot_jax.costs.bands import cost_of_bands
    from deeppseudopot_jax.parameters import trained_channels
    from deeppseudopot_jax.training.interface import TrainingState
    from deeppseudopot_jax.training.loop import optimiser_of
    from deeppseudopot_jax.training.trainable import split

    trainable, frozen = split(params, trained_channels(bundle.settings))
    optimiser = optimiser_of(bundle.settings, problem, cost_of_bands(problem), trainable)
    state = TrainingState(trainable, optimiser.begin(trainable))

    def epoch() -> Any:
        nonlocal state
        info, found = optimiser.look(problem, frozen, state)
        state, _ = optimiser.move(problem, frozen, state, found)
        return info

    return epoch


def memory() -> dict[str, float]:
    """Peak memory of this process and of the busiest of its devices (0 where JAX does not tell)."""
    import jax

    devices = [device.memory_stats() or {} for device in jax.local_devices()]
    return {
        "peak MB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "device MB": max(stats.get("peak_bytes_in_use", 0) for stats in devices) / 2**20,
    }


def measured_apart(
    script: str,
    *arguments: str,
    timeout: float | None = None,
    variables: dict[str, str] | None = None,
) -> Any:
    """What `script --measure arguments` prints last, as JSON, from a process of its own.

    Args:
        script: file of the benchmark.
        arguments: what it is told to measure.
        timeout: in seconds.
        variables: of the environment, beside those of this process.

    Raises:
        subprocess.CalledProcessError: with the output, if it fails.
        subprocess.TimeoutExpired: if it takes longer than `timeout` seconds.
    """
    command = [sys.executable, script, "--measure", *arguments]
    environment = os.environ | (variables or {})
    done = subprocess.run(
        command, check=True, capture_output=True, text=True, timeout=timeout, env=environment
    )
    return json.loads(done.stdout.splitlines()[-1])


def measured_or_reason(
    script: str,
    *arguments: str,
    timeout: float | None = None,
    variables: dict[str, str] | None = None,
) -> Any:
    """As `measured_apart`, but one line that says why there is nothing instead of an error."""
    try:
        return measured_apart(script, *arguments, timeout=timeout, variables=variables)
    except subprocess.TimeoutExpired:
        return f"stopped after {timeout} s"
    except subprocess.CalledProcessError as error:
        lines = error.stderr.strip().splitlines() or [f"exit status {error.returncode}"]
        return f"failed: {lines[-1]}"


def figure_file(name: str) -> Path:
    """The name of a figure, for argparse: what is wrong with it is told before the measurements.

    Raises:
        argparse.ArgumentTypeError: if the format or the folder is unknown.
    """
    if Path(name).suffix not in FIGURE_SUFFIXES:
        raise argparse.ArgumentTypeError(f"{name} must end in {', '.join(FIGURE_SUFFIXES)}")
    return new_file(name)


def new_file(name: str) -> Path:
    """The name of a file in a folder that is there, for argparse.

    Raises:
        argparse.ArgumentTypeError: if the folder is unknown.
    """
    path = Path(name)
    if not path.parent.is_dir():
        raise argparse.ArgumentTypeError(f"{name}: {path.parent} is not a folder")
    return path


@dataclass(frozen=True)
class Panel:
    """Curves `{name: (x, y)}` over logarithmic x, with fitted powers of x in their names.

    Where `power_law` is false, y is linear from 0 and no power is fitted.
    """

    curves: dict[str, tuple[list[float], list[float]]]
    x_label: str
    y_label: str
    title: str
    power_law: bool = True


def plot(panels: list[Panel], file: Path) -> None:
    """One figure of all panels that have curves, side by side."""
    from matplotlib.figure import Figure

    from deeppseudopot_jax.files.results.figures.style import save

    panels = [panel for panel in panels if panel.curves]
    if not panels:
        print(f"nothing to plot: {file} is not written")
        return
    figure = Figure(figsize=(4.5 * len(panels), 4.5), layout="constrained")
    for axes, panel in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        _draw(axes, panel)
    save(figure, file)
    print(f"plotted: {file}")


def _draw(axes: Any, panel: Panel) -> None:
    from matplotlib.ticker import LogLocator, StrMethodFormatter

    for name, (x, y) in panel.curves.items():
        axes.plot(x, y, "o-", label=_with_power(name, x, y) if panel.power_law else name)
    axes.set(xlabel=panel.x_label, ylabel=panel.y_label, xscale="log")
    if panel.power_law:
        axes.set_yscale("log")
        low, high = axes.get_ylim()
        axes.set_ylim(low / 1.5, 1.5 * high)  # noise of a few per cent shall not fill the panel
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 1.5, 2, 3, 5, 7)))
        axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    else:
        axes.set_ylim(bottom=0)
    measured = sorted({number for x, _ in panel.curves.values() for number in x})
    axes.set_xticks(measured, [f"{number:g}" for number in measured], rotation=90)
    axes.minorticks_off()
    # Above the panel, where it covers no data.
    axes.legend(title=panel.title, loc="lower center", bbox_to_anchor=(0.5, 1.0))


def _with_power(name: str, x: list[float], y: list[float]) -> str:
    if len(set(x)) < 2:
        return name
    return f"{name}, power {np.polyfit(np.log(x), np.log(y), 1)[0]:z.1f}"
