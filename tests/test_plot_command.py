"""The command `plot`: what is drawn of which files, and what is refused before anything is."""

from pathlib import Path

import bundle_samples
import finished_samples
import numpy as np
import pytest
from numpy.testing import assert_allclose
from typer.testing import CliRunner

from deeppseudopot_jax.cli.app import app
from deeppseudopot_jax.errors import InputError, ResultsError, UserError
from deeppseudopot_jax.files.results import figures, tables
from deeppseudopot_jax.files.results.painter import Here
from deeppseudopot_jax.k_path import k_path
from deeppseudopot_jax.toolkit.plot import (
    plot_bands,
    plot_costs,
    plot_hamiltonian,
    plot_potentials,
)
from deeppseudopot_jax.toolkit.plot.blocks import block_of
from deeppseudopot_jax.toolkit.plot.names import legend_names
from deeppseudopot_jax.units import HARTREE_IN_EV

DRAWS = True

LENGTHS = np.array([0.0, 0.5])
Q = np.linspace(0.0, 10.0, 101)


@pytest.fixture
def drawn(monkeypatch):
    """The drawings that would be made; their files are left empty."""
    found = []

    def make(_, drawing):
        found.append(drawing)
        for path in drawing.paths:
            path.touch()

    monkeypatch.setattr(Here, "make", make)
    return found


def bands(folder: Path, name: str = "final_BS_sys0.dat", shift: float = 0.1, **changes) -> Path:
    """A table of the small bundle's bands, which are the reference shifted."""
    folder.mkdir(parents=True, exist_ok=True)
    lengths = changes.get("lengths", LENGTHS)
    energies = changes.get("energies", finished_samples.REFERENCE + shift)
    tables.write_bands(folder / name, lengths, energies)
    return folder / name


def potential(path: Path, depth: float = 20.0, q=Q, species=("S", "Zn")) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    v = -depth * np.exp(-np.outer(q**2, np.arange(1, 1 + len(species))))
    tables.write_q_space_potential(path, q, v, species)
    return path


def reference(folder: Path) -> Path:
    path = folder / "expBandStruct_0.par"
    path.write_text(bundle_samples.GOOD[path.name])
    return path


# ---------------------------------------------------------------- bands


def test_bands_of_a_bundle_are_drawn_as_those_of_a_run(tmp_path, drawn):
    inputs = finished_samples.inputs(tmp_path / "inputs")
    files = [bands(tmp_path / name, shift=shift) for name, shift in (("a", 0.1), ("b", -0.3))]
    assert plot_bands(tmp_path / "x.pdf", files, inputs) == [tmp_path / "x.pdf"]
    ((plot,),) = drawn[0].arguments
    assert (plot.title, plot.valence_band) == (finished_samples.NAME, 1)
    assert list(plot.curves) == ["a/final", "b/final"]
    assert plot.deviation("a/final") == pytest.approx(0.1)
    assert plot.deviation("b/final", held_out=True) == pytest.approx(0.3)  # validation_k = 2


def test_bands_without_a_bundle_stand_at_their_path_lengths(tmp_path, drawn):
    files = [bands(tmp_path), bands(tmp_path, "epoch_3_BS_sys0.dat", 0.2), reference(tmp_path)]
    plot_bands(tmp_path / "x.svg", files, valence_band=1, labels=["one", "a $"])
    ((plot,),) = drawn[0].arguments
    assert list(plot.curves) == ["one", r"a \$"]
    path = k_path(plot.k_points, plot.lattice)
    assert_allclose(path.position, LENGTHS)
    assert not any(name for _, name in path.ticks)  # nobody knows which points they are
    assert plot.deviation("one") == pytest.approx(0.1) and plot.zero == 0.0
    low, high = plot.window(zoom=False)
    assert low < -2.0 and high > 4.2
    plot_bands(tmp_path / "y.svg", files[:1])
    ((plot,),) = drawn[1].arguments
    assert plot.reference is None
    low, high = plot.window(zoom=False)
    assert low + plot.zero < -1.9 and high + plot.zero > 4.1


@pytest.mark.parametrize(
    ("changes", "with_bundle", "told"),
    [
        ({"lengths": np.array([0.0, 0.4])}, False, "0.4 in row 2"),
        ({"lengths": np.array([0.0, 0.5, 1.0]), "energies": np.zeros((3, 4))}, True, "3 k-points"),
        ({"lengths": np.array([0.0, 0.5, 1.0]), "energies": np.zeros((3, 4))}, False, "3 k-points"),
        ({"energies": np.zeros((2, 5))}, True, "2 k-points x 5 bands"),
        ({"energies": np.zeros((2, 5))}, False, "2 k-points x 5 bands"),
    ],
)
def test_bands_of_other_k_points_are_refused_by_name(tmp_path, drawn, changes, with_bundle, told):
    wrong = bands(tmp_path, "wrong_BS_sys0.dat", **changes)
    inputs = bundle_samples.write(tmp_path / "inputs") if with_bundle else None
    with pytest.raises(InputError, match="wrong_BS_sys0.dat.*" + told):
        plot_bands(tmp_path / "x.svg", [wrong, bands(tmp_path)], inputs)
    assert not drawn


def test_what_bands_cannot_be_drawn_of(tmp_path, drawn):
    whole, figure = bands(tmp_path), tmp_path / "x.svg"
    inputs = bundle_samples.write(tmp_path / "inputs")
    for name, content in (
        ("binary_BS_sys0.dat", b"\x00\xff\x80"),
        ("truncated_BS_sys0.dat", whole.read_bytes()[:-12]),
        ("other_BS_sys0.dat", b"&CONTROL\n calculation = 'bands'\n/\n"),
        ("narrow_BS_sys0.dat", b"1\n2\n"),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UserError, match=name):
            plot_bands(figure, [tmp_path / name], inputs)
    refused = [
        ([], None, {}, "no bands to draw"),
        ([whole, whole], None, {}, "given twice"),
        ([whole], None, {"labels": ["a", "b"]}, "--label: found a, b"),
        ([whole], None, {"valence_band": 4}, "--valence-band: found 4; legal: 0 to 3"),
        ([whole], inputs, {"system": 1}, "--system: found 1; legal: 0 to 0"),
        ([whole], inputs, {"valence_band": 1}, "--valence-band: found beside --inputs"),
        ([whole, reference(tmp_path)], inputs, {}, "expBandStruct_0.par: found beside --inputs"),
        ([bands(tmp_path, "flat_BS_sys0.dat", lengths=np.ones(2))], None, {}, "are the same"),
    ]
    for files, bundle, options, told in refused:
        with pytest.raises(InputError, match=told):
            plot_bands(figure, files, bundle, **options)
    assert not drawn


# ---------------------------------------------------------------- targets and the command line


def test_a_target_is_looked_at_before_its_files(tmp_path):
    missing, there = [tmp_path / "missing.dat"], tmp_path / "there.svg"
    there.touch()
    (tmp_path / "folder.png").mkdir()
    for figure, told in (
        ("x.eps", "'.eps'; legal: .*svg, .pdf, .png"),
        ("x", "legal: .*svg, .pdf, .png"),
        ("there.svg", "there already"),
        ("nowhere/x.svg", "no folder"),
        ("folder.png", "a folder is in the place"),
    ):
        for draw in (plot_bands, plot_potentials, plot_costs):
            with pytest.raises(UserError, match=told):
                draw(tmp_path / figure, missing)
    (tmp_path / "x_energies.dat").touch()
    with pytest.raises(ResultsError, match=r"x_energies\.dat: there already"):
        plot_hamiltonian(tmp_path / "x.svg", tmp_path / "missing")


def test_the_command_line_writes_all_formats(tmp_path):

    def run(*arguments):
        return CliRunner().invoke(app, ["plot", *map(str, arguments)])

    for kind in ("bands", "potentials", "cost", "hamiltonian"):
        assert "Example: deeppseudopot plot" in " ".join(run(kind, "--help").stdout.split())
    file = bands(tmp_path)
    for suffix, start in (("svg", b"<?xml"), ("pdf", b"%PDF"), ("png", b"\x89PNG")):
        figure = tmp_path / f"x.{suffix}"
        assert run("bands", figure, file, reference(tmp_path), "--label", "fit").exit_code == 0
        first = figure.read_bytes()
        assert first.startswith(start)
        again = run("bands", figure, file)
        assert again.exit_code == 1 and "--overwrite" in again.stderr
    assert "fit: RMSE 100 meV" in (tmp_path / "x.svg").read_text()
    assert run("bands", figure, file, reference(tmp_path), "--label", "fit", "--overwrite")
    assert figure.read_bytes() == first
    assert run("cost", tmp_path / "y.svg", tmp_path).exit_code == 1


def test_names_tell_files_apart():
    def named(*paths):
        return legend_names([Path(path) for path in paths])

    assert named("a/final_BS_sys0.dat", "a/epoch_2_BS_sys0.dat") == ["final", "epoch_2"]
    assert named("a/final_BS_sys0.dat", "b/final_BS_sys0.dat") == ["a/final", "b/final"]
    assert named("a/x_BS_sys0.dat", "a/x_BS_sys1.dat") == ["a/x_BS_sys0.dat", "a/x_BS_sys1.dat"]
    assert named("a/b/x.dat", "c/b/x.dat") == ["a/b/x.dat", "c/b/x.dat"]
    assert named("_hidden.dat") == ["hidden"]


# ---------------------------------------------------------------- potentials and costs


def test_potentials_of_several_runs_share_a_figure(tmp_path, drawn):
    fine = np.linspace(0.0, 8.0, 161)
    sources = [
        potential(tmp_path / "run" / "final_qSpace_pot.dat").parent,
        potential(tmp_path / "chain" / "best_qSpace_pot.dat", 10.0, fine).parent,
        potential(tmp_path / "epoch_2_qSpace_pot.dat", 5.0, species=("Ga",)),
    ]
    plot_potentials(tmp_path / "x.svg", sources)
    q, r, species, plots = drawn[0].arguments
    assert species == ["Ga", "S", "Zn"] and q[-1] == 10.0
    assert [plot.label for plot in plots] == ["run", "chain", "epoch_2"]
    run, chain, epoch = plots
    assert np.isnan(run.v_q[:, 0]).all() and np.isnan(epoch.v_q[:, 1:]).all()
    inside = q <= 8.0
    assert_allclose(chain.v_q[inside, 1], -10.0 * np.exp(-(q[inside] ** 2)), atol=1e-9)
    assert np.isnan(chain.v_q[~inside]).all()
    exact = -20.0 * np.exp(-(r**2) / 4.0) / (8.0 * np.pi**1.5)  # of a Gaussian
    assert_allclose(run.v_r[:, 1], exact, atol=1e-4)


def test_what_is_no_potential_is_refused(tmp_path, drawn):
    uneven = potential(tmp_path / "uneven_qSpace_pot.dat", q=np.array([0.0, 1.0, 3.0]))
    (tmp_path / "nameless_qSpace_pot.dat").write_text("0 1 2\n1 2 3\n")
    (tmp_path / "down_qSpace_pot.dat").write_text("# q v_S\n1 1\n0 2\n")
    (tmp_path / "empty").mkdir()
    for source, told in (
        (uneven, "uneven_qSpace_pot.dat.*equidistant"),
        (tmp_path / "nameless_qSpace_pot.dat", "names the species '' for 2 columns"),
        (tmp_path / "down_qSpace_pot.dat", "q does not ascend"),
        (tmp_path / "empty", "final_qSpace_pot.dat or best_qSpace_pot.dat"),
        (tmp_path / "missing", "missing"),
    ):
        with pytest.raises(UserError, match=told):
            plot_potentials(tmp_path / "x.svg", [source])
    assert not drawn


def test_costs_of_trainings_and_chains_share_a_figure(tmp_path, drawn):
    runs = [finished_samples.trained(tmp_path / "fit"), finished_samples.sampled(tmp_path / "mc")]
    plot_costs(tmp_path / "x.svg", runs, ["least squares", "chain"])
    found, x_label = drawn[0].arguments
    assert x_label == "Epoch or iteration" and list(found) == ["least squares", "chain"]
    assert list(found["least squares"]) == ["training", "held out", "re-evaluated"]
    assert_allclose(found["least squares"]["training"], finished_samples.COSTS[:, :2])
    assert_allclose(found["least squares"]["held out"], finished_samples.COSTS[:, [0, 4]])
    chain = found["chain"]
    assert chain["Monte Carlo, coldest"][3, 1] == pytest.approx(2.0 + np.cos(3.0))
    assert (np.diff(chain["Monte Carlo, lowest"][:, 1]) <= 0.0).all()
    (runs[0] / "final_training_cost.dat").write_bytes(b"# epoch cost\n0 1\n\xff\x00")
    with pytest.raises(ResultsError, match=r"fit.*damaged"):
        plot_costs(tmp_path / "y.svg", runs)
    (runs[0] / "final_training_cost.dat").write_bytes(b"# epoch cost bands\n0 1 1\n1 0.")
    with pytest.raises(ResultsError, match=r"damaged \(the number of columns [^;]*\)$"):
        plot_costs(tmp_path / "y.svg", runs)


# ---------------------------------------------------------------- hamiltonian


def test_blocks_are_those_that_are_asked_for():
    matrix = np.arange(20 * 20).reshape(20, 20)  # ten waves, two spins
    whole = block_of(None, "down-up", 10, 2)
    assert (whole.rows, whole.columns) == ((0, 10), (0, 10))
    np.testing.assert_array_equal(whole.of(matrix, 2), matrix[10:, :10])
    part = block_of("2:5,4:9", "up-down", 10, 2)
    among = np.concatenate([part.waves, 10 + part.waves])
    np.testing.assert_array_equal(part.of(matrix[np.ix_(among, among)], 2), matrix[2:5, 14:19])
    assert block_of(None, "up-up", 99, 1).columns == (0, 30)
    for text, spins, n_spin, told in (
        ("5:5", "up-up", 2, "5:5; legal: .*0:10"),
        ("0:11", "up-up", 2, "0:11"),
        ("0:2,3", "up-up", 2, "legal: START:STOP"),
        (None, "up", 2, "legal: up-up, up-down"),
        (None, "up-left", 2, "'up-left'"),
        (None, "up-down", 1, "without SObool"),
    ):
        with pytest.raises(InputError, match=told):
            block_of(text, spins, 10, n_spin)


def test_the_hamiltonian_of_a_bundle(tmp_path, drawn):
    coefficients = "5\n2\n3\n0.4\n0\n0.3\n0.1\n0.2\n0\n"
    inputs = bundle_samples.write(
        tmp_path / "inputs",
        NN_config="PPmodel = ZeroFunction\nnSystem = 1\nSObool = 1\n",
        input_0="nBands = 4\nmaxKE = 1\nidxVB = 1\nidxCB = 2\n",
        init_ZnParams=coefficients, init_SParams=coefficients,
    )  # fmt: skip
    for options, told in (
        ({"system": 1}, "--system: found 1"),
        ({"k_points": (0, 2)}, "--k-point: found 2; legal: 0 to 1"),
        ({"block": "0:99"}, "--block: found 0:99"),
    ):
        with pytest.raises(InputError, match=told):
            plot_hamiltonian(tmp_path / "x.svg", inputs, **options)
    written = plot_hamiltonian(tmp_path / "x.svg", inputs, k_points=(1, 0), block="1:4,0:6")
    assert [path.name for path in written] == ["x.svg", "x_energies.svg", "x_energies.dat"]
    matrices, rows, columns = drawn[0].arguments
    assert (rows, columns) == ((1, 4), (0, 6))
    assert list(matrices) == ["k-point 1, L", "k-point 0, Γ"]
    terms = matrices["k-point 0, Γ"]
    assert list(terms) == ["T", "V_loc", "V_SO", "V_NL", "sum"]
    reciprocal = np.linalg.inv(5.0 * (1.0 - np.eye(3))).T * 2.0 * np.pi
    nonzero = terms["T"][terms["T"] > 0.0]
    lowest = HARTREE_IN_EV * 0.5 * (reciprocal[0] @ reciprocal[0])
    assert terms["T"].shape == (3, 6) and nonzero.min() >= lowest - 1e-9
    assert np.all(terms["sum"] <= sum(terms[name] for name in list(terms)[:4]) + 1e-12)
    table = np.loadtxt(written[2])
    names = written[2].read_text().splitlines()[1].split()[1:]
    assert names == ["k_point", "band", "energy", "T", "V_loc", "V_SO", "V_NL", "sum"]
    assert table[:, 0].tolist() == [1.0] * 4 + [0.0] * 4 and table[:4, 1].tolist() == [0, 1, 2, 3]
    assert_allclose(table[:, 3:7].sum(axis=1), table[:, 2], rtol=0, atol=5e-9)  # its digits
    assert_allclose(table[:, 7], table[:, 2], rtol=0, atol=2e-9)
    shown = drawn[1].arguments[0]["k-point 1, L"]
    assert_allclose(shown["sum"], table[:4, 2], atol=1e-8)


def test_figures_of_terms_and_costs_can_be_drawn(tmp_path):
    matrices = {"k-point 0": {"T": np.eye(3), "V_loc": np.zeros((3, 3)), "sum": np.eye(3)}}
    figure = figures.term_matrix_figure(matrices, (0, 3), (2, 5))
    assert [axes.get_title() for axes in figure.axes[:3]] == [
        "|$T$|", r"|$V_\mathrm{loc}$|", "|$H$|"
    ]  # fmt: skip
    assert [[text.get_text() for text in axes.texts] for axes in figure.axes[:3]] == [
        [], ["all 0"], []
    ]  # fmt: skip
    norms = {axes.images[0].norm.vmax for axes in figure.axes[:3]}
    assert norms == {1.0}
    figures.save(figure, tmp_path / "x.png")
    energies = {"k-point 0": {"T": np.ones(4), "sum": np.ones(4)}}
    figures.save(figures.term_energy_figure(energies), tmp_path / "y.svg")
    histories = {
        "a": {"training": np.array([[0, 1.0], [1, 0.1]]), "validation": np.array([[1, 0.1]])},
        "b": {},
    }
    figure = figures.cost_comparison_figure(histories, "Epoch")
    assert figure.axes[0].get_yscale() == "log"
    *_, training, validation = figure.legends[0].get_lines()
    assert (training.get_marker(), validation.get_marker()) == ("None", "o")
    figures.save(figure, tmp_path / "z.svg")
    nothing = {"k-point 0": {"T": np.zeros((2, 2)), "sum": np.zeros((2, 2))}}
    figures.save(figures.term_matrix_figure(nothing, (0, 2), (0, 2)), tmp_path / "0.png")
