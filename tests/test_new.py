"""The command `new`: what it writes can be read, it overwrites nothing, and k-points are right."""

import re
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose
from samples import zinc_blende
from typer.testing import CliRunner

from deeppseudopot_jax.cli.app import app
from deeppseudopot_jax.errors import InputError, ResultsError, UnsupportedError
from deeppseudopot_jax.files.bundle import BundleError, read_bundle
from deeppseudopot_jax.symmetry_points import point_namer
from deeppseudopot_jax.toolkit.new import new_bundle
from deeppseudopot_jax.toolkit.new.bundle import bundle_texts, still_to_do
from deeppseudopot_jax.toolkit.new.elements import (
    FITTED,
    spin_orbit_start,
    start_of,
    valence_electrons,
)
from deeppseudopot_jax.toolkit.new.structure import Structure, read_structure
from deeppseudopot_jax.types import Crystal

SCRIPTS = Path(__file__).parents[1] / "scripts"
POSCAR = "GaAs\n5.65\n0 .5 .5\n.5 0 .5\n.5 .5 0\nGa As\n1 1\nDirect\n0 0 0\n.25 .25 .25\n"
K_POINTS = np.array([[0.0, 0.0, 0.0], [0.25, 0.0, 0.25], [0.5, 0.0, 0.5]])


def structure(*symbols: str, **changes) -> Structure:
    """Zinc blende of two species, three k-points."""
    crystal = zinc_blende((symbols[0], symbols[-1]), K_POINTS.tolist()).crystal
    made = Structure("sample", crystal, 10.0, "GX", K_POINTS, ("G", "", "X"), 1)
    return replace(made, **changes)


def written(folder: Path, sample: Structure) -> Path:
    for name, text in bundle_texts(sample).items():
        (folder / name).write_text(text)
    return folder


def test_all_that_is_missing_are_the_reference_energies(tmp_path):
    with pytest.raises(BundleError) as caught:
        read_bundle(written(tmp_path, structure("Ga", "As")))
    (problem,) = caught.value.problems
    assert problem.file == "expBandStruct_0.par"
    energies = np.column_stack([np.arange(3), np.tile(np.repeat(np.arange(8), 2), (3, 1))])
    np.savetxt(tmp_path / "expBandStruct_0.par", energies)
    bundle = read_bundle(tmp_path)
    (system,) = bundle.systems
    assert not [note for note in bundle.notes if "absent" in note]
    assert (system.n_bands, system.valence_band, system.conduction_band) == (16, 7, 8)
    assert system.k_weights.tolist() == [3, 1, 3]
    assert_allclose(system.k_points, K_POINTS)
    assert_allclose(system.crystal.lattice, structure("Ga", "As").crystal.lattice)
    assert_allclose(bundle.coefficients[:, :4], [FITTED["As"][1], FITTED["Ga"][1]])
    assert bundle.settings.least_squares and bundle.settings.prior_roughness > 0


@pytest.mark.parametrize(("symbols", "what"), [(("Fe", "O"), "electrons"), (("Ga", "Ga"), "")])
def test_band_edges_are_left_out_where_they_are_not_known(symbols, what, tmp_path):
    sample = structure(*symbols)
    assert any(what in line for line in still_to_do(sample))
    text = bundle_texts(sample)["input_0.par"]
    known = "\nidxVB" in text
    assert known == (symbols == ("Ga", "Ga"))  # six electrons: an even number may have a gap


def test_it_says_what_is_guessed_and_what_folds_the_bands():
    told = "\n".join(still_to_do(structure("Cs", "Al", n_primitive=4)))
    assert "init_AlParams.par, init_CsParams.par" in told and "4 primitive cells" in told
    assert "guess" not in "\n".join(still_to_do(structure("Ge")))
    assert start_of("Al").coefficients == FITTED["Ga"][1] and "Ga" in start_of("Al").source
    perovskite = ["Cs", "Pb", "I", "I", "I"]
    assert sum(valence_electrons(symbol) or 0 for symbol in perovskite) == 26


def test_starts_of_other_columns_and_of_spin_orbit_coupling_follow_the_periodic_table():
    a0, a1, a2, _ = np.transpose([coefficients for _, coefficients in FITTED.values()])
    n = np.array([valence_electrons(symbol) for symbol in FITTED])
    depth, slope = np.polyfit(n, a0 * a1 / (a2 - 1), 1), np.polyfit(n, a1, 1)
    for symbol, electrons in (("Cs", 1), ("Br", 7)):
        start = start_of(symbol)
        a0, a1, a2, _ = start.coefficients
        assert_allclose(a1, np.polyval(slope, electrons), rtol=0.03)
        assert_allclose(a0 * a1 / (a2 - 1), np.polyval(depth, electrons), rtol=0.05)
        assert start.is_guess
    found = [spin_orbit_start(symbol) for symbol in ("C", "Si", "Zn", "In", "Pb")]
    assert found == sorted(found) and len(set(found)) == 5
    assert spin_orbit_start("Fe") > 0


def test_the_start_values_are_those_of_the_script(monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPTS))
    from make_start_values import COMPOUNDS, start_values

    assert {compound for compound, _ in FITTED.values()} == set(COMPOUNDS)
    for symbol, row in start_values(COMPOUNDS["CdTe"]).items():
        assert_allclose(row, FITTED[symbol][1], rtol=1e-3)


def test_without_ase_it_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ase", None)
    with pytest.raises(UnsupportedError, match=r"deeppseudopot-jax\[bundles\]"):
        read_structure(tmp_path / "POSCAR", 10)


@pytest.fixture
def poscar(tmp_path) -> Path:
    pytest.importorskip("ase")
    (tmp_path / "POSCAR").write_text(POSCAR)
    return tmp_path / "POSCAR"


def test_nothing_is_overwritten(poscar, tmp_path):
    folder = tmp_path / "bundle"
    folder.mkdir()
    (folder / "kpoints_0.par").write_text("mine")
    with pytest.raises(InputError, match=r"kpoints_0.par: nothing is overwritten"):
        new_bundle(folder, poscar)
    assert [path.name for path in folder.iterdir()] == ["kpoints_0.par"]
    assert (folder / "kpoints_0.par").read_text() == "mine"
    with pytest.raises(InputError, match="no folder"):
        new_bundle(poscar, poscar)
    with pytest.raises(ResultsError, match="Not a directory"):
        new_bundle(poscar / "below", poscar)


def test_the_command_line(poscar, tmp_path):
    folder, runner = tmp_path / "a" / "bundle", CliRunner()
    arguments = ["new", str(folder), "--structure", str(poscar), "--k-points", "12"]
    first, second = runner.invoke(app, arguments), runner.invoke(app, arguments)
    assert first.exit_code == 0 and "missing: expBandStruct_0.par" in first.output
    assert second.exit_code == 1 and "overwritten" in second.output
    bundle = read_bundle(folder, purpose="eval")
    assert bundle.systems[0].name == "GaAs" and bundle.species == ("As", "Ga")
    assert_allclose(bundle.systems[0].crystal.lattice[0, 1], 0.5 * 5.65 / 0.529177210903)


@pytest.mark.parametrize(("text", "message"), [("nonsense", "cannot read"), (None, "no such file")])
def test_a_bad_file_is_told_by_name(text, message, poscar):
    file = poscar.with_name("bad.cif")
    if text is not None:
        file.write_text(text)
    with pytest.raises(InputError, match=rf"bad.cif: .*{message}"):
        read_structure(file, 10)


def test_a_crystal_that_no_bundle_can_hold_is_refused(poscar):
    poscar.write_text(POSCAR.replace(".25 .25 .25", "0 0 1"))
    with pytest.raises(InputError, match="POSCAR: the crystal: the atom is too close"):
        read_structure(poscar, 10)


def test_a_molecule_is_refused(poscar):
    file = poscar.with_name("molecule.xyz")
    file.write_text("1\n\nGe 0 0 0\n")
    with pytest.raises(InputError, match="three lattice vectors"):
        read_structure(file, 10)


FCC = np.array([[0.0, 0.5, 0.5], [0.5, 0.0, 0.5], [0.5, 0.5, 0.0]])
CELLS = {
    "fcc": FCC,
    "fcc in another order": FCC[[2, 0, 1]],
    "fcc in another basis": np.array([[1, 0, 0], [1, 1, 0], [0, -1, 1]]) @ FCC,
    "hexagonal, 60 degrees": np.array([[1, 0, 0], [0.5, 0.75**0.5, 0], [0, 0, 1.6]]),
    "hexagonal, 120 degrees": np.array([[1, 0, 0], [-0.5, 0.75**0.5, 0], [0, 0, 1.6]]),
    "tetragonal": np.diag([1.0, 1.0, 1.4]),
}


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS)
def test_k_points_are_fractions_of_the_cell_of_the_file(cell, turned, poscar):
    ase = pytest.importorskip("ase")
    rotation = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
    rotation *= np.sign(np.linalg.det(rotation))
    lattice = 5.65 * (cell @ rotation if turned else cell)
    atoms = ase.Atoms("Ge2", cell=lattice, scaled_positions=[[0, 0, 0], [0.25] * 3], pbc=True)
    atoms.write(poscar, format="vasp", direct=True)
    found = read_structure(poscar, 20)
    assert_allclose(found.crystal.lattice, lattice / 0.529177210903, atol=1e-6)
    standard = np.linalg.norm(cell, axis=1)
    if abs(standard.max() - standard.min()) < 1e-9 or cell[2, 2] > 1.2:
        name_of = point_namer(found.crystal.lattice)
        names = {label: name_of(k) for k, label in zip(found.k_points, found.labels, strict=True)}
        assert all(names[x] == ("Γ" if x == "G" else x) for x in names if x), names
    plain = ase.Atoms("Ge", cell=5.65 * cell, pbc=True).cell.bandpath(npoints=20)
    assert found.path == plain.path
    for k, label in zip(found.k_points, found.labels, strict=True):
        if label:
            expected = plain.special_points[label] @ plain.cell.reciprocal()
            length = np.linalg.norm(k @ np.linalg.inv(found.crystal.lattice).T)
            assert_allclose(length, np.linalg.norm(expected) * 0.529177210903, atol=1e-6)


def test_the_cell_is_compared_with_its_primitive_one(poscar):
    ase = pytest.importorskip("ase")
    from ase.build import bulk

    bulk("GaAs", "zincblende", a=5.65, cubic=True).write(poscar, format="vasp")
    assert read_structure(poscar, 12).n_primitive == 4
    ase.Atoms("GeSi", cell=5 * FCC, scaled_positions=[[0] * 3, [0.5] * 3], pbc=True).write(poscar)
    assert read_structure(poscar, 12).n_primitive == 1
    assert isinstance(read_structure(poscar, 12).crystal, Crystal)


def test_the_recipe_for_reference_energies_completes_the_bundle(tmp_path, monkeypatch):
    page = (SCRIPTS.parent / "docs" / "own_material.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    (tmp_path / "ge").mkdir()
    written(tmp_path / "ge", structure("Ge"))
    np.savetxt(tmp_path / "energies.dat", np.random.default_rng(0).normal(size=(3, 18)))
    monkeypatch.chdir(tmp_path)
    exec(code)
    energies = read_bundle(tmp_path / "ge").systems[0].reference_energies
    assert energies is not None and energies[:, 7].max() == pytest.approx(-4.66, abs=1e-5)
    assert (np.diff(energies, axis=1) >= 0).all()
