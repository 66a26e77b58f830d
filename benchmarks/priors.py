"""Errors of fits against the strength of the priors: the table and figure of docs/fitting.md.

    python benchmarks/priors.py [--figure docs/prior_strength.png] [bundle ...]

A strength multiplies the recommended prior_roughness and prior_range, and divides prior_width.
silicon, gallium_arsenide and indium_phosphide_soc are those of configs/. ingaasp_nn is looked for
in $DEEPPSEUDOPOT_SHARED/bundles (default ../shared); it gets the network of the others in place of
its own, and every third k-point is held out. Each fit is a process of its own, two run at a time.
"""

import argparse
import json
import shutil
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from measuring import REPOSITORY, SHARED, Panel, figure_file, measured_apart, plot

STRENGTHS = (0.0, 0.1, 0.3, 1.0, 3.0, 10.0)
EPOCHS = {"silicon": 30, "gallium_arsenide": 40, "indium_phosphide_soc": 60, "ingaasp_nn": 100}
RECOMMENDED = {"prior_roughness": 0.003, "prior_range": 0.1, "prior_width": 1200.0}
NETWORK = {
    "PPmodel",
    "hiddenLayers",
    "PPmodel_n_frequencies",
    "PPmodel_range",
    "PPmodel_gaussian_std",
}
AT_ZERO = 0.03
"""Where the figure, logarithmic in the strength, has the fits without priors."""


def keys_of(name: str, strength: float) -> dict[str, Any]:
    """NN_config.par of a fit with priors of some strength."""
    import deeppseudopot_jax as dp

    given = "indium_phosphide_soc" if name == "ingaasp_nn" else name
    keys: dict[str, Any] = dict(dp.read_bundle(REPOSITORY / "configs" / given).settings.changed())
    if name == "ingaasp_nn":
        wanted = {*NETWORK, "optimizer", "plotEvery", "seed"}
        keys = {key: x for key, x in keys.items() if key in wanted or key.startswith("init_")}
        keys |= {"nSystem": 4, "validation_k": 3}
    keys |= {"max_num_epochs": EPOCHS[name], "plotEvery": EPOCHS[name] + 1}
    for key, value in RECOMMENDED.items():
        by_width = key == "prior_width"
        if not by_width:
            keys[key] = strength * value
        elif key in keys:
            keys[key] = value / strength if strength else 0.0
    return keys


def measure(name: str, strength: float) -> dict[str, Any]:
    """Errors in meV of all fitted and of all held-out levels, by system, and a5 to a7."""
    import deeppseudopot_jax as dp
    from deeppseudopot_jax.observables.band_errors import fitted_levels, rms_error
    from deeppseudopot_jax.run.workflows import run

    with tempfile.TemporaryDirectory() as folder:
        inputs, results = Path(folder) / "inputs", Path(folder) / "results"
        source = SHARED if name == "ingaasp_nn" else REPOSITORY / "configs"
        shutil.copytree(source / name, inputs, ignore=shutil.ignore_patterns("*.pth"))
        lines = [f"{key} = {value}\n" for key, value in keys_of(name, strength).items()]
        (inputs / "NN_config.par").write_text("".join(lines))
        run(inputs, results)
        bundle = dp.read_bundle(inputs)
        errors: dict[str, Any] = {"fitted": [], "held out": []}
        for system in bundle.systems:
            bands = np.loadtxt(results / f"final_BS_sys{system.index}.dat")[:, 1:]
            reference = system.reference_energies
            for kind, weights in zip(
                errors, (system.level_weights, system.held_out_weights), strict=True
            ):
                error = rms_error(bands, reference, fitted_levels(reference, weights))
                errors[kind].append(None if error is None else 1e3 * error)
        rows = [np.loadtxt(results / f"final_{s}Params.par") for s in bundle.species]
        return errors | {"a5 to a7": [row[5:8].tolist() for row in rows]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--figure", type=figure_file)
    parser.add_argument("bundles", nargs="*", default=list(EPOCHS))
    asked = parser.parse_args()
    jobs = [(name, strength) for name in asked.bundles for strength in STRENGTHS]
    with ThreadPoolExecutor(2) as pool:
        work = pool.map(lambda job: measured_apart(__file__, job[0], str(job[1])), jobs)
        found = {}
        for (name, strength), result in zip(jobs, work, strict=True):
            found[name, strength] = result
            print(f"| {name} | {strength:g} | {_row(name, result)} |", flush=True)
    if asked.figure:
        plot([_panel(found, asked.bundles)], asked.figure)


def _row(name: str, result: dict[str, Any]) -> str:
    fitted = ", ".join(f"{error:.1f}" for error in result["fitted"])
    held_out = ", ".join("" if e is None else f"{e:.1f}" for e in result["held out"])
    coefficients = "; ".join(
        " ".join(f"{a:.3g}" for a in row) for row in result["a5 to a7"] if any(row)
    )
    return f"{fitted} | {held_out} | {coefficients}"


def _panel(found: dict[tuple[str, float], dict[str, Any]], bundles: list[str]) -> Panel:
    """The root mean square over systems against the strength."""
    curves = {}
    strengths = [max(strength, AT_ZERO) for strength in STRENGTHS]
    for name in bundles:
        for kind in ("fitted", "held out"):
            errors = [found[name, strength][kind] for strength in STRENGTHS]
            if None not in errors[0]:
                means = [float(np.sqrt(np.mean(np.square(each)))) for each in errors]
                curves[f"{name}, {kind}"] = strengths, means
    return Panel(curves, "strength (0.03: none)", "error (meV)", "", power_law=False)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        print(json.dumps(measure(sys.argv[2], float(sys.argv[3]))))
    else:
        main()
