"""The command `export`: v(r) against closed forms and its inverse, tables, crystals, refusals."""

import sys
from dataclasses import replace
from pathlib import Path

import bundle_samples
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.integrate import quad
from scipy.special import erf
from typer.testing import CliRunner

from deeppseudopot_jax import InputError
from deeppseudopot_jax.cli.app import app
from deeppseudopot_jax.errors import ResultsError, UnsupportedError
from deeppseudopot_jax.files.bundle import BundleError, read_bundle
from deeppseudopot_jax.potentials.long_range import long_range_potential, long_range_tail
from deeppseudopot_jax.toolkit.export import Grids, export_potential, load_potential
from deeppseudopot_jax.toolkit.export.real_space import in_real_space, reciprocal_potential
from deeppseudopot_jax.units import BOHR_IN_ANGSTROM

CONFIG = (
    "PPmodel = ZeroFunction\nnSystem = 1\nSObool = 1\nnQGrid = 512\nnRGrid = 256\nLRgamma = 0.3\n"
)
START = {"init_ZnParams": "5\n2\n3\n0.4\n0.5\n6\n7\n8\n9\n", "init_SParams": "7\n3\n2\n.5\n-.5\n"}
NO_TAIL = {"init_ZnParams": "5\n2\n3\n0.4\n", "init_SParams": "7\n3\n2\n.5\n"}


def inputs(folder: Path, **changes) -> Path:
    return bundle_samples.write(folder, **{"NN_config": CONFIG} | START | changes)


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    """Two species with a tail of 0.5 and -0.5."""
    return load_potential(inputs(tmp_path_factory.mktemp("inputs")))


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """Everything of the same bundle: folder and what was said."""
    folder = tmp_path_factory.mktemp("exported")
    lines = export_potential(inputs(folder / "inputs"), folder / "target")
    return folder / "target", lines


class Gaussian:
    """v(q) = pi^(3/2) w^3 exp(-w^2 q^2 / 4), which is exp(-r^2 / w^2); twice that for Zn."""

    width = 1.3

    def parameter_shapes(self):
        return ()

    def apply(self, _, q):
        w = self.width
        return jnp.pi**1.5 * w**3 * jnp.exp(-((w * q[:, None]) ** 2) / 4) * jnp.array([[1.0, 2.0]])


def test_the_transform_of_a_gaussian_is_a_gaussian(loaded):
    gaussian = replace(loaded, problem=replace(
        loaded.problem, channels=replace(loaded.problem.channels, local=Gaussian())
    ))  # fmt: skip
    found = in_real_space(gaussian, Grids(20.0, 600, 12.0, 300))
    expected = np.exp(-((found.r / Gaussian.width) ** 2))
    assert_allclose(found.short_range[:, 0], expected, atol=1e-13)
    assert_allclose(found.short_range[:, 1], 2 * expected, atol=1e-13)
    assert found.errors.max() < 1e-12 and np.abs(found.shifts).max() < 1e-14


def test_v_of_r_transformed_back_is_v_of_q(loaded):
    found = in_real_space(loaded, Grids(20.0, 1024, 25.0, 1024))
    assert found.errors.max() < 1e-8
    q = np.array([0.0, 0.3, 2.2, 5.0])
    back = reciprocal_potential(found.r, found.short_range + found.shifts, q)
    assert_allclose(back, loaded.short_range(q), atol=1e-7)
    short = in_real_space(loaded, Grids(20.0, 1024, 2.0, 1024))  # cuts v(r) off
    assert short.errors.max() > 1e-3 and np.abs(short.shifts).max() > 1e-4
    assert np.all(short.short_range[-1] == 0.0)


def test_the_tail_in_real_space_is_the_transform_of_the_tail(loaded):
    """-a4 erf(gamma r)/r against 1/(2 pi^2) int q^2 v(q) sin(q r)/(q r) dq."""
    gamma = 0.3
    a4 = np.asarray(loaded.params.long_range)
    r = np.array([0.0, 1e-3, 0.5, 3.0, 40.0])
    found = loaded.tail_in_real_space(r)
    for i, radius in enumerate(r):

        def integrand(q, radius=radius):
            return np.exp(-(q**2) / (4 * gamma**2)) * np.sinc(q * radius / np.pi)

        expected = -a4 * 2.0 / np.pi * quad(integrand, 0.0, 4.0, limit=400)[0]
        assert_allclose(found[i], expected, rtol=1e-8)
    assert_allclose(found[-1], -a4 / 40.0, rtol=1e-12)  # a charge
    assert np.all(np.asarray(long_range_potential(jnp.zeros(2), jnp.zeros(2), gamma)) == 0.0)
    q = jnp.asarray([0.7])
    assert_allclose(loaded.tail(np.asarray(q)), long_range_tail(q, loaded.params.long_range, gamma))


def test_tables_in_real_space(exported, loaded):
    folder, (said, *_) = exported
    r = np.linspace(0.0, 25.0, 256)
    for i, symbol in enumerate(("S", "Zn")):
        whole, short, tail = (
            np.loadtxt(folder / f"pot{symbol}{end}.par") for end in ("", "_SR", "_LR")
        )
        for table in (whole, short, tail):
            assert_allclose(table[:, 0], r, atol=1e-10)
        assert short[-1, 1] == 0.0
        assert_allclose(whole[:, 1], short[:, 1] + tail[:, 1], atol=1e-11)
        a4 = float(loaded.params.long_range[i])
        assert_allclose(tail[1:, 1], -a4 * erf(0.3 * r[1:]) / r[1:], rtol=1e-11)
        assert "#" not in (folder / f"pot{symbol}.par").read_text()  # readers know no comments
    assert np.loadtxt(folder / "SO_Zn.par").tolist() == [[6, 0], [7, 0], [8, 0]]
    assert np.loadtxt(folder / "SO_S.par").tolist() == [[0, 0], [0, 0], [0, 0]]
    assert "is the sum of _SR and _LR" in said and "256 r up to 25 Bohr" in said


def test_tables_in_q_space_can_be_read_again(exported, tmp_path, loaded):
    folder, lines = exported
    with_tail, without = (
        np.loadtxt(folder / name) for name in ("qSpace_pot.dat", "qSpace_pot_SR.dat")
    )
    q = np.linspace(0.0, 20.0, 512)
    assert_allclose(without, np.column_stack([q, loaded.short_range(q)]), rtol=1e-9, atol=1e-9)
    assert_allclose(with_tail[:, 1:] - without[:, 1:], loaded.tail(q), rtol=1e-7, atol=1e-7)
    files = {f"init_{s}Params": (folder / f"{s}Params.par").read_text() for s in ("Zn", "S")}
    table = (folder / "qSpace_pot_SR.dat").read_text()
    bundle = bundle_samples.read(tmp_path, init_qSpace_pot=table, **files)
    assert np.array_equal(bundle.coefficients, loaded.rows)
    assert_allclose(bundle.tabulated_potential, without)
    assert "qSpace_pot.dat has the long-range tail" in lines[1]


def test_without_a_tail_there_is_one_curve(tmp_path):
    config = CONFIG.replace("SObool = 1\n", "")
    folder = inputs(tmp_path / "inputs", NN_config=config, **NO_TAIL)
    export_potential(folder, tmp_path / "target", parts=("real-space", "q-space"))
    assert sorted(path.name for path in (tmp_path / "target").iterdir()) == [
        "SParams.par", "ZnParams.par", "potS.par", "potZn.par", "qSpace_pot.dat",
    ]  # fmt: skip
    assert np.loadtxt(tmp_path / "target/potS.par")[-1, 1] == 0.0


def test_grids_are_those_asked_for(tmp_path):
    folder = inputs(tmp_path / "inputs")
    export_potential(
        folder, tmp_path / "target", parts=("real-space", "q-space"), n_r=11, r_max=5, q_max=None,
        n_q=3,
    )  # fmt: skip
    table = np.loadtxt(tmp_path / "target/potZn.par")
    assert_allclose(table[:, 0], np.linspace(0, 5, 11))
    assert_allclose(np.loadtxt(tmp_path / "target/qSpace_pot.dat")[:, 0], [0, 10, 20])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"n_r": 8193}, "n_r = 8193: legal: 8192 at most"),
        ({"n_q": 1}, "n_q = 1: legal: 2 at least"),
        ({"r_max": 0.0}, "r_max = 0.0: legal: a number > 0"),
        ({"q_max": np.nan}, "q_max = nan"),
        ({"n_x": 3}, "n_x: legal are q_max, n_q, r_max, n_r"),
        ({"parts": ("cube",)}, "cube: legal parts are real-space, q-space, structures, module"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_written(tmp_path, given, message):
    folder = inputs(tmp_path / "inputs")
    with pytest.raises(InputError, match=message):
        export_potential(folder, tmp_path / "target", **given)
    assert not (tmp_path / "target").exists()


def test_crystals_are_read_again_as_they_were(exported):
    ase_io = pytest.importorskip("ase.io")
    folder, _ = exported
    crystal = read_bundle(folder.parent / "inputs").systems[0].crystal
    for name, file_format in (("POSCAR_0", "vasp"), ("system_0.xyz", "extxyz")):
        atoms = ase_io.read(folder / name, format=file_format)
        assert tuple(atoms.get_chemical_symbols()) == crystal.symbols
        assert atoms.pbc.all()
        assert_allclose(np.array(atoms.cell) / BOHR_IN_ANGSTROM, crystal.lattice, atol=1e-10)
        positions = crystal.fractional_positions @ crystal.lattice
        assert_allclose(atoms.positions / BOHR_IN_ANGSTROM, positions, atol=2e-8)


def test_files_are_replaced_only_if_that_is_allowed(tmp_path):
    folder, target = inputs(tmp_path / "inputs"), tmp_path / "target"
    target.mkdir()
    (target / "potS.par").write_text("mine")
    export_potential(folder, target, parts=["module"])
    with pytest.raises(ResultsError, match=r"potS\.par, .*form_factors\.py: there already"):
        export_potential(folder, target)
    with pytest.raises(ResultsError, match=r"form_factors\.py"):
        export_potential(folder, target, parts=["module"])
    assert (target / "potS.par").read_text() == "mine"
    export_potential(folder, target, parts=["module", "real-space"], overwrite=True)
    assert len((target / "potS.par").read_text()) > 100
    with pytest.raises(ResultsError, match="is the inputs folder"):
        export_potential(folder, folder)


def test_structures_need_ase_and_say_so_first(tmp_path, monkeypatch):
    folder = inputs(tmp_path / "inputs")
    monkeypatch.setitem(sys.modules, "ase.io", None)
    with pytest.raises(UnsupportedError, match=r"needs ASE: pip install .*\[bundles\]"):
        export_potential(folder, tmp_path / "target")
    assert not (tmp_path / "target").exists()
    export_potential(folder, tmp_path / "target", parts=["module"])


def test_the_potential_of_a_run(tmp_path):
    folder = inputs(tmp_path / "inputs")
    for symbol in ("S", "Zn"):
        (tmp_path / f"final_{symbol}Params.par").write_text("1\n2\n3\n.4\n")
    export_potential(folder, tmp_path / "target", tmp_path, parts=["q-space", "module"])
    assert np.loadtxt(tmp_path / "target/ZnParams.par").tolist() == [1, 2, 3, 0.4, 0, 0, 0, 0, 0]
    assert f"as fitted in {tmp_path}" in (tmp_path / "target/form_factors.py").read_text()
    with pytest.raises(BundleError, match="does not exist"):
        export_potential(folder, tmp_path / "other", tmp_path / "absent")


def test_a_network_that_nobody_has_trained_is_refused(tmp_path):
    folder = bundle_samples.write(tmp_path / "inputs")
    with pytest.raises(UnsupportedError, match=r"no init_PPmodel\.pth: .* --potential"):
        export_potential(folder, tmp_path / "target")


def test_the_command(tmp_path):
    folder, target = inputs(tmp_path / "inputs"), tmp_path / "target"
    command = ["export", str(folder), str(target), "q-space", "module", "--n-q", "9"]
    runner = CliRunner()
    done = runner.invoke(app, command)
    assert done.exit_code == 0, done.output
    assert "form_factors.py: form_factor(symbol, q)" in done.output
    again = runner.invoke(app, command)
    assert again.exit_code == 1 and "--overwrite" in again.output
    assert runner.invoke(app, [*command, "--overwrite"]).exit_code == 0
    assert runner.invoke(app, [*command[:3], "cube"]).exit_code == 2
    assert "Example:" in runner.invoke(app, ["export", "--help"]).output
