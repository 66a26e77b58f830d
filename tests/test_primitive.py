"""The command `primitive`: the crystal stays where it is, and its bands are the folded ones."""

import itertools
import runpy
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose
from samples import bands, bundle_of, zinc_blende
from typer.testing import CliRunner

from deeppseudopot_jax import build_problem, initial_params
from deeppseudopot_jax.cli.app import app
from deeppseudopot_jax.crystal import cell_volume, reciprocal_lattice
from deeppseudopot_jax.errors import InputError, ResultsError, UnsupportedError
from deeppseudopot_jax.files.bundle.writing import k_points_text, system_text
from deeppseudopot_jax.files.findings import BundleError
from deeppseudopot_jax.primitive_cell import PrimitiveCell, primitive_cell
from deeppseudopot_jax.symmetry_points import point_namer
from deeppseudopot_jax.toolkit.paths import standard_path
from deeppseudopot_jax.toolkit.primitive import write_primitive
from deeppseudopot_jax.toolkit.structures import read_crystal
from deeppseudopot_jax.types import Crystal

SCRIPTS = Path(__file__).parents[1] / "scripts"
CENTRES = np.array([[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])
K_POINT = np.array([0.13, -0.21, 0.07])


def turned(seed: int = 0) -> np.ndarray:
    """A proper rotation."""
    q, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
    return q * np.sign(np.linalg.det(q))


def cubic(other: list[float], edge: float = 9.0, centres: np.ndarray = CENTRES) -> Crystal:
    """A conventional cubic cell: Ga on `centres`, As at `other` from them."""
    positions = np.concatenate([centres, centres + other])
    return Crystal(edge * np.eye(3), positions, ("Ga",) * len(centres) + ("As",) * len(centres))


def supercell(crystal: Crystal, multiples: list[list[int]]) -> Crystal:
    """The crystal in the cell of rows `multiples @ lattice`, atoms of every image side by side."""
    matrix = np.array(multiples)
    inside = [
        (wrapped, symbol)
        for shift in itertools.product(range(-4, 5), repeat=3)
        for position, symbol in zip(crystal.fractional_positions, crystal.symbols, strict=True)
        if np.all((wrapped := (position + shift) @ np.linalg.inv(matrix)) > -1e-9)
        and np.all(wrapped < 1 - 1e-9)
    ]
    return Crystal(
        matrix @ crystal.lattice, np.array([p for p, _ in inside]), tuple(s for _, s in inside)
    )


WURTZITE = Crystal(
    6.0 * np.array([[1.0, 0.0, 0.0], [-0.5, 0.75**0.5, 0.0], [0.0, 0.0, 1.6]]),
    np.array([[1 / 3, 2 / 3, 0], [2 / 3, 1 / 3, 0.5], [1 / 3, 2 / 3, 0.38], [2 / 3, 1 / 3, 0.88]]),
    ("Ga", "Ga", "As", "As"),
)
CELLS = {
    "zinc blende": (cubic([0.25, 0.25, 0.25]), 4),
    "zinc blende, inverted and turned": (
        Crystal(9.0 * turned(), -cubic([0.25] * 3).fractional_positions, cubic([0] * 3).symbols),
        4,
    ),
    "rocksalt, left-handed": (replace(cubic([0.5] * 3), lattice=-9.0 * np.eye(3)), 4),
    "body-centred, one species": (
        Crystal(6.0 * np.eye(3), np.array([[0.0, 0, 0], [0.5, 0.5, 0.5]]), ("Ga", "Ga")),
        2,
    ),
    "wurtzite, three cells": (supercell(WURTZITE, [[1, 1, 0], [-1, 2, 0], [0, 0, 1]]), 3),
}


def images(found: PrimitiveCell, crystal: Crystal) -> list[int]:
    """The atom of the primitive cell that lies under every atom of the other cell."""
    primitive = found.crystal
    under = []
    positions = crystal.fractional_positions @ crystal.lattice
    for place, symbol in zip(positions, crystal.symbols, strict=True):
        fractions = place @ np.linalg.inv(primitive.lattice) - primitive.fractional_positions
        near = np.abs(fractions - np.round(fractions)).max(axis=1) < 1e-9
        (atom,) = np.flatnonzero(near)
        assert primitive.symbols[atom] == symbol
        under.append(int(atom))
    return under


@pytest.mark.parametrize(("crystal", "n_cells"), CELLS.values(), ids=CELLS)
def test_every_atom_stays_where_it_is(crystal, n_cells):
    found = primitive_cell(crystal, 1e-3)
    assert found.n_cells == n_cells
    volumes = cell_volume(crystal.lattice), n_cells * cell_volume(found.crystal.lattice)
    assert_allclose(*volumes, rtol=1e-12)
    assert_allclose(found.multiples @ found.crystal.lattice, crystal.lattice, atol=1e-12)
    assert np.linalg.det(found.multiples) > 0
    counts = np.bincount(images(found, crystal))
    assert counts.tolist() == [n_cells] * (len(crystal.symbols) // n_cells)
    wrapped = found.crystal.fractional_positions
    assert np.all((wrapped > -1e-8) & (wrapped < 1 - 1e-9))
    k_points = np.random.default_rng(1).normal(size=(5, 3))
    assert_allclose(
        found.k_points(k_points) @ reciprocal_lattice(found.crystal.lattice),
        k_points @ reciprocal_lattice(crystal.lattice),
        atol=1e-12,
    )
    again = primitive_cell(found.crystal, 1e-3)
    assert again.n_cells == 1 and again.crystal is found.crystal


def folded(found: PrimitiveCell) -> np.ndarray:
    """The k-points of the primitive cell that K_POINT of the other cell stands for."""
    unlike: dict[tuple, np.ndarray] = {}
    for shift in itertools.product(range(3), repeat=3):
        k = found.k_points((K_POINT + shift)[None])[0]
        unlike.setdefault(tuple(np.round(k - np.floor(k), 6) % 1.0), k)
    return np.array(list(unlike.values()))


@pytest.mark.parametrize("spin_orbit", [False, True])
@pytest.mark.parametrize("name", ["zinc blende, inverted and turned", "wurtzite, three cells"])
def test_bands_are_those_of_the_other_cell_folded(name, spin_orbit):
    """With every plane wave of |k + G|^2 / 2 < maxKE both cells have the same waves."""
    crystal, n_cells = CELLS[name]
    found = primitive_cell(crystal, 1e-3)
    k_points = folded(found)
    assert len(k_points) == n_cells
    shared = {"max_kinetic_energy": 1.0, "n_bands": 12}
    whole = zinc_blende(("Ga", "As"), [K_POINT.tolist()], crystal=crystal, **shared)
    part = zinc_blende(("Ga", "As"), k_points.tolist(), crystal=found.crystal, **shared)
    solved = []
    for system in (whole, part):
        bundle = bundle_of(
            np.random.default_rng(5), system, basis_sphere="kG", spin_orbit=spin_orbit
        )
        problem = build_problem(bundle)
        (energies,) = bands(problem, initial_params(bundle, problem))
        solved.append(np.sort(np.ravel(energies)))
    assert np.ptp(solved[0]) > 1.0
    assert_allclose(solved[1][:12], solved[0], rtol=0.0, atol=1e-9)


def test_fractions_of_few_decimals_are_averaged():
    crystal = CELLS["wurtzite, three cells"][0]
    rounded = replace(crystal, fractional_positions=np.round(crystal.fractional_positions, 4))
    found = primitive_cell(rounded, 2e-3)
    assert found.n_cells == 3
    with pytest.raises(InputError, match=r"spglib|primitive cells"):
        moved = crystal.fractional_positions + np.random.default_rng(0).normal(size=(12, 3)) * 0.3
        found = primitive_cell(replace(crystal, fractional_positions=moved), 3.0)


def test_atoms_in_each_other_are_told():
    crystal = Crystal(8.0 * np.eye(3), np.zeros((2, 3)), ("Ga", "Ga"))
    with pytest.raises(InputError, match=r"spglib|primitive"):
        primitive_cell(crystal, 1e-3)


@pytest.fixture
def bundle(tmp_path) -> Path:
    """system_0.par and kpoints_0.par of a conventional cell."""
    (tmp_path / "system_0.par").write_text(system_text(cubic([0.25] * 3), 9.0))
    points = np.array([[0.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.3, 0.0, 0.0]])
    labels = ("G", "X", "")
    text = k_points_text(points, np.array([3.0, 1.0, 0.0]), np.zeros(3), labels, "path")
    (tmp_path / "kpoints_0.par").write_text(text)
    return tmp_path


def test_the_files_of_a_bundle(bundle):
    target = bundle / "new" / "system_2.par"
    arguments = ["primitive", str(bundle / "system_0.par"), str(target)]
    arguments += ["--k-points", str(bundle / "kpoints_0.par")]
    told = CliRunner().invoke(app, arguments)
    assert told.exit_code == 0, told.output
    assert "8 atoms are 4 primitive cells of 2" in told.output and "kpoints_2.par" in told.output
    crystal = read_crystal(target)
    assert crystal.symbols == ("Ga", "As")
    assert_allclose(np.abs(crystal.lattice), 4.5 * (np.abs(crystal.lattice) > 1), atol=1e-12)
    rows = np.loadtxt(target.with_name("kpoints_2.par"))
    assert rows[:, 3].tolist() == [3.0, 1.0, 0.0]
    cartesian = rows[:, :3] @ reciprocal_lattice(crystal.lattice) / (2 * np.pi / 9.0)
    assert_allclose(cartesian, [[0, 0, 0], [0, 1, 0], [0.3, 0, 0]], atol=1e-7)
    assert [point_namer(crystal.lattice)(k) for k in rows[:, :3]] == ["Γ", "X", ""]
    assert "Γ" in target.with_name("kpoints_2.par").read_text("utf-8").splitlines()[1]
    again = CliRunner().invoke(app, arguments)
    assert again.exit_code == 1 and "kpoints_2.par: there already" in again.output
    assert CliRunner().invoke(app, [*arguments, "--overwrite"]).exit_code == 0


def test_a_primitive_cell_is_kept_and_written(bundle):
    source = bundle / "system_0.par"
    write_primitive(source, bundle / "system_1.par")
    told = write_primitive(bundle / "system_1.par", bundle / "system_3.par")
    assert "primitive already (2 atoms) within 0.001 Bohr" in told
    assert_allclose(
        read_crystal(bundle / "system_3.par").lattice, read_crystal(bundle / "system_1.par").lattice
    )


@pytest.mark.parametrize("name", ["POSCAR", "gaas.cif", "gaas.xyz"])
def test_formats_of_ase(name, bundle):
    pytest.importorskip("ase")
    target = bundle / name
    write_primitive(bundle / "system_0.par", target)
    crystal = read_crystal(target)
    assert sorted(crystal.symbols) == ["As", "Ga"]
    assert_allclose(cell_volume(crystal.lattice), 9.0**3 / 4.0, rtol=1e-5)
    # The way back: a cell of ASE is primitive, and its bond is as long as it was.
    assert "primitive already" in write_primitive(target, bundle / "system_9.par")
    apart = np.diff(crystal.fractional_positions, axis=0)[0]
    bond = np.linalg.norm((apart - np.round(apart)) @ crystal.lattice)
    assert_allclose(bond, 9.0 * 0.75**0.5 / 2.0, rtol=1e-5)


@pytest.mark.parametrize("source", ["ase", "seekpath"])
def test_standard_paths_are_in_the_fractions_of_the_file(source, bundle):
    pytest.importorskip(source)
    crystal = CELLS["zinc blende, inverted and turned"][0]
    (bundle / "system_4.par").write_text(system_text(crystal, 9.0))
    arguments = ["primitive", str(bundle / "system_4.par"), str(bundle / "system_5.par")]
    told = CliRunner().invoke(app, [*arguments, "--path", source, "--n-points", "40"])
    assert told.exit_code == 0, told.output
    primitive = read_crystal(bundle / "system_5.par")
    text = (bundle / "kpoints_5.par").read_text("utf-8")
    rows = [line.partition("#") for line in text.splitlines()[1:]]
    assert 35 < len(rows) < 50
    name_of = point_namer(primitive.lattice)
    seen = set()
    for numbers, _, comment in rows:
        if len(comment.split()) > 1:
            label = comment.split()[1].removesuffix("_2")
            seen.add(label)
            name = name_of(np.array(numbers.split()[:3], float))
            assert name == {"G": "Γ", "GAMMA": "Γ"}.get(label, label)
    assert seen >= {"X", "L", "W", "K", "U"}


def test_seekpath_goes_in_even_steps_and_breaks():
    pytest.importorskip("seekpath")
    found = standard_path(primitive_cell(cubic([0.25] * 3), 1e-3).crystal, 50, "seekpath")
    assert found.name.startswith("GAMMA-X-U|K-GAMMA-L")
    u = found.labels.index("U")
    assert found.labels[u + 1] == "K"
    reciprocal = reciprocal_lattice(4.5 * (1 - np.eye(3)))
    first = found.k_points[: found.labels.index("X") + 1] @ np.abs(reciprocal)
    assert_allclose(np.diff(first, 2, axis=0), 0.0, atol=1e-8)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"source": "nothing.cif"}, InputError, "nothing.cif: there is no such file"),
        ({"source": "molecule.xyz"}, InputError, "three lattice vectors"),
        ({"source": "flat.xyz"}, InputError, "periodic along all three"),
        ({"source": "noise.cif"}, InputError, "noise.cif: ASE cannot read it"),
        ({"source": "kpoints_0.par"}, BundleError, "kpoints_0.par"),
        ({"target": "other.par"}, InputError, "legal: system_X.par"),
        ({"target": "a.unknown"}, InputError, "a.unknown: no format of structures"),
        ({"target": "system_0.par"}, ResultsError, "system_0.par: there already"),
        ({"target": "folder.cif"}, ResultsError, "a folder is in the place"),
        ({"target": "kpoints_0.par/system_0.par"}, ResultsError, "kpoints_0.par"),
        ({"target": "input.pwi"}, InputError, "ASE cannot write it as espresso-in"),
        ({"k_points": "system_0.par"}, BundleError, "system_0.par"),
        ({"k_points": "kpoints_0.par", "path": "ase"}, InputError, "choose one of them"),
    ],
)
def test_mistakes_are_told(changes, error, message, bundle):
    pytest.importorskip("ase")
    (bundle / "molecule.xyz").write_text("1\n\nGe 0 0 0\n")
    flat = '1\nLattice="4 0 0 0 4 0 0 0 20" pbc="T T F"\nGe 0 0 0\n'
    (bundle / "flat.xyz").write_text(flat)
    (bundle / "noise.cif").write_bytes(bytes(range(256)))
    (bundle / "folder.cif").mkdir()
    chosen = {"source": "system_0.par", "target": "system_1.par"} | changes
    paths = {key: value if key == "path" else bundle / value for key, value in chosen.items()}
    before = sorted(path.name for path in bundle.iterdir())
    with pytest.raises(error, match=message):
        write_primitive(**paths)
    assert sorted(path.name for path in bundle.iterdir()) == before


def test_without_seekpath_it_says_what_to_install(bundle, monkeypatch):
    pytest.importorskip("ase")
    monkeypatch.setitem(sys.modules, "seekpath", None)
    with pytest.raises(UnsupportedError, match=r"deeppseudopot-jax\[bundles\]"):
        write_primitive(bundle / "system_0.par", bundle / "system_1.par", path="seekpath")


def test_the_script_is_the_command(monkeypatch, capsys):
    script = str(SCRIPTS / "convert_convCell_to_primCell.py")
    monkeypatch.setattr(sys, "argv", [script, "--help"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(script, run_name="__main__")
    assert ended.value.code == 0 and "--symprec" in capsys.readouterr().out
