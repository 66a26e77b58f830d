"""A results folder as a run of the small bundle leaves it, written by hand in no time."""

import json
from pathlib import Path

import bundle_samples
import jax.numpy as jnp
import numpy as np

from deeppseudopot_jax.files.results import tables
from deeppseudopot_jax.files.results.snapshots import write_snapshot
from deeppseudopot_jax.montecarlo.chain import Running
from deeppseudopot_jax.montecarlo.schedule import Schedule
from deeppseudopot_jax.montecarlo.tempering import Counts, State

CONFIG = (
    "PPmodel = Net_relu  # a < b & c <script>alert(1)</script>\nhiddenLayers = 4 3\nnSystem = 1\n"
    "max_num_epochs = 2\noptimizer = lm\nplotEvery = 1\nnQGrid = 64\nnRGrid = 32\n"
    "validation_k = 2\n"
)
NAME = "ZnS <hot> & cold"
COSTS = np.array([[0, 5.0, 4.0, 1.0, 7.5], [1, 2.0, 1.75, 0.25, 3.5], [2, 2.5, 2.0, 0.5, 3.0]])
REFERENCE = np.array([[-1.0, 0, 2, 3], [-2, -1, 3, 4]])
FIT = REFERENCE + np.array([[0.01], [0.03]])
START = REFERENCE - 0.5
OBSERVABLES = [
    {
        "group": "gaps", "name": "direct gap", "where": "k-point 0 (0 0 0)", "value": 2.01234,
        "unit": "eV", "reference": 2.0, "sigma": 0.0321,
    },
    {
        "group": "masses", "name": "hole <mass>", "where": "", "value": None, "unit": "m_e",
        "reference": None, "sigma": None, "note": "a crossing",
    },
]  # fmt: skip
TIMINGS = {
    "format": 1,
    "stages": [
        {
            "name": "training", "seconds": 12.5, "compile_seconds": 3.25,
            "host_peak_bytes": 512 * 2**20, "device_peak_bytes": None,
        },
        {
            "name": "error bars", "seconds": 1.5, "compile_seconds": 0.75,
            "host_peak_bytes": 600 * 2**20, "device_peak_bytes": None,
        },
    ],
    "versions": {"deeppseudopot-jax": "0.1.0", "jax": "0.10.2"},
    "device": "cpu",
    "command": ["deeppseudopot", "run", "my bundle", "results"],
    "precision": "float64",
}  # fmt: skip
LOG = (
    "[     0.00 s] deeppseudopot-jax 0.1.0, JAX 0.10.2 on cpu, float64 arithmetic\n"
    "[     0.01 s]   note: no effect of <seed>.\n"
)


def inputs(folder: Path, config: str = CONFIG) -> Path:
    """The small bundle; its second k-point is held out."""
    text = bundle_samples.GOOD["input_0.par"] + f"systemName = {NAME}\n"
    return bundle_samples.write(folder, NN_config=config, input_0=text)


def trained(folder: Path) -> Path:
    """What a least-squares fit leaves, less its figures and parameters."""
    folder.mkdir(parents=True)
    (folder / "run.log").write_text(LOG)
    tables.write_costs(
        folder / "final_training_cost.dat", _rows(COSTS),
        ("epoch", "cost", "bands", "priors", "held_out"),
    )  # fmt: skip
    tables.write_costs(folder / "final_validation_cost.dat", _rows(COSTS[2:, :2]))
    q, r = np.linspace(0.0, 10.0, 64), np.linspace(0.0, 10.0, 32)
    for prefix, bands, depth in (("initZunger", START, 20.0), ("final", FIT, 30.0)):
        tables.write_bands(folder / f"{prefix}_BS_sys0.dat", np.array([0.0, 0.5]), bands)
        v = -depth * np.exp(-np.outer(q**2, [1.0, 2.0]))
        tables.write_q_space_potential(folder / f"{prefix}_qSpace_pot.dat", q, v, ("S", "Zn"))
    covariance = {
        "names": np.array(["a", "b", "c"]), "n_data": np.array(5), "determined": np.array(2.5),
        "sigma_of_weight_1": np.array(0.012), "v_q_sigma": np.ones((64, 2)),
        "v_r_sigma": np.full((len(r), 2), 0.1), "bands_sigma_sys0": np.full((2, 4), 0.05),
    }  # fmt: skip
    tables.write_arrays(folder / "final_covariance.npz", covariance)
    document = {"format": 1, "prefix": "final"}
    document["systems"] = [{"index": 0, "name": NAME, "observables": OBSERVABLES}]
    (folder / "final_observables.json").write_text(json.dumps(document))
    (folder / "run_timings.json").write_text(json.dumps(TIMINGS))
    return folder


def sampled(folder: Path) -> Path:
    """The tables and the checkpoint of a chain of two replicas that swap once."""
    folder.mkdir(parents=True)
    (folder / "run.log").write_text(LOG)
    current = 2.0 + np.cos(np.arange(41.0))
    rows = [(i, c, i % 2, min(current[: i + 1]), c, c) for i, c in enumerate(current.tolist())]
    columns = ("iter", "newLoss", "accept", "bestLoss", "currLoss", "bands")
    tables.write_costs(folder / "final_mc_cost.dat", rows, columns)
    walks = [(i, *((0, 1) if i < 20 else (1, 0)), 1.0, 2.0) for i in range(0, 41, 5)]
    columns = ("iter", "rung_0", "rung_1", "cost_0", "cost_1")
    tables.write_costs(folder / "final_mc_replicas.dat", walks, columns)
    two = jnp.array([40, 40])
    counts = Counts(two, two, jnp.array([10, 20]), jnp.array([8]), jnp.array([2]), two * 0, two * 0)
    schedule = Schedule(jnp.zeros(1, int), jnp.array([[500.0, 10.0]]), jnp.ones((1, 2)), None)
    running = Running(State(*(None,) * 5, schedule, counts), ())
    write_snapshot(folder / "mc_checkpoint.npz", {"running": running}, {})
    return folder


def _rows(table: np.ndarray) -> list[list]:
    """The first column counts."""
    return [[int(first), *others] for first, *others in table.tolist()]
