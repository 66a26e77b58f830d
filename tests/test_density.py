"""Densities against literal sums, their symmetry, and the command that writes them."""

import resource
import runpy
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from ase.io.cube import read_cube_data
from ase.units import Bohr
from density_samples import direct_density, grid_points, zinc_sulphide
from literal import zunger
from numpy.testing import assert_allclose, assert_array_equal
from samples import bundle_of, random_system, zinc_blende
from typer.testing import CliRunner

from deeppseudopot_jax import (
    InputError,
    UnsupportedError,
    build_problem,
    initial_params,
    read_bundle,
)
from deeppseudopot_jax.cli.app import app
from deeppseudopot_jax.crystal import cell_volume, reciprocal_lattice
from deeppseudopot_jax.eigensolvers.dense import dense
from deeppseudopot_jax.observables.bloch_states import bloch_states
from deeppseudopot_jax.observables.density import (
    band_densities,
    electron_density,
    fast_grid,
    on_line,
    on_plane,
    smallest_grid,
    symmetrized,
)
from deeppseudopot_jax.space_group import (
    keeping_waves,
    not_apart,
    reduced_mesh,
    shortest,
    space_group,
    star_sizes,
)
from deeppseudopot_jax.toolkit.density import Choice, KPoints, charge_density, write_cube
from deeppseudopot_jax.toolkit.density.bands import chosen_bands, cut_multiplets, electrons_of
from deeppseudopot_jax.toolkit.density.cuts import line_of, plane_of
from deeppseudopot_jax.types import Crystal

SCRIPTS = Path(__file__).parents[1] / "scripts"
ORDINARY = np.array([[46.9, 1.43, 3.0, 0.636], [70.3, 3.20, 3.0, 0.665]])
"""a0 to a3 of a cation and an anion."""


@pytest.fixture
def folder(tmp_path):
    return zinc_sulphide(tmp_path / "inputs")


def invoke(*words):
    return CliRunner().invoke(app, ["density", *map(str, words)])


# ---------------------------------------------------------------- |psi|^2 on the grid


@pytest.mark.parametrize("n_spin", [1, 2])
def test_the_density_by_fft_is_the_direct_sum(n_spin):
    rng = np.random.default_rng(1)
    integers = rng.permutation(grid_points((4, 3, 5)) * [4, 3, 5])[:20].astype(int) - [2, 1, 3]
    states = rng.normal(size=(3, n_spin, 20)) + 1j * rng.normal(size=(3, n_spin, 20))
    states /= np.sqrt(np.sum(np.abs(states) ** 2, axis=(1, 2), keepdims=True))
    grid, volume = fast_grid(smallest_grid(integers)), 77.0
    assert all(n >= 2 * span + 1 for n, span in zip(grid, np.ptp(integers, axis=0), strict=True))
    arguments = jnp.asarray(integers), jnp.asarray(volume), grid
    found = np.asarray(band_densities(jnp.asarray(states), *arguments))
    expected = direct_density(states, integers, grid_points(grid), volume)
    assert_allclose(found.reshape(3, -1), expected, atol=1e-13)
    assert_allclose(found.mean(axis=(1, 2, 3)) * volume, 1.0, atol=1e-13)
    electrons = np.array([2.0, 0.0, 1.0])
    total = electron_density(jnp.asarray(states), jnp.asarray(electrons), *arguments)
    assert_allclose(total, np.tensordot(electrons, found, 1), atol=1e-14)


def test_planes_and_lines_are_exact_between_the_grid_points():
    rng = np.random.default_rng(2)
    integers = np.array([[0, 0, 0], [1, 0, -1], [0, 2, 1], [-1, 1, 0]])
    states = rng.normal(size=(1, 1, 4)) + 1j * rng.normal(size=(1, 1, 4))
    grid = smallest_grid(integers)
    density = np.asarray(
        band_densities(jnp.asarray(states), jnp.asarray(integers), jnp.ones(()), grid)
    )
    origin, u, v = rng.normal(size=(3, 3))
    s, t = np.linspace(0, 1, 4), np.linspace(-1, 2, 3)
    found = on_plane(density[0], origin, (u, v), (s, t))
    points = origin + s[:, None, None] * u + t[:, None] * v
    expected = direct_density(states, integers, points.reshape(-1, 3), 1.0)
    assert_allclose(found.ravel(), expected[0], atol=1e-12)
    along = on_line(density[0], origin, origin + u, s)
    assert_allclose(along, direct_density(states, integers, origin + np.outer(s, u), 1.0)[0])


def literal_density(folder, k_points, weights, n_levels, grid):
    """Of zinc sulphide, from the potential in space: no structure factor, no sign of a phase."""
    (system,) = read_bundle(folder, "eval").systems
    crystal = system.crystal
    lattice, volume = crystal.lattice, cell_volume(crystal.lattice)
    reciprocal = reciprocal_lattice(lattice)
    rows = dict(zip(("Zn", "S"), ORDINARY, strict=True))
    # v(r - tau) of every atom at every point r of a fine grid.
    fine = (18, 18, 18)
    r = grid_points(fine)
    differences = np.stack(np.meshgrid(*[np.arange(-5, 6)] * 3, indexing="ij"), -1).reshape(-1, 3)
    v_r = np.zeros(len(r))
    for symbol, tau in zip(crystal.symbols, crystal.fractional_positions, strict=True):
        v_q = zunger(np.linalg.norm(differences @ reciprocal, axis=1), rows[symbol]) / volume
        for g, component in zip(differences, v_q, strict=True):
            v_r += component * np.cos(2 * np.pi * ((r - tau) @ g))
    bound = np.array([g for g in differences if np.sum((g @ reciprocal) ** 2) / 2 < 1.7])
    waves = np.exp(2j * np.pi * r @ bound.T)
    local = waves.conj().T @ (v_r[:, None] * waves) / len(r)  # <G|V|G'>
    total = np.zeros(len(grid_points(grid)))
    for k, weight in zip(k_points, weights / np.sum(weights), strict=True):
        kinetic = np.sum(((k + bound) @ reciprocal) ** 2, axis=1) / 2
        vectors = np.linalg.eigh(np.diag(kinetic) + local)[1][:, :n_levels]
        psi = np.exp(2j * np.pi * grid_points(grid) @ bound.T) @ vectors
        total += weight * 2 * np.sum(np.abs(psi) ** 2, axis=1) / volume
    return total.reshape(grid)


def test_zinc_blende_comes_out_the_right_way_round(folder):
    (system,) = read_bundle(folder, "eval").systems
    density = charge_density(folder, Choice(grid=(12, 12, 12), line="Zn0 S0"))
    weights = system.k_weights
    expected = literal_density(folder, system.k_points, weights, 4, (12, 12, 12))
    assert_allclose(density.total, expected, atol=1e-7)
    mirrored = np.roll(density.total[::-1, ::-1, ::-1], 1, axis=(0, 1, 2))
    assert np.abs(mirrored - expected).max() > 1e-2
    assert abs(density.integral - 8.0) < 8e-10
    # The charge of the bond is nearer to sulphur, and there is more at its place than at zinc's.
    line = density.line
    assert line.distance[line.values.argmax()] > 0.55 * line.distance[-1]
    assert line.values[-1] > 1.2 * line.values[0]
    assert line.atoms == (("Zn", pytest.approx(0.0)), ("S", pytest.approx(line.distance[-1])))


# ---------------------------------------------------------------- symmetry


def densities(bundle, k_points, n_levels, grid):
    """Of every k-point, one electron in each of the lowest levels."""
    n_k = len(k_points)
    system = replace(
        bundle.systems[0], k_points=k_points, k_weights=np.ones(n_k), reference_energies=None
    )
    bundle = replace(bundle, systems=(system,))
    problem = build_problem(bundle, solver=dense)
    volume, ones = jnp.asarray(cell_volume(system.crystal.lattice)), jnp.ones(n_levels)
    found = [
        electron_density(
            jnp.asarray(states.coefficients[:n_levels]), ones, jnp.asarray(states.integers),
            volume, grid,
        )
        for states in bloch_states(problem, initial_params(bundle, problem), 0)
    ]  # fmt: skip
    return np.array(found)


def compared(bundle, divisions, n_levels, grid):
    """The mesh, its density unfolded, the same without unfolding, and that of all its k-points."""
    crystal = bundle.systems[0].crystal
    reciprocal = reciprocal_lattice(crystal.lattice)
    every = space_group(crystal.lattice, crystal.fractional_positions, crystal.symbols)
    mesh = reduced_mesh(divisions, every)
    whole = shortest(grid_points(divisions), reciprocal)
    few = shortest(mesh.k_points, reciprocal)
    places = [np.abs(whole - k).max(axis=1).argmin() for k in few]
    assert_allclose(whole[places], few, atol=1e-12)
    each = densities(bundle, whole, n_levels, grid)
    folded = np.tensordot(mesh.weights, each[places], 1)
    operations = map(jnp.asarray, (mesh.operations.rotations, mesh.operations.translations))
    unfolded = symmetrized(jnp.asarray(folded), *operations)
    return mesh, np.asarray(unfolded), folded, each.mean(axis=0)


@pytest.mark.parametrize(
    ("symbols", "sphere", "divisions", "spin_orbit", "n_levels", "irreducible"),
    [
        (("Ga", "As"), "G_full", (3, 3, 3), True, 8, 4),
        (("Ga", "Ga"), "kG", (2, 2, 3), False, 4, 6),
    ],
)
def test_an_irreducible_mesh_unfolded_is_the_whole_one(
    symbols, sphere, divisions, spin_orbit, n_levels, irreducible
):
    rng = np.random.default_rng(3)
    system = zinc_blende(symbols, [[0.0, 0.0, 0.0]], max_kinetic_energy=1.2, n_bands=8)
    crystal = replace(
        system.crystal, fractional_positions=system.crystal.fractional_positions + 0.1
    )
    bundle = bundle_of(rng, replace(system, crystal=crystal), basis_sphere=sphere,
                       spin_orbit=spin_orbit)  # fmt: skip
    coefficients = np.zeros((len(bundle.species), 9))
    coefficients[:, :4] = ORDINARY[: len(bundle.species)]
    coefficients[:, 5:8] = 0.5, 0.02, 0.02  # small: the gap stays above the bands
    bundle = replace(bundle, coefficients=coefficients)
    mesh, found, folded, expected = compared(bundle, divisions, n_levels, (9, 9, 10))
    assert len(mesh.k_points) == irreducible and mesh.weights.sum() == pytest.approx(1.0)
    assert_allclose(found, expected, atol=1e-9)
    assert np.ptp(expected) > 1e-2
    assert np.abs(folded - expected).max() > 1e-3


def test_time_reversal_halves_the_mesh_of_a_crystal_without_symmetry():
    crystal = random_system(np.random.default_rng(5)).crystal
    every = space_group(crystal.lattice, crystal.fractional_positions, crystal.symbols)
    mesh = reduced_mesh((4, 1, 1), every, half_step=True)
    assert len(mesh.operations) == 1
    assert_allclose(mesh.k_points, [[1 / 8, 1 / 2, 1 / 2], [3 / 8, 1 / 2, 1 / 2]])
    assert_allclose(mesh.weights, 0.5)
    assert_allclose(reduced_mesh((3, 1, 1), every).weights, [1 / 3, 2 / 3])


def test_half_a_step_beside_gamma_a_face_centred_mesh_keeps_some_operations():
    crystal = zinc_blende(("Ga", "As"), [[0.0, 0.0, 0.0]]).crystal
    every = space_group(crystal.lattice, crystal.fractional_positions, crystal.symbols)
    mesh = reduced_mesh((2, 2, 2), every, half_step=True)
    assert len(mesh.operations) == 6 and sorted(mesh.weights) == [0.25, 0.75]
    assert len(reduced_mesh((2, 2, 2), every).operations) == 24


def test_the_box_of_the_reference_code_keeps_fewer_operations():
    crystal = zinc_blende(("Ga", "As"), [[0.0, 0.0, 0.0]]).crystal
    every = space_group(crystal.lattice, crystal.fractional_positions, crystal.symbols)
    cube = grid_points((3, 3, 3)) * 3 - 1
    assert 1 < len(keeping_waves(every, cube.astype(int))) < len(every)
    assert_array_equal(star_sizes(np.array([[0, 0, 0], [0.5, 0.5, 0.5], [0, 0.5, 0.5]]), every),
                       [1, 4, 3])  # fmt: skip
    assert not_apart(np.array([[0, 0, 0], [0.5, 0, 0], [0, 0, -0.5]]), every) == (1, 2)
    assert not_apart(np.array([[0, 0, 0], [0.5, 0, 0]]), every) is None


# ---------------------------------------------------------------- choices


def test_bands_are_counted_as_idx_vb_counts_them(folder):
    (system,) = read_bundle(folder, "eval").systems
    assert chosen_bands(system) == list(range(8))
    assert chosen_bands(system, "2:5") == [2, 3, 4]
    assert chosen_bands(system, None, (5, 0)) == [0, 5]
    assert_array_equal(electrons_of([2, 3, 4], False), [0, 2, 1])
    assert_array_equal(electrons_of([2, 4], True), [0, 0, 1, 0, 1])
    energies = np.array([0.0, 1.0, 1.0, 2.0])
    assert cut_multiplets(energies, np.array([2.0, 2.0]))
    assert not cut_multiplets(energies, np.array([2.0]))
    assert not cut_multiplets(energies, np.array([2.0, 2.0, 2.0]))


def test_parts_add_up_to_the_whole(folder):
    mesh = KPoints(mesh=(2, 2, 2))
    whole = charge_density(folder, Choice(k_points=mesh, per_band=True, per_k=True))
    assert_allclose(whole.per_band.sum(axis=0), whole.total, atol=1e-13)
    integrals = whole.per_band.mean(axis=(1, 2, 3)) * cell_volume(whole.crystal.lattice)
    assert_allclose(integrals, 2.0, atol=1e-11)
    assert whole.operations == 24 and len(whole.per_k) == len(whole.weights) == 3
    one = charge_density(folder, Choice(single_bands=(3,), k_points=mesh, per_band=True))
    assert_allclose(one.per_band[0], one.total, atol=1e-15)
    assert one.n_electrons == 1 and abs(one.integral - 1) < 1e-10
    # Gamma's threefold level holds bands 2 to 7.
    assert any("multiplet is cut" in remark for remark in one.remarks)
    assert not any("multiplet is cut" in remark for remark in whole.remarks)


def test_the_mesh_by_hand_needs_the_weights_of_stars(folder, tmp_path):
    by_mesh = charge_density(folder, Choice(k_points=KPoints(mesh=(2, 2, 2))))
    points = "0 0 0 1\n0.5 0 0 4\n0.5 0.5 0 3\n"
    listed = zinc_sulphide(tmp_path / "listed", kpoints_0=points)
    unfold = Choice(k_points=KPoints(symmetrize=True))
    assert_allclose(charge_density(listed, unfold).total, by_mesh.total, atol=1e-7)
    bad = {
        "0 0 0 1\n0.5 0 0 1\n0.5 0.5 0 1\n": r"k-point 0 .*found 0\.3333.*legal: 0\.125",
        "0 0 0 1\n0.5 0 0 2\n0 0.5 0 2\n": "k-points 1 and 2 .* images",
        "0 0 0 0\n": "add up to 0",
    }
    for text, message in bad.items():
        zinc_sulphide(listed, kpoints_0=text)
        with pytest.raises(InputError, match=message):
            charge_density(listed, unfold)
    zinc_sulphide(listed, "basis_sphere = G\n", kpoints_0=points)
    with pytest.raises(InputError, match=r"basis_sphere = G_full or kG \(found G\)"):
        charge_density(listed, unfold)


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        (Choice(bands="0:11"), r"--bands: found 0:11; .*bands 0 to 9 \(nBands = 10\)"),
        (Choice(bands="3"), "--bands: found '3'"),
        (Choice(bands="4:4"), "first < end"),
        (Choice(single_bands=(10,)), "--band: found 10"),
        (Choice(single_bands=(1, 1)), "twice"),
        (Choice(bands="0:2", single_bands=(1,)), "both"),
        (Choice(grid=(3, 12, 12)), "--grid: found 3 12 12; legal: at least"),
        (Choice(grid=(0, 1, 1)), "--grid"),
        (Choice(grid=(20000, 20000, 20000)), "takes"),
        (Choice(system=1), "--system: found 1; legal: 0 to 0"),
        (Choice(k_points=KPoints(half_step=True)), "--half-step"),
        (Choice(k_points=KPoints((1, 1, 1), symmetrize=True)), "--symmetrize"),
        (Choice(k_points=KPoints((0, 1, 1))), "--mesh"),
        (Choice(plane="1 2"), "found 2 numbers"),
        (Choice(plane="a b c"), "--plane: found 'a b c'"),
        (Choice(plane="0 0 0 1 0 0 2 0 0"), "parallel"),
        (Choice(plane="0 0 0"), "Miller"),
        (Choice(plane="100 37 11"), "up to"),
        (Choice(line="Zn0"), "two points"),
        (Choice(line="Zn0 S1"), "Zn0 to Zn0, S0 to S0"),
        (Choice(line="0 0 0 0 0 0"), "one point twice"),
        (Choice(line="0 0 nan 0 0 0"), "--line"),
    ],
)
def test_what_cannot_be_is_refused(folder, choice, message):
    with pytest.raises(InputError, match=message):
        charge_density(folder, choice)


def test_without_idx_vb_the_bands_must_be_named(tmp_path):
    folder = zinc_sulphide(tmp_path / "inputs", input_0="nBands = 10\nmaxKE = 1.7\n")
    with pytest.raises(InputError, match=r"input_0.par: idxVB is missing"):
        charge_density(folder)


def test_planes_and_lines_by_name():
    crystal = zinc_blende(("Ga", "As"), [[0.0, 0.0, 0.0]]).crystal
    plane = plane_of("1, -1, 0", crystal)
    for vector in (plane.u, plane.v):
        assert vector @ [1, -1, 0] == 0
    assert_array_equal(plane_of("0 0 0 1 0 0 0 1 .5", crystal).v, [0, 1, 0.5])
    line = line_of("Ga0 0.5 0.5 0.5", crystal)
    assert_array_equal(np.concatenate(line), [0, 0, 0, 0.5, 0.5, 0.5])


# ---------------------------------------------------------------- files


def test_the_command_writes_a_cube_that_others_read(folder, tmp_path):
    results = tmp_path / "results"
    told = invoke(folder, results, "--mesh", 2, 2, 2, "--per-band", "--per-k", "--line", "Zn0 S0",
                  "--plane", "1 -1 0", "--format", "svg")  # fmt: skip
    assert told.exit_code == 0, told.output
    assert "3 irreducible ones, unfolded by 24 operations" in told.output
    assert {path.name for path in results.iterdir()} == {
        "density_sys0.cube", "density_sys0.npz", "density_sys0_plane.svg", "density_sys0_line.svg",
    }  # fmt: skip
    with np.load(results / "density_sys0.npz", allow_pickle=False) as loaded:
        arrays = dict(loaded)
    lattice = arrays["lattice"]
    volume = abs(np.linalg.det(lattice))
    density = arrays["density"]
    assert abs(density.sum() * volume / density.size - 8) < 1e-10 * 8
    assert arrays["density_per_band"].shape == (4, *density.shape)
    assert arrays["density_per_k"].shape == (3, *density.shape)
    assert_array_equal(arrays["levels"], range(4))
    assert_array_equal(arrays["electrons"], [2, 2, 2, 2])
    assert arrays["energies"].shape == (3, 4) and arrays["k_weights"].sum() == pytest.approx(1)
    data, atoms = read_cube_data(str(results / "density_sys0.cube"))
    assert_allclose(data, density, rtol=1e-6)
    assert_allclose(atoms.cell / Bohr, lattice, atol=2e-5)
    assert atoms.get_chemical_symbols() == ["Zn", "S"]
    lines = (results / "density_sys0.cube").read_text().splitlines()
    assert lines[2].split()[0] == "2"
    steps = np.array([row.split() for row in lines[3:6]], float)
    numbers = np.array(" ".join(lines[8:]).split(), float)  # as anybody would read it
    assert_allclose(steps[:, 1:] * steps[:, :1], lattice, atol=2e-5)
    assert_allclose(numbers.reshape(density.shape), density, rtol=1e-6)
    assert numbers.mean() * volume == pytest.approx(8, rel=1e-6)

    again = invoke(folder, results)
    assert again.exit_code == 1 and "there already" in again.output
    told = invoke(folder, results, "--overwrite", "--line", "0 0 0 1 1 1", "--format", "png")
    assert told.exit_code == 0 and "a k-path is none" in told.output
    assert (results / "density_sys0_line.png").read_bytes()[:4] == b"\x89PNG"


def test_a_format_or_a_folder_that_cannot_be_is_refused_at_once(folder, tmp_path):
    assert "legal: pdf, svg, png" in invoke(folder, tmp_path / "r", "--format", "gif").output
    (tmp_path / "file").write_text("")
    assert "is no folder" in invoke(folder, tmp_path / "file").output
    assert "is the inputs folder" in invoke(folder, folder).output
    both = invoke(folder, tmp_path / "r", "--states", "x.npz", "--potential", "y")
    assert both.exit_code == 1 and "found both" in both.output
    assert not (tmp_path / "r").exists()


def test_without_ase_the_extra_is_named(folder, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ase.io.cube", None)
    told = invoke(folder, tmp_path / "r")
    assert told.exit_code == 1 and "deeppseudopot-jax[bundles]" in told.output
    with pytest.raises(UnsupportedError, match="cube file"):
        write_cube(
            tmp_path / "a.cube",
            Crystal(np.eye(3), np.zeros((1, 3)), ("H",)),
            np.ones((1, 1, 1)),
            "",
        )


def test_a_symbol_of_no_element_has_no_number(tmp_path):
    crystal = Crystal(np.eye(3), np.zeros((1, 3)), ("Qq",))
    with pytest.raises(InputError, match="Qq"):
        write_cube(tmp_path / "a.cube", crystal, np.ones((2, 2, 2)), "")


def test_help_has_an_example_and_the_script_is_the_command(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["charge_density_from_wfns.py", "--help"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(SCRIPTS / "charge_density_from_wfns.py"), run_name="__main__")
    shown = capsys.readouterr().out
    assert ended.value.code == 0 and "--mesh 6 6 6" in shown and "--symmetrize" in shown


@pytest.mark.exhaustive
def test_the_perovskite_with_spin_orbit_in_little_time_and_memory(reference_bundle, tmp_path):
    inputs = reference_bundle("cspbi3_soc")
    (inputs / "expBandStruct_0.par").unlink()
    (inputs / "input_0.par").write_text("nBands = 44\nmaxKE = 6.0\nidxVB = 43\n")
    (inputs / "bandWeights_0.par").write_text("1\n" * 44)
    command = [sys.executable, SCRIPTS / "charge_density_from_wfns.py", inputs, tmp_path / "r"]
    begun = time.perf_counter()
    subprocess.run([*map(str, command), "--grid", "48", "48", "48"], check=True)
    seconds = time.perf_counter() - begun
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    with np.load(tmp_path / "r" / "density_sys0.npz") as arrays:
        density, volume = arrays["density"], abs(np.linalg.det(arrays["lattice"]))
    assert density.shape == (48, 48, 48)
    assert abs(density.mean() * volume - 44) < 44e-10
    assert seconds < 20 and peak < 1e9
