"""The command `cluster`: known families are found, where there are none it says so."""

import csv
from pathlib import Path

import finished_samples
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from literal import long_range, zunger
from numpy.testing import assert_allclose
from scipy.integrate import trapezoid
from test_ensemble import RUN as ENSEMBLE
from test_sampling import NETWORK, TEMPERED, ZERO, make_inputs
from typer.testing import CliRunner

from deeppseudopot_jax.cli.app import app
from deeppseudopot_jax.errors import InputError, ResultsError, UserError
from deeppseudopot_jax.files.results import figures, tables
from deeppseudopot_jax.files.results.clusters import ClusterPlot
from deeppseudopot_jax.files.results.form_factors import FormFactors
from deeppseudopot_jax.files.results.painter import Here
from deeppseudopot_jax.files.results.snapshots import write_snapshot
from deeppseudopot_jax.files.results.transform import real_space_potential
from deeppseudopot_jax.montecarlo.chain import Running
from deeppseudopot_jax.montecarlo.interface import Replica
from deeppseudopot_jax.montecarlo.tempering import State
from deeppseudopot_jax.parameters import Parameters
from deeppseudopot_jax.run.workflows import run
from deeppseudopot_jax.toolkit.cluster import (
    Fitted,
    cluster_potentials,
    families_of,
    features_of,
    fitted_potentials,
)
from deeppseudopot_jax.toolkit.cluster.costs import cost_of

DRAWS = True

Q = np.linspace(0.0, 12.0, 241)
SPECIES = ("As", "Ga")


def curves(depth: float, width: float, q=Q) -> np.ndarray:
    """Two species; the second one is the same in all potentials of a depth."""
    return np.stack([-depth * np.exp(-((q / width) ** 2)), -20.0 * np.exp(-(q**2))], axis=1)


def fitted(v: np.ndarray, q=Q, name: str = "x", species=SPECIES, cost=np.nan) -> Fitted:
    return Fitted(name, FormFactors(q, v, species), cost)


def two_families(folder: Path) -> Path:
    """An ensemble of nine: odd members are deep, even ones wide, costs fall with their number."""
    rng = np.random.default_rng(5)
    folder.mkdir(parents=True)
    for i in range(1, 10):
        depth, width = (30.0, 1.5) if i % 2 else (25.0, 1.8)
        v = curves(depth + 0.1 * rng.normal(), width + 0.005 * rng.normal())
        tables.write_q_space_potential(folder / f"member_{i}_qSpace_pot.dat", Q, v, SPECIES)
    rows = [(i, 4, 10.0 - i) for i in range(1, 10)]
    tables.write_costs(folder / "ensemble.dat", rows, ("member", "updates", "cost"))
    return folder


@pytest.fixture
def no_figures(monkeypatch):
    """What would be drawn."""
    found = {}

    def make(_, drawing):
        found[drawing.figure] = drawing.arguments

    monkeypatch.setattr(Here, "make", make)
    return found


# ---------------------------------------------------------------- what is found


@pytest.mark.parametrize("method", ["kmeans", "hierarchical"])
def test_known_families_are_found(tmp_path, no_figures, method):
    source = two_families(tmp_path / "ensemble")
    told = cluster_potentials(tmp_path / "out", [source], method)
    assert f"2 clusters ({method}): mean silhouette 0.9" in told
    with (tmp_path / "out" / "clusters.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["name"] for row in rows] == [f"ensemble/member_{i}" for i in range(1, 10)]
    assert [row["cluster"] for row in rows] == ["1" if i % 2 else "2" for i in range(1, 10)]
    assert [float(row["cost"]) for row in rows] == [10.0 - i for i in range(1, 10)]
    assert [row["name"][-1] for row in rows if row["is_lowest"] == "1"] == ["8", "9"]
    assert all(float(row["silhouette"]) > 0.8 for row in rows)
    medoids = [i for i, row in enumerate(rows) if row["is_medoid"] == "1"]
    assert sorted(rows[i]["cluster"] for i in medoids) == ["1", "2"]
    text = (tmp_path / "out" / "clusters.dat").read_text()
    assert "\n        1     5            1            9" in text
    plot = no_figures["cluster_map_figure"][0]
    assert plot.explained[0] > 0.9 and plot.lowest.tolist() == [8, 7]
    again = cluster_potentials(tmp_path / "again", [source], method)
    assert again.replace("again", "out") == told
    for name in ("clusters.csv", "clusters.dat"):
        first, second = (tmp_path / where / name for where in ("out", "again"))
        assert first.read_bytes() == second.read_bytes()


def test_clusters_of_a_cloud_are_not_believed():
    points = np.random.default_rng(1).normal(size=(30, 40)) * 0.8 ** np.arange(40)
    points -= points.mean(axis=0)
    unknown = np.full(30, np.nan)
    found = families_of(points, unknown)
    assert found.labels.max() == 0 and not found.is_significant
    assert len(found.tried) == 7 and max(found.tried.values()) < found.by_chance
    assert np.isnan(found.silhouettes).all() and found.lowest.tolist() == [-1]
    forced = families_of(points, unknown, "hierarchical", 3)
    assert forced.labels.max() == 2 and not forced.is_significant
    sizes = np.bincount(forced.labels)
    assert (np.diff(sizes) <= 0).all()  # without costs the largest comes first
    alone = families_of(points, unknown, n_clusters=1)
    assert alone.labels.max() == 0 and alone.spreads.tolist() == [1.0]


def test_medoids_and_components_are_those_of_their_definitions():
    rng = np.random.default_rng(2)
    points = np.concatenate([rng.normal(size=(6, 3)), rng.normal(size=(4, 3)) + 30.0])
    points -= points.mean(axis=0)
    found = families_of(points, np.arange(10.0))
    assert found.labels.tolist() == [0] * 6 + [1] * 4
    for cluster, members in enumerate((range(6), range(6, 10))):
        sums = [sum(np.linalg.norm(points[i] - points[j]) for j in members) for i in members]
        assert found.medoids[cluster] == members[int(np.argmin(sums))]
    _, sizes, axes = np.linalg.svd(points, full_matrices=False)
    assert_allclose(np.abs(found.components), np.abs(points @ axes.T), atol=1e-9)
    assert_allclose(found.explained, sizes**2 / np.sum(sizes**2), atol=1e-12)


def test_distances_are_those_of_the_potentials_in_real_space():
    potentials = [fitted(curves(depth, 1.5)) for depth in (30.0, 28.0, 25.0)]
    rows = features_of(potentials).rows
    assert_allclose(np.sum(rows**2), 3.0)
    r = np.linspace(0.0, 20.0, 1001)
    v_r = [real_space_potential(Q, p.table.v_q[:, :1], r)[:, 0] for p in potentials]

    def apart(i: int, j: int) -> float:
        return np.sqrt(trapezoid(r**2 * (v_r[i] - v_r[j]) ** 2, r))

    ratio = np.linalg.norm(rows[0] - rows[1]) / np.linalg.norm(rows[0] - rows[2])
    assert ratio == pytest.approx(apart(0, 1) / apart(0, 2), rel=1e-6)
    wide = [fitted(curves(20.0, w)) for w in (1.0, 1.2, 1.5)]
    rows = features_of(wide).rows
    v_r = [real_space_potential(Q, p.table.v_q[:, :1], r)[:, 0] for p in wide]
    ratio = np.linalg.norm(rows[0] - rows[1]) / np.linalg.norm(rows[0] - rows[2])
    assert ratio == pytest.approx(apart(0, 1) / apart(0, 2), rel=1e-3)


def test_tables_on_other_grids_and_in_another_order_are_the_same_potentials():
    other = np.linspace(0.0, 15.0, 431)
    potentials = [
        fitted(curves(30.0, 1.5)), fitted(curves(25.0, 1.5)),
        fitted(curves(30.0, 1.5, other)[:, ::-1], other, species=SPECIES[::-1]),
    ]  # fmt: skip
    features = features_of(potentials, 7.0)
    assert features.q[-1] <= 7.0 and features.species == SPECIES
    near, far = (np.linalg.norm(features.rows[0] - features.rows[i]) for i in (2, 1))
    assert near < 1e-3 * far


def test_values_beyond_the_largest_q_do_not_count():
    waves = np.where(Q > 8.0, np.sin(5.0 * Q), 0.0)[:, None]
    potentials = [fitted(curves(d, 1.5) + s * waves) for d, s in ((30, 0), (29, 1), (25, 0))]
    whole, seen = features_of(potentials).rows, features_of(potentials, 7.0).rows
    plain = [fitted(curves(d, 1.5)) for d in (30, 29, 25)]
    assert_allclose(seen, features_of(plain, 7.0).rows)
    beyond = np.tile(Q > 8.0, 2)
    assert np.sum(whole[1, beyond] ** 2) > 0.9 * np.sum(whole[1] ** 2)


# ---------------------------------------------------------------- what is refused


def test_what_cannot_be_compared_is_refused():
    short = fitted(curves(20.0, 1.0, Q[:100]), Q[:100], "short")
    far = fitted(curves(20.0, 1.0, Q + 20.0), Q + 20.0, "far")
    one, another = fitted(curves(30.0, 1.5)), fitted(curves(28.0, 1.5))
    for potentials, q_max, told in (
        ([one, short], 7.0, "--q-max: found 7; .*<= 4.95 .*short"),
        ([one, far], None, "too little in common: that of far begins at q = 20"),
        ([one, one, one], None, "all 3 potentials are the same"),
        ([one, another], -1.0, "--q-max: found -1"),
    ):
        with pytest.raises(InputError, match=told):
            features_of(potentials, q_max)
    points = np.array([[0.0, 0.0], [0.0, 0.0], [1.0, 1.0], [1.0, 1.0]])
    with pytest.raises(InputError, match="found 2 potentials; legal: 3"):
        families_of(points[1:3], np.zeros(2))
    with pytest.raises(InputError, match="found 3; legal: 1 to 2, of 4 potentials of which 2"):
        families_of(points, np.zeros(4), n_clusters=3)
    assert families_of(points, np.zeros(4)).labels.tolist() == [0, 0, 1, 1]


def test_sources_are_looked_at(tmp_path, no_figures):
    source = two_families(tmp_path / "ensemble")
    file = tmp_path / "other_qSpace_pot.dat"
    tables.write_q_space_potential(file, Q, curves(1.0, 1.0), ("Ga", "N"))
    (tmp_path / "binary_qSpace_pot.dat").write_bytes(b"\x00\xff")
    (tmp_path / "empty").mkdir()
    (tmp_path / "chain").mkdir()
    (tmp_path / "chain" / "mc_checkpoint.npz").write_bytes(b"PK no archive")
    for sources, told in (
        ([source, file], "other: found the species Ga N; ensemble/member_1 has As Ga"),
        ([source, source], "given twice"),
        ([source, tmp_path / "binary_qSpace_pot.dat"], "binary_qSpace_pot.dat.*UTF-8"),
        ([tmp_path / "empty"], "holds no potential"),
        ([tmp_path / "chain"], "mc_checkpoint.npz is damaged"),
        ([file], "found 1 potential; legal: several"),
    ):
        with pytest.raises(UserError, match=told):
            cluster_potentials(tmp_path / "out", sources)
    assert not (tmp_path / "out").exists() and not no_figures
    for target, told in ((source, "one of the sources"), (tmp_path, "not empty")):
        with pytest.raises(ResultsError, match=told):
            cluster_potentials(target, [source])
    with pytest.raises(InputError, match="--method: found 'dbscan'; legal: kmeans, hierarchical"):
        cluster_potentials(tmp_path / "out", [source], "dbscan")


def test_the_command_line(tmp_path):
    def call(*arguments):
        return CliRunner().invoke(app, ["cluster", *map(str, arguments)])

    assert "Example: deeppseudopot cluster" in " ".join(call("--help").stdout.split())
    source = two_families(tmp_path / "ensemble")
    done = call(tmp_path / "out", source, "--q-max", "7", "--clusters", "2")
    assert done.exit_code == 0 and "2 clusters" in done.stdout
    names = {path.name for path in (tmp_path / "out").iterdir()}
    drawn = {f"clusters_plot{n}.{s}" for n in ("PCA", "PP") for s in ("pdf", "png")}
    assert names == {"clusters.dat", "clusters.csv"} | drawn
    again = call(tmp_path / "out", source)
    assert again.exit_code == 1 and "--overwrite" in again.stderr


def test_figures_of_few_potentials_without_costs(tmp_path):
    line = np.column_stack([np.arange(5.0), np.arange(5.0)])
    plot = ClusterPlot(
        line, np.array([1.0, 0.0]), np.array([0, 0, 0, 1, 1]), np.array([1, 3]),
        np.full(5, np.nan), np.array([-1, -1]),
    )  # fmt: skip
    figure = figures.cluster_map_figure(plot)
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == ["cluster 1 (3)", "cluster 2 (2)", "medoid"]
    assert len(figure.axes) == 1  # no scale of costs
    figures.save(figure, tmp_path / "x.svg")
    v_q = np.stack([curves(20.0 + i, 1.0) for i in range(5)])
    panels = figures.cluster_potential_figure(Q, v_q, SPECIES, plot).axes
    assert [axes.get_title("left") for axes in panels[:2]] == list(SPECIES)
    deviation = Q * (v_q - v_q.mean(axis=0))[0, :, 0]
    assert_allclose(panels[2].lines[0].get_ydata(), deviation)


# ---------------------------------------------------------------- costs and replicas


def test_costs_are_found_beside_the_potentials(tmp_path):
    fit, chain = (
        finished_samples.trained(tmp_path / "fit"), finished_samples.sampled(tmp_path / "mc")
    )  # fmt: skip
    costs = finished_samples.COSTS
    assert cost_of(fit, "epoch_1") == costs[1, 1] and np.isnan(cost_of(fit, "epoch_7"))
    assert np.isnan(cost_of(fit, "final"))  # the held-out cost is lowest in another epoch
    rows = [(int(n), cost) for n, cost in costs[:, :2]]
    tables.write_costs(fit / "final_training_cost.dat", rows)
    assert cost_of(fit, "final") == costs[1, 1]
    current = 2.0 + np.cos(np.arange(41.0))
    assert cost_of(chain, "mc_iter_30") == pytest.approx(current[30])
    assert cost_of(chain, "best") == cost_of(chain, "final") == pytest.approx(current.min())
    assert np.isnan(cost_of(tmp_path, "final")) and np.isnan(cost_of(chain, "initZunger"))
    (fit / "final_training_cost.dat").write_text("# epoch cost\n0 x\n")
    with pytest.raises(ResultsError, match="damaged"):
        cost_of(fit, "final")


def checkpoint(folder: Path, coefficients: np.ndarray, costs: list[float], **facts: str) -> Path:
    """A checkpoint of replicas of the Zunger form, (replica, species, 9)."""
    folder.mkdir(parents=True)
    params = Parameters(
        coefficients[..., :4], coefficients[..., 4], coefficients[..., 5],
        coefficients[..., 6:8], coefficients[..., 8],
    )  # fmt: skip
    replicas = Replica(jax.tree.map(jnp.asarray, params), jnp.asarray(costs), None, None)
    state = State(None, jnp.asarray(40), replicas, None, jnp.arange(len(costs)), None, None)
    known = {
        "PPmodel": "ZeroFunction", "nSystem": "1", "LRgamma": "0.3", "species": "(As, Ga)",
        "systems 0 max kinetic energy": "5.0",
    }  # fmt: skip
    write_snapshot(folder / "mc_checkpoint.npz", {"running": Running(state, ())}, known | facts)
    return folder


def test_replicas_are_read_from_the_checkpoint_of_a_chain(tmp_path):
    rng = np.random.default_rng(6)
    coefficients = rng.uniform(0.9, 1.1, (3, 2, 9)) * [20, 2, 3, 0.5, 0.1, 1, 1, 1, 0]
    folder = checkpoint(tmp_path / "mc", coefficients, [3.0, 1.0, 2.0])
    for step in (20, 40):  # the second one is the coldest replica itself
        file = folder / f"mc_iter_{step}_qSpace_pot.dat"
        tables.write_q_space_potential(file, Q, curves(step, 1.0), SPECIES)
    rows = [(i, 1.0, 1, 0.5, 0.1 * i) for i in range(41)]
    columns = ("iter", "newLoss", "accept", "bestLoss", "currLoss")
    tables.write_costs(folder / "final_mc_cost.dat", rows, columns)
    found = fitted_potentials([folder])
    names = ["mc/replica_0", "mc/replica_1", "mc/replica_2", "mc/mc_iter_20"]
    assert [potential.name for potential in found] == names
    assert [potential.cost for potential in found] == pytest.approx([3.0, 1.0, 2.0, 2.0])
    for replica, potential in enumerate(found[:3]):
        assert potential.table.species == SPECIES
        for species in range(2):
            row = coefficients[replica, species]
            expected = zunger(Q, row) + long_range(Q, row[4], 0.3)
            assert_allclose(potential.table.v_q[:, species], expected, rtol=1e-9, atol=1e-9)
    network, nonsense = {"PPmodel": "Net_relu", "hiddenLayers": "4"}, {"species": "(As"}
    for name, facts in (("network", network), ("nonsense", nonsense)):
        with pytest.raises(ResultsError, match="is no checkpoint of a Monte Carlo run"):
            fitted_potentials([checkpoint(tmp_path / name, coefficients, [1, 1, 1], **facts)])


@pytest.mark.exhaustive
@pytest.mark.parametrize("config", [NETWORK, ZERO])
def test_replicas_of_a_run_are_those_that_its_tables_have(tmp_path, config, monkeypatch):
    monkeypatch.setattr("deeppseudopot_jax.run.outputs.Outputs.save", lambda *_: None)
    inputs = make_inputs(tmp_path / "inputs", config + TEMPERED + "plotEvery = 10\nmovie = 0\n")
    run(inputs, tmp_path / "mc")
    walks = np.loadtxt(tmp_path / "mc" / "final_mc_replicas.dat")
    coldest = int(np.argmin(walks[-1, 1:4]))
    found = fitted_potentials([tmp_path / "mc"])
    assert [potential.name for potential in found] == [f"mc/replica_{i}" for i in range(3)]
    assert_allclose([potential.cost for potential in found], walks[-1, 4:], rtol=1e-9)
    frame = np.loadtxt(tmp_path / "mc" / "mc_iter_30_qSpace_pot.dat")
    assert_allclose(found[coldest].table.v_q, frame[:, 1:], rtol=1e-8, atol=1e-8)
    told = cluster_potentials(tmp_path / "out", [tmp_path / "mc"], q_max=6.0)
    assert "3 potentials of S Zn" in told


@pytest.mark.exhaustive
def test_members_of_an_ensemble_of_a_run(tmp_path):
    config = ENSEMBLE + "optimizer = lm\nensemble_size = 4\n"
    run(make_inputs(tmp_path / "inputs", config), tmp_path / "ensemble")
    table = np.loadtxt(tmp_path / "ensemble" / "ensemble.dat")
    found = fitted_potentials([tmp_path / "ensemble"])
    assert_allclose([potential.cost for potential in found], table[:, 2])
    with np.load(tmp_path / "ensemble" / "ensemble.npz") as arrays:
        for potential, v in zip(found, arrays["v_q"], strict=True):
            assert_allclose(potential.table.v_q, v, rtol=1e-8, atol=1e-8)
    assert "4 potentials of S Zn" in cluster_potentials(tmp_path / "out", [tmp_path / "ensemble"])
