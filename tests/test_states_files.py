"""Files of states: what NumPy alone finds in them, and files that are none."""

import zipfile
from dataclasses import replace

import numpy as np
import pytest
from density_samples import zinc_sulphide
from literal import hamiltonian, zunger
from numpy.testing import assert_allclose, assert_array_equal
from samples import bundle_of, literal_matrix, zinc_blende
from test_potential_of_a_run import Nobody
from typer.testing import CliRunner

from deeppseudopot_jax import (
    InputError,
    ResultsError,
    build_problem,
    dense,
    initial_params,
    read_bundle,
)
from deeppseudopot_jax.cli.app import app
from deeppseudopot_jax.files.results.states import read_states, states_file
from deeppseudopot_jax.observables.bloch_states import bloch_states
from deeppseudopot_jax.resources import states_on_disk
from deeppseudopot_jax.run.checks import resources
from deeppseudopot_jax.run.file_names import of_evaluation
from deeppseudopot_jax.run.stages.states import state_sets
from deeppseudopot_jax.run.workflows import evaluate
from deeppseudopot_jax.toolkit.density import Choice, KPoints, charge_density

EV = 27.2114
N_WAVES = 27
"""Of the bundle of zinc sulphide."""


def saved(folder, results, **changes):
    """The arrays of an evaluation, read by NumPy."""
    evaluate(folder, results, painter=Nobody(), save_states=True, **changes)
    with np.load(results / "eval_states_sys0.npz", allow_pickle=False) as loaded:
        return dict(loaded)


def own_waves(arrays, k):
    """Plane waves and coefficients (band, spin, wave) of one k-point, as the page says."""
    if "mask" not in arrays:
        return arrays["integers"], arrays["coefficients"][k]
    inside = arrays["mask"][k]
    return arrays["integers"][k][inside], arrays["coefficients"][k][..., inside]


def literal_h(folder, k_point, integers, spin_orbit):
    """H in waves exp(+i (k+G) . r): the literal one of the crystal mirrored at the origin."""
    bundle = read_bundle(folder, "eval")
    crystal = bundle.systems[0].crystal
    rows = [bundle.coefficients[bundle.species.index(symbol)] for symbol in crystal.symbols]
    return hamiltonian(
        crystal.lattice,
        -crystal.fractional_positions,
        [lambda q, row=row: zunger(q, row) for row in rows],
        k_point,
        integers,
        [row[5] for row in rows] if spin_orbit else None,
        [(row[6], row[7]) for row in rows] if spin_orbit else None,
    )


@pytest.mark.parametrize(
    ("config", "n_bands"),
    [("basis_sphere = G_full\nSObool = 1\n", 9), ("basis_sphere = kG\n", 5)],
)
def test_other_programs_find_states_that_solve_the_schroedinger_equation(tmp_path, config, n_bands):
    changes = {"input_0": "nBands = 9\nmaxKE = 1.2\nidxVB = 7\n", "bandWeights_0": "1\n" * 9}
    folder = zinc_sulphide(tmp_path / "inputs", config, **changes)
    arrays = saved(folder, tmp_path / "results")
    spin_orbit = bool(arrays["spinor"])
    n_spin = 1 + spin_orbit
    assert arrays["coefficients"].dtype == np.complex128
    assert arrays["coefficients"].shape[:3] == (3, n_bands, n_spin)
    assert ("mask" in arrays) == ("kG" in config)
    assert_allclose(arrays["reciprocal"] @ arrays["lattice"].T, 2 * np.pi * np.eye(3), atol=1e-12)
    assert list(arrays["symbols"]) == ["Zn", "S"]
    assert_allclose(arrays["positions"], [[0, 0, 0], [0.25] * 3])
    assert_allclose(arrays["k_weights"], [1, 2, 1])
    for k, k_point in enumerate(arrays["k_points"]):
        integers, states = own_waves(arrays, k)
        matrix = literal_h(folder, k_point, integers, spin_orbit)
        flat = states.reshape(n_bands, -1)
        assert_allclose(flat.conj() @ flat.T, np.eye(n_bands), atol=1e-9)
        energies = arrays["energies"][k]
        assert np.abs(flat @ matrix.T - energies[:, None] / EV * flat).max() < 2e-6
        assert_allclose(energies, EV * np.linalg.eigvalsh(matrix)[:n_bands], atol=1e-6)
    table = np.loadtxt(tmp_path / "results" / "eval_BS_sys0.dat")[:, 1:]
    levels = np.repeat(arrays["energies"], 2 // n_spin, axis=1)[:, :9]
    assert_allclose(levels, table, atol=1e-5)
    log = (tmp_path / "results" / "eval.log").read_text()
    assert "The states take about" in log
    written = {path.name for path in (tmp_path / "results").iterdir()}
    assert ("eval_spin_sys0.dat" in written) == spin_orbit
    assert all(map(of_evaluation, written & {"eval_states_sys0.npz", "eval_spin_sys0.dat"}))
    (system,) = read_bundle(folder, "eval").systems
    size = (tmp_path / "results" / "eval_states_sys0.npz").stat().st_size
    other_arrays = 4000 + arrays["integers"].nbytes
    assert 0.6 < states_on_disk(system, spin_orbit) / (size - other_arrays) < 1.7

    # What the file gives is what solving gives; a density of it needs no potential.
    file = tmp_path / "results" / "eval_states_sys0.npz"
    found, expected = charge_density(folder, states=file), charge_density(folder)
    assert_allclose(found.total, expected.total, atol=1e-7)
    with pytest.raises(InputError, match="--mesh"):
        charge_density(folder, Choice(k_points=KPoints((2, 2, 2))), states=file)


def test_systems_that_are_solved_in_one_shape_have_waves_of_their_own():
    rng = np.random.default_rng(6)
    one = zinc_blende(("Zn", "S"), [[0.1, 0.2, 0.3], [0.0, 0.5, 0.5]], max_kinetic_energy=1.2)
    wider = replace(one.crystal, lattice=1.04 * one.crystal.lattice)
    bundle = bundle_of(rng, one, replace(one, index=1, crystal=wider), basis_sphere="kG")
    problem = build_problem(bundle, solver=dense)
    params = initial_params(bundle, problem)
    for index, system in enumerate(bundle.systems):
        sets = state_sets(system, bundle.settings)
        mirrored = replace(
            system.crystal, fractional_positions=-system.crystal.fractional_positions
        )
        for k, states in enumerate(bloch_states(problem, params, index)):
            assert_array_equal(states.integers, sets.waves_at(k))
            matrix = literal_matrix(
                bundle, system, system.k_points[k], mirrored, integers=states.integers
            )
            d = states.coefficients[:, 0]
            assert d.shape == (4, len(states.integers))
            assert_allclose(d @ matrix.T, states.energies[:, None] / EV * d, atol=1e-9)


def test_bands_of_saved_states_are_in_the_order_of_the_bundle(tmp_path):
    order = "2 1 0 3 4 5 6 7 8\n" + "0 1 2 3 4 5 6 7 8\n" * 2
    changes = {
        "kpoints_0_orderMatrix": order,
        "input_0": "nBands = 9\nmaxKE = 1.2\nidxVB = 7\n",
        "bandWeights_0": "1\n" * 9,
    }
    folder = zinc_sulphide(tmp_path / "inputs", "basis_sphere = G_full\nSObool = 1\n", **changes)
    arrays = saved(folder, tmp_path / "results")
    table = np.loadtxt(tmp_path / "results" / "eval_BS_sys0.dat")[:, 1:]
    assert_allclose(table[0, :3], arrays["energies"][0, [2, 1, 0]], atol=1e-5)
    assert_allclose(np.sum(np.abs(arrays["coefficients"]) ** 2, axis=(2, 3)), 1, atol=1e-14)


def test_states_that_do_not_fit_on_the_disk_are_refused_before_any_work(tmp_path, monkeypatch):
    folder = zinc_sulphide(tmp_path / "inputs")
    usage = resources.shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(resources.shutil, "disk_usage", lambda path: usage)
    with pytest.raises(ResultsError, match=r"The states take about .* has 1000|0.000954 MB"):
        evaluate(folder, tmp_path / "results", painter=Nobody(), save_states=True)
    assert not (tmp_path / "results").exists()


# ---------------------------------------------------------------- files that are none


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A bundle and a file of made-up states of it: one wave per band."""
    folder = zinc_sulphide(tmp_path_factory.mktemp("whole") / "inputs")
    bundle = read_bundle(folder, "eval")
    sets = state_sets(bundle.systems[0], bundle.settings)
    energies = np.tile(np.arange(5.0), (3, 1))
    path = folder.parent / "states.npz"
    states = np.eye(5, sets.shape[-1], dtype=complex)[:, None]
    with states_file(path, sets, lambda: {"energies": energies}) as add:
        for _ in range(3):
            add(states)
    return folder, path


def test_a_whole_file_is_read_as_it_was_written(whole):
    folder, path = whole
    found = read_states(path)
    assert found.sets.shape == (3, 5, 1, len(found.sets.waves_at(0)))
    assert_allclose(next(found.coefficients())[:, 0], np.eye(5, found.sets.shape[-1]))
    assert charge_density(folder, states=path).integral == pytest.approx(8, abs=1e-9)


def changed(path, target, **changes):
    """The same file with other arrays; None takes one away."""
    with np.load(path) as loaded:
        arrays = {**loaded, **changes}
    np.savez(target, **{name: array for name, array in arrays.items() if array is not None})
    return target


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"energies": None}, "missing energies; found "),
        ({"energies": np.zeros((3, 4))}, r"energies: found float64 of shape \(3, 4\)"),
        ({"k_points": np.full((3, 3), np.nan)}, "k_points: found .* finite"),
        ({"spinor": np.array(True)}, "spinor: found True and 1 spin"),
        ({"coefficients": np.zeros((3, 5, 7))}, "coefficients: found float64"),
        ({"coefficients": np.zeros((3, 5, 1, 27), complex)}, "energies|norm 0|waves|integers"),
        ({"symbols": np.array(["Zn", "Se"])}, "symbols: found Zn Se; legal: Zn S"),
        ({"lattice": np.eye(3)}, "lattice: found others than in system_0.par"),
        ({"positions": np.zeros((2, 3))}, "positions: found others"),
        ({"energies": np.zeros((3, 5), object)}, "damaged|allow_pickle"),
        ({"integers": np.zeros((N_WAVES, 3), int)}, f"found {N_WAVES} waves, 1 different ones"),
        (
            {"integers": np.zeros((3, N_WAVES, 3), int), "mask": np.zeros((3, N_WAVES), bool)},
            "integers of set 0: found 0 waves",
        ),
    ],
)
def test_arrays_that_do_not_fit_are_named(whole, tmp_path, changes, message):
    folder, path = whole
    with pytest.raises(InputError, match=message) as caught:
        charge_density(folder, states=changed(path, tmp_path / "bad.npz", **changes))
    assert "bad.npz" in str(caught.value)


def test_norms_are_looked_at(whole, tmp_path):
    folder, path = whole
    with np.load(path) as loaded:
        coefficients = loaded["coefficients"].copy()
    coefficients[1, 2] *= 2
    bad = changed(path, tmp_path / "bad.npz", coefficients=coefficients)
    with pytest.raises(InputError, match="k-point 1, band 2: found the norm 4; legal: 1"):
        charge_density(folder, states=bad)


def test_files_of_other_kinds_are_told(whole, tmp_path):
    folder, path = whole
    raw = path.read_bytes()
    damaged = bytearray(raw)
    damaged[len(raw) // 3] ^= 255
    cases = {
        b"\x00\x01\x02": "found no npz file",
        b"": "found no npz file",
        raw[: len(raw) // 2]: "damaged or truncated",
        bytes(damaged): "damaged or truncated|norm",
    }
    for number, (content, message) in enumerate(cases.items()):
        bad = tmp_path / f"{number}.npz"
        bad.write_bytes(content)
        with pytest.raises(InputError, match=message):
            charge_density(folder, states=bad)
    np.savez(tmp_path / "other.npz", psi=np.zeros(3))
    with pytest.raises(InputError, match=r"missing lattice, .* found psi"):
        charge_density(folder, states=tmp_path / "other.npz")
    for name in ("absent.npz", "."):
        with pytest.raises(InputError, match=r"cannot be read|is no file"):
            charge_density(folder, states=tmp_path / name)


def test_a_file_whose_coefficients_end_early_is_told(whole, tmp_path):
    folder, path = whole
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(tmp_path / "bad.npz", "w") as target:
        for name in source.namelist():
            data = source.read(name)
            target.writestr(name, data[:-64] if name == "coefficients.npy" else data)
    with pytest.raises(InputError, match=r"damaged|coefficients: found"):
        charge_density(folder, states=tmp_path / "bad.npz")


def test_the_wrong_number_or_kind_of_bands_is_told(whole, tmp_path):
    folder, path = whole
    more = zinc_sulphide(tmp_path / "more", input_0="nBands = 12\nmaxKE = 1.7\n",
                         bandWeights_0="1\n" * 12)  # fmt: skip
    with pytest.raises(InputError, match="found 5 levels of two bands each; legal: 6"):
        charge_density(more, Choice(bands="0:12"), states=path)
    spinors = zinc_sulphide(tmp_path / "spinors", "SObool = 1\nbasis_sphere = G_full\n")
    with pytest.raises(InputError, match="spinor: found False; legal: True, as SObool says"):
        charge_density(spinors, states=path)
    told = CliRunner().invoke(
        app, ["density", str(folder), str(tmp_path / "r"), "--states", str(tmp_path / "no.npz")]
    )
    assert told.exit_code == 1 and "no.npz" in told.output and not (tmp_path / "r").exists()


def test_sets_of_their_own_are_padded_and_masked(tmp_path):
    folder = zinc_sulphide(tmp_path / "inputs", "basis_sphere = kG\n")
    bundle = read_bundle(folder, "eval")
    sets = replace(state_sets(bundle.systems[0], bundle.settings), n_bands=1)
    assert sets.own_sets and not sets.mask.all()
    rng = np.random.default_rng(8)
    given = [rng.normal(size=(1, 1, len(sets.waves_at(k)))) + 0j for k in range(3)]
    given = [states / np.linalg.norm(states) for states in given]
    energies = {"energies": np.zeros((3, 1))}
    with states_file(tmp_path / "a.npz", sets, lambda: energies) as add:
        for states in given:
            add(states)
    for found, expected in zip(read_states(tmp_path / "a.npz").coefficients(), given, strict=True):
        assert_allclose(found, expected)
