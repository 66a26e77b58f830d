"""What a run and an evaluation tell of their potential: every number that the bundle defines."""

import dataclasses
import json

import bundle_samples
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose
from samples import bands, bundle_of, random_system, zinc_blende
from test_workflows import ZERO, log_of, make_inputs

from deeppseudopot_jax import build_problem, initial_params
from deeppseudopot_jax.eigensolvers.dense import dense
from deeppseudopot_jax.files.results.observables import (
    write_observables_json,
    write_observables_table,
)
from deeppseudopot_jax.observables.band_numbers import band_numbers
from deeppseudopot_jax.observables.couplings import coupling_tables, couplings
from deeppseudopot_jax.observables.deformation import deformation_potentials
from deeppseudopot_jax.observables.edge_masses import DIRECTIONS, edge_masses
from deeppseudopot_jax.observables.evaluation import prepared
from deeppseudopot_jax.observables.masses import effective_masses
from deeppseudopot_jax.observables.measured import coupling_observables, deformation_observables
from deeppseudopot_jax.observables.observable import Observable, unknown
from deeppseudopot_jax.run.outputs import Outputs
from deeppseudopot_jax.run.workflows import evaluate, run
from deeppseudopot_jax.types import CouplingTarget, DeformationTarget, GapDeformationTargets

TELLS_MASSES = True
BANDS = np.array([[0.0, 1.0, 3.0], [0.5, 1.5, 4.0], [-1.0, 0.0, 2.0]])
EDGES = {"valence_band": 1, "conduction_band": 2}
masses_of = jax.jit(effective_masses, static_argnums=(2, 3, 4))


def numbers(bands_found=BANDS, reference=BANDS + 0.25, **changes) -> dict:
    """Those of three k-points, by name."""
    system = random_system(
        np.random.default_rng(0), n_k=3, n_bands=3, reference_energies=reference, **changes
    )
    return {number.name: number for number in band_numbers(system, bands_found)}


def test_one_definition_of_every_gap():
    found = numbers(**EDGES, gap_k_point=1)
    values = {name: number.value for name, number in found.items() if number.group == "gaps"}
    # The direct gap is the smallest one (at k-point 0), not that at the valence maximum.
    assert values == {"gap": 0.5, "direct gap": 2.0, "gap at k-point 1": 2.5}
    assert found["gap"].where.startswith("k-point 1 (") and " to k-point 2 (" in found["gap"].where
    assert found["direct gap"].where.startswith("k-point 0 (")
    assert found["direct gap"].reference == 2.0
    for number in found.values():
        if number.unit == "eV":
            assert np.sum(number.slopes * BANDS) == pytest.approx(number.value)


def test_edges_compare_where_the_zero_of_energy_is_the_same():
    found = numbers(**EDGES)
    top = found["valence band maximum"]
    assert (top.value, top.reference, top.difference) == (1.5, 1.75, -0.25)
    assert numbers(**EDGES, relative_band=0)["valence band maximum"].reference is None
    assert found["valence splitting"].value == 1.0


def test_what_is_not_known_is_none():
    reference = np.where(BANDS == 4.0, np.nan, BANDS)
    assert numbers(reference=reference, **EDGES)["gap"].reference is None
    flat = numbers(0.0 * BANDS + [0.0, 1.0, 2.0], **EDGES, gap_k_point=1)["hole mass"]
    assert flat.value is None and flat.note == "the band is flat" and not flat.slopes.any()
    assert numbers() == {} and set(numbers(valence_band=1)) == {
        "valence band maximum", "valence splitting",
    }  # fmt: skip
    assert "gap at k-point 3" not in numbers(**EDGES, gap_k_point=3)


def named(observables: list[Observable]) -> dict[str, float | None]:
    return {one.name: one.value for one in observables}


def tensor(found: dict, name: str) -> np.ndarray:
    xx, yy, zz, yz, xz, xy = (
        found[f"{name} inverse mass {c}"] for c in ("xx", "yy", "zz", "yz", "xz", "xy")
    )
    return np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])


def solved(system, free: bool = False, **settings):
    """The problem of a system, its parameters and bands."""
    bundle = bundle_of(np.random.default_rng(4), system, **settings)
    problem = build_problem(bundle, solver=dense)
    params = initial_params(bundle, problem)
    if free:
        params = jax.tree.map(jnp.zeros_like, params)
        params = params.updated({"local": params.local.at[:, 0].set(0.0)})
    return problem, params, np.asarray(bands(problem, params)[0])


def test_free_electrons_have_the_tensor_one_and_others_that_of_every_direction():
    system = random_system(
        np.random.default_rng(4), n_k=2, n_bands=6, valence_band=1, conduction_band=4
    )
    problem, params, energies = solved(system, free=True)
    free = edge_masses(prepared(problem, params), 0, system, energies)
    found = named(free)
    assert_allclose(tensor(found, "electron"), np.eye(3), atol=1e-10)
    assert_allclose([found[f"hole principal mass {i}"] for i in (1, 2, 3)], -1.0, rtol=1e-10)
    bound, params, energies = solved(system)
    found = named(edge_masses(prepared(bound, params), 0, system, energies))
    direction = np.array([1.0, 2.0, -0.5])
    unit = direction / np.linalg.norm(direction)
    k_point = int(np.argmin(energies[:, 4]))
    (expected,) = masses_of(bound, params, 0, k_point, (4,), jnp.asarray(direction))
    assert_allclose(1.0 / (unit @ tensor(found, "electron") @ unit), expected, rtol=1e-8)
    principal = [found[f"electron principal mass {i}"] for i in (1, 2, 3)]
    assert_allclose(
        np.sort(1.0 / np.array(principal)), np.linalg.eigvalsh(tensor(found, "electron"))
    )


def test_bands_that_meet_at_an_edge_have_a_mass_for_every_direction():
    system = zinc_blende(("Ga", "As"), [[0.0, 0.0, 0.0]], 17, valence_band=9, conduction_band=16)
    problem, params, energies = solved(system)
    assert np.ptp(energies[0, 4:10]) < 1e-6  # a triplet with spin, below another one
    found = named(edge_masses(prepared(problem, params), 0, system, energies))
    members = (9, 7, 5)
    for name in ("100", "111"):
        direction = jnp.asarray(DIRECTIONS[name])
        expected = -masses_of(problem, params, 0, 0, members, direction)
        assert_allclose(
            [found[f"hole mass [{name}] band {b}"] for b in members], expected, rtol=1e-6
        )
    assert "hole principal mass 1" not in found and "electron inverse mass xy" in found


def test_more_bands_than_can_be_looked_at_are_told_in_words():
    """Free electrons at Gamma: twelve waves of one length, too many for perturbation theory."""
    system = zinc_blende(("Ga", "As"), [[0.0, 0.0, 0.0]], 54, valence_band=29, conduction_band=30)
    problem, params, energies = solved(system, free=True)
    failed = edge_masses(prepared(problem, params), 0, system, energies)[-1]
    assert failed.value is None and "more than 6 levels are degenerate" in failed.note


ROWS = (
    DeformationTarget((0, 1), (0, 2), 1.02, -3.0, 2.0),
    DeformationTarget((0, 2), None, 0.98, 4.0, 0.5),
)
Q_POINTS = np.array([[0.5, 0.0, 0.0]])
TARGETS = (CouplingTarget(1, "As", "y", "cb", np.array([-0.3])),)


def test_files_of_a_system_define_deformation_potentials_and_couplings():
    system = random_system(
        np.random.default_rng(8), ("Ga", "As"), n_k=1, deformation_targets=ROWS,
        coupling_targets=TARGETS, q_points=Q_POINTS, q_weights=np.ones(1),
        gap_k_point=0, valence_band=1, conduction_band=2,
    )  # fmt: skip
    bundle = bundle_of(np.random.default_rng(4), system)
    problem, params, energies = solved(system)

    rows = deformation_observables(problem, params, 0, system, energies)
    expected = jax.jit(deformation_potentials, static_argnums=(2, 3))(problem, params, 0, ROWS)
    assert_allclose([row.value for row in rows], expected, rtol=1e-10)
    assert [row.name for row in rows] == ["row 1: transition", "row 2: level"]
    assert [row.reference for row in rows] == [-3.0, 4.0]
    assert "band 1 to k-point 0" in rows[0].where and rows[0].where.endswith("x 1.02")

    old = dataclasses.replace(system, deformation_targets=GapDeformationTargets(-1.0, 2.0))
    found = deformation_observables(problem, params, 0, old, energies)
    assert [row.name for row in found] == ["valence band", "conduction band"]
    (row,) = deformation_observables(
        problem, params, 0, dataclasses.replace(old, gap_k_point=None), energies
    )
    assert row.value is None and "idxGap" in row.note
    elsewhere = dataclasses.replace(
        system, deformation_targets=(DeformationTarget((5, 1), None, 1.02, 0.0, 1.0),)
    )
    (row,) = deformation_observables(problem, params, 0, elsewhere, energies)
    assert row.value is None and "k-point" in row.note

    (coupling,) = coupling_observables(problem, bundle.settings, params, system)
    tables = coupling_tables(problem, bundle.settings, system, Q_POINTS)
    assert coupling.value == pytest.approx(float(couplings(problem, params, tables)[0, 1, 1, 1]))
    assert coupling.reference == 0.3 and coupling.name == "cb-cb atom 1 As y q-point 0"
    without = dataclasses.replace(system, conduction_band=None)
    assert "idxCB" in coupling_observables(problem, bundle.settings, params, without)[0].note


def test_both_files_say_the_same(tmp_path):
    found = [
        Observable(
            group="gaps", name="gap", unit="eV", value=1.25, where="k-point 0 (0 0 0)",
            reference=1.5, sigma=0.01,
        ),
        unknown("masses", "hole mass", "m_e", 'the band is "flat"'),
    ]  # fmt: skip
    systems = [(0, "InP", found), (3, "nothing here", [])]
    write_observables_table(tmp_path / "a.dat", "final", systems)
    write_observables_json(tmp_path / "a.json", "final", systems)
    content = json.loads((tmp_path / "a.json").read_text())
    assert content == {
        "format": 1,
        "prefix": "final",
        "systems": [
            {
                "index": 0,
                "name": "InP",
                "observables": [
                    {
                        "group": "gaps", "name": "gap", "where": "k-point 0 (0 0 0)",
                        "value": 1.25, "unit": "eV", "reference": 1.5, "sigma": 0.01,
                    },
                    {
                        "group": "masses", "name": "hole mass", "where": "", "value": None,
                        "unit": "m_e", "reference": None, "sigma": None,
                        "note": 'the band is "flat"',
                    },
                ],
            },
            {"index": 3, "name": "nothing here", "observables": []},
        ],
    }  # fmt: skip
    heading, columns, gap, mass = (tmp_path / "a.dat").read_text().splitlines()
    assert heading.startswith("# ") and columns.startswith("# system")
    for place, cell in (("value", "1.250000"), ("difference", "-0.250000"), ("sigma", "0.010000")):
        assert gap.index(cell) + len(cell) == columns.index(place) + len(place)
    assert gap.endswith('"k-point 0 (0 0 0)"') and mass.endswith("\"the band is 'flat'\"")


@pytest.mark.parametrize("work", [run, evaluate])
def test_every_evaluation_writes_and_tells_them(tmp_path, monkeypatch, work):
    monkeypatch.setattr(Outputs, "save", lambda *_: None)
    folder = make_inputs(
        tmp_path / "inputs", ZERO, expDefPot_0="-3\n-8\n", expCoupling_0=bundle_samples.COUPLINGS,
        qpoints_0="0.5 0 0 1\n0 0 0 1\n",
    )  # fmt: skip
    work(folder, tmp_path / "results")
    prefix, log = ("final", "run.log") if work is run else ("eval", "eval.log")
    text = (tmp_path / "results" / f"{prefix}_observables.json").read_text()
    content = json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} in JSON"))
    (system,) = content["systems"]
    found = {one["name"]: one for one in system["observables"]}
    groups = [one["group"] for one in system["observables"]]
    assert list(dict.fromkeys(groups)) == [
        "gaps", "edges", "masses", "deformation potentials", "couplings",
    ]  # fmt: skip
    assert groups.count("couplings") == 2 * 2 * 3 * 2
    written = np.loadtxt(tmp_path / "results" / f"{prefix}_BS_sys0.dat")[:, 1:]
    assert found["valence band maximum"]["value"] == pytest.approx(written[:, 1].max(), abs=1e-5)
    assert found["direct gap"]["reference"] == 1.0 + 2.0 - 2.0 + 1.0
    rows = (tmp_path / "results" / f"{prefix}_observables.dat").read_text().splitlines()[2:]
    assert len(rows) == len(groups)
    for row, one in zip(rows, system["observables"], strict=True):
        assert f'"{one["name"]}"' in row and f"{one['value']:.6f}" in row
    told = log_of(tmp_path / "results", log)
    assert "deformation potentials: valence band " in told and "(reference -3.0000)" in told
    assert "couplings: 24 numbers" in told and "root mean square error" in told
