"""The command `doctor`: every classic mistake is found where it is, and not where it is not."""

import json
import re
import shutil
import tomllib
from dataclasses import replace
from pathlib import Path

import bundle_samples
import jax.numpy as jnp
import numpy as np
import pytest
from rich.console import Console
from samples import bands
from typer.testing import CliRunner

from deeppseudopot_jax import build_problem, initial_params, read_bundle
from deeppseudopot_jax.cli.app import app
from deeppseudopot_jax.potentials.state_dict import to_state_dict
from deeppseudopot_jax.potentials.zunger import zunger_form
from deeppseudopot_jax.problem import local_model
from deeppseudopot_jax.run.checks.plan import plan_of
from deeppseudopot_jax.toolkit.doctor import Examination, Remark, examine, installation
from deeppseudopot_jax.toolkit.doctor.checks import (
    CHECKS,
    band_edges,
    cartesian_k_points,
    cut_multiplets,
    cutoff_convergence,
    edges_at_the_basis,
    equivalent_k_points,
    few_plane_waves,
    interchanged_species,
    order_applied_twice,
    order_of_scales,
    other_zero_of_energy,
    pairs_of_bands,
    sizes_of_k_weights,
    species_in_a_header,
    surplus_levels,
    units_of_energies,
    units_of_lengths,
    unknown_levels,
    unsplit_levels,
    weights_of_systems,
)
from deeppseudopot_jax.toolkit.doctor.checks.units import nearest_neighbours
from deeppseudopot_jax.toolkit.doctor.examination import without_bands
from deeppseudopot_jax.toolkit.doctor.examined import Examined, StartBands
from deeppseudopot_jax.toolkit.doctor.installation import EXTRAS
from deeppseudopot_jax.toolkit.doctor.needs import seconds_of, time_in_words
from deeppseudopot_jax.toolkit.doctor.show import show, summary
from deeppseudopot_jax.toolkit.doctor.start import Table, start_bands, start_of
from deeppseudopot_jax.types import Crystal

ROOT = Path(__file__).parents[1]
FIT = (
    "max_num_epochs = 2\noptimizer_lr = 0.01\nplotEvery = 1\nschedulerStep = 1\n"
    "scheduler_gamma = 1\n"
)
ZUNGER = "PPmodel = ZeroFunction\nnSystem = 1\n"
SYSTEM = bundle_samples.GOOD["system_0.par"]
GOOD = {
    "NN_config": ZUNGER + FIT,
    "input_0": "nBands = 4\nmaxKE = 5\n",
    "expBandStruct_0": "0.0 -9 -9 2 2\n0.5 -8 -8 3 3\n",  # every level twice
    "init_ZnParams": "20\n2\n2\n0.5\n",
    "init_SParams": "30\n3\n2\n0.5\n",
}
BANDS = np.array([[-9.0, -9.0, 2.0, 2.0, 4.0, 4.0], [-8.0, -8.0, 3.0, 3.0, 5.0, 5.0]])
START = StartBands((0, 1), ("Γ", "L"), BANDS, BANDS[:, :4], 1.3)


def examined(folder: Path, **changes) -> Examined:
    """A sound bundle with changes, as the checks see it; no bands are computed."""
    return without_bands(bundle_samples.read(folder, **GOOD | changes))


def found(check, *given: Examined) -> str:
    """The messages of a check; empty where it finds nothing."""
    return "\n".join(remark.message for remark in check(*given))


def test_nothing_is_found_in_a_sound_bundle(tmp_path):
    sound = replace(examined(tmp_path), start=(START,), n_waves=(100,))
    assert [remark for check in CHECKS for remark in check(sound)] == []


@pytest.mark.parametrize(
    ("config", "rows", "message"),
    [
        (
            "",
            "0 -9 -8 1 2\n0.5 -8 -7 2 3\n",
            "2 of 2 pairs of bands differ, but without",
        ),
        ("", "0 -9 -9 2 2.5\n0.5 -8 -8 3 3\n", "1 of 2 pairs .* bands 2 and 3 are 0.5 eV apart"),
        ("SObool = 1\n", "0 -9 -8 1 2\n.5 -8 -8 3 3\n", "2 of 2 pairs .* time reversal"),
        ("SObool = 1\n", GOOD["expBandStruct_0"], ""),
    ],
)
def test_pairs_of_bands(tmp_path, config, rows, message):
    given = examined(tmp_path, NN_config=GOOD["NN_config"] + config, expBandStruct_0=rows)
    text = found(pairs_of_bands, given)
    assert (text == "") == (message == "")
    assert re.search(message, text)


def test_spinors_away_from_points_of_time_reversal_need_no_pairs(tmp_path):
    changes = {
        "kpoints_0": "0 0 0 1\n0.1 0.2 0.3 1\n",
        "expBandStruct_0": "0 -9 -9 2 2\n1 -9 -8 2 3\n",
    }
    config = GOOD["NN_config"]
    given = examined(tmp_path / "a", NN_config=config + "SObool = 1\n", **changes)
    assert found(pairs_of_bands, given) == ""
    assert "pairs" in found(pairs_of_bands, examined(tmp_path / "b", **changes))
    weightless = examined(tmp_path / "c", bandWeights_0="1 0 1 0", **changes)
    assert found(pairs_of_bands, weightless) == ""


P_STATES = {
    "kpoints_0": "0.5 0.5 0.5 1\n0 0 0 1\n",
    "input_0": "nBands = 8\nmaxKE = 5\nidxVB = 7\n",
    "bandWeights_0": "1\n" * 8,
    "init_ZnParams": "20\n2\n2\n0.5\n0\n1\n0\n0\n0\n",
}
CONVENTIONAL = "scale = 10\ncell\n1 0 0\n0 1 0\n0 0 1\natoms\n" + "".join(
    f"{symbol} {x + shift} {y + shift} {z + shift}\n"
    for symbol, shift in (("Zn", 0.0), ("S", 0.25))
    for x, y, z in ((0, 0, 0), (0, 0.5, 0.5), (0.5, 0, 0.5), (0.5, 0.5, 0))
)


@pytest.mark.parametrize(
    ("config", "split", "changes", "warned"),
    [
        ("SObool = 1\n", 0.0, {}, True),
        ("SObool = 1\n", 0.006, {}, False),  # diamond
        ("", 0.0, {}, False),
        ("SObool = 1\n", 0.0, {"system_0": CONVENTIONAL}, False),
        ("SObool = 1\n", 0.0, {"init_ZnParams": GOOD["init_ZnParams"]}, False),
        ("SObool = 1\ntrainSO = 1\n", 0.0, {"init_ZnParams": GOOD["init_ZnParams"]}, True),
    ],
)
def test_p_states_that_spin_orbit_would_split(tmp_path, config, split, changes, warned):
    upper = " ".join(["0"] * 4)
    given = P_STATES | {
        "NN_config": GOOD["NN_config"] + config,
        "expBandStruct_0": f"0 -9 -9 -3 -3 -1 -1 -1 -1\n1 -12 -12 {-split} {-split} {upper}\n",
    }
    text = found(unsplit_levels, examined(tmp_path, **given | changes))
    assert ("more than 4 bands are at 0 eV at k-point 1" in text) == warned == bool(text)


MANY = {
    "input_0": "nBands = 12\nmaxKE = 5\nidxVB = {}\nidxCB = {}\n",
    "bandWeights_0": None,
    "expBandStruct_0": "".join(
        f"{k} " + " ".join(f"{level} {level}" for level in np.arange(-4, 2) + 0.1 * k) + "\n"
        for k in range(2)
    ),
}


@pytest.mark.parametrize(
    ("edges", "messages"),
    [
        ((7, 8), []),
        ((3, 4), ["8 s and p electrons fill 8 bands, but idxVB = 3 is that of 4"]),
        ((8, 9), ["first band of a level", "are the same level", "bands 0 to 7, but idxVB = 8"]),
        ((5, 6), ["8 s and p electrons fill bands 0 to 7, but idxVB = 5"]),
        ((7, 9), ["idxCB = 9 is not the band above idxVB = 7"]),
    ],
)
def test_band_edges(tmp_path, edges, messages):
    text = found(
        band_edges, examined(tmp_path, **MANY | {"input_0": MANY["input_0"].format(*edges)})
    )
    assert (text == "") == (messages == []) and all(message in text for message in messages)


@pytest.mark.parametrize(
    ("config", "valence", "levels"),
    [
        ("", 5, 0),
        ("", 7, 0),
        ("", 8, 0),  # from 1, which band_edges tells
        ("", 10, 0),  # half a level
        ("", 13, 3),
        ("SObool = 1\n", 7, 0),
        ("SObool = 1\n", 10, 3),
        ("SObool = 1\n", 13, 6),
    ],
)
def test_surplus_levels(tmp_path, config, valence, levels):
    """With spin-orbit every column is a level that `convert` counts, without two of them are."""
    rows = [f"{row} 8 8 9 9\n" for row in MANY["expBandStruct_0"].splitlines()]
    changes = {
        "input_0": MANY["input_0"].format(valence, valence + 1).replace("12", "16"),
        "bandWeights_0": "0\n" * 15 + "1\n",
        "expBandStruct_0": "".join(rows),
    }
    given = examined(tmp_path, NN_config=GOOD["NN_config"] + config, **changes)
    remarks = list(surplus_levels(given))
    assert len(remarks) == bool(levels)
    for remark in remarks:
        told = f"idxVB = {valence} fills {valence + 1} bands, but there are 8 s and p electrons"
        assert told in remark.message
        assert f"`convert qe --drop-lowest {levels}`" in remark.remedy
        assert f"without {valence - 7} columns" in remark.remedy


def test_edges_of_spinors_may_be_any_band(tmp_path):
    changes = MANY | {"input_0": MANY["input_0"].format(10, 11)}
    config = GOOD["NN_config"] + "SObool = 1\n"
    given = examined(tmp_path, NN_config=config, **changes)
    assert "first band of a level" not in found(band_edges, given)


def test_unknown_levels_with_a_weight(tmp_path):
    rows = {"expBandStruct_0": "0 0 0 2 2\n0.5 0 0 3 3\n"}
    assert "bands 0 to 1 are 0 at every k-point" in found(
        unknown_levels, examined(tmp_path, **rows)
    )
    given = examined(tmp_path / "b", bandWeights_0="0 0 1 1", **rows)
    assert found(unknown_levels, given) == ""
    assert found(unknown_levels, examined(tmp_path / "c", NN_config=ZUNGER, **rows)) == ""


def test_an_order_matrix_for_sorted_references(tmp_path):
    order = {"kpoints_0_orderMatrix": "0 1 2 3\n2 3 0 1\n"}
    assert "reorders" in found(order_applied_twice, examined(tmp_path / "a", **order))
    crossing = examined(tmp_path / "b", expBandStruct_0="0 -9 -9 2 2\n0.5 3 3 -8 -8\n", **order)
    assert found(order_applied_twice, crossing) == ""
    identity = examined(tmp_path / "c", kpoints_0_orderMatrix="0 1 2 3\n0 1 2 3\n")
    assert found(order_applied_twice, identity) == ""


def test_a_window_that_cuts_a_multiplet(tmp_path):
    cut = BANDS.copy()
    cut[1, 4:] = 3.0005
    sound, at_l = (replace(START, bands=bands) for bands in (BANDS, cut))
    given = examined(tmp_path)
    assert found(cut_multiplets, replace(given, start=(sound,))) == ""
    text = found(cut_multiplets, replace(given, start=(at_l,)))
    assert "at k-point 1 (L) band 3, the last one with a weight, and band 4 are one level" in text
    weightless = examined(tmp_path / "b", bandWeights_0="1 0 0 0")  # a pair, and a gap above it
    assert found(cut_multiplets, replace(weightless, start=(at_l,))) == ""
    away = examined(tmp_path / "d", kpoints_0="0 0 0 1\n.5 .5 .5 0\n")
    assert found(cut_multiplets, replace(away, start=(at_l,))) == ""
    odd = {"input_0": "nBands = 3\nmaxKE = 5\n", "bandWeights_0": None}
    odd["expBandStruct_0"] = "0 -9 -9 2\n0.5 -8 -8 3\n"
    assert "nBands = 3 is odd" in found(cut_multiplets, examined(tmp_path / "c", **odd))


def test_weights_that_cut_a_multiplet_of_the_reference(tmp_path):
    rows = "0 -9 -9 2 2\n0.5 2.9999 2.9999 3 3\n"
    for weights, wrong in (("1 1 0 0", True), ("1 1 1 1", False)):
        given = examined(tmp_path / weights, expBandStruct_0=rows, bandWeights_0=weights)
        text = found(cut_multiplets, given)
        assert ("at k-point 1 of the reference band 1" in text) == wrong


@pytest.mark.parametrize("k", ["1 0 0", "-0.5 -0.5 -0.5", "0.5 0.5 0.5"])
def test_equivalent_k_points_with_other_energies(tmp_path, k):
    points = {"kpoints_0": f"0 0 0 1\n.5 .5 .5 1\n{k} 1\n"}
    for levels, wrong in (("-8.5 -8.5 1 1", True), ("-8 -8 3 3", k == "1 0 0")):
        rows = f"{GOOD['expBandStruct_0']}1 {levels}\n"
        given = examined(tmp_path / levels, expBandStruct_0=rows, **points)
        assert ("the same up to a reciprocal vector" in found(equivalent_k_points, given)) == wrong


@pytest.mark.parametrize("unit", [1.0, 0.2 * np.pi])
def test_cartesian_k_points(tmp_path, unit):
    """L-Gamma-X of a face-centred cell in units of 2 pi / a, and in Bohr^-1."""
    cartesian = np.array(
        [[0.5 - x] * 3 for x in (0.0, 0.125, 0.25, 0.375, 0.5)] + [[0, 0.5, 0], [0, 1, 0]]
    )
    steps = np.linalg.norm(np.diff(cartesian, axis=0), axis=1)
    rows = "".join(f"{s:.6f} -9 -9 2 2\n" for s in np.concatenate([[0], np.cumsum(steps)]))
    lattice = 5.0 * (1.0 - np.eye(3))
    for points, wrong in ((unit * cartesian, True), (cartesian @ lattice.T / 10.0, False)):
        text = "".join(f"{k[0]:.8f} {k[1]:.8f} {k[2]:.8f} 1\n" for k in points)
        given = examined(
            tmp_path / str(wrong), kpoints_0=text, expBandStruct_0=rows,
            input_0="nBands = 4\nmaxKE = 5\n",
        )  # fmt: skip
        assert ("if they are Cartesian" in found(cartesian_k_points, given)) == wrong


def test_sizes_of_k_weights(tmp_path):
    given = {"kpoints_0": "0 0 0 0.05\n.5 .5 .5 0.05\n"}
    text = found(sizes_of_k_weights, examined(tmp_path / "a", **given))
    assert "weights are 0.05 on average (their sum is 0.1)" in text
    assert found(sizes_of_k_weights, examined(tmp_path / "b", NN_config=ZUNGER, **given)) == ""
    sound = examined(tmp_path / "c", kpoints_0="0 0 0 10\n.5 .5 .5 1\n")
    assert found(sizes_of_k_weights, sound) == ""


def test_weights_of_systems(tmp_path):
    config = GOOD["NN_config"].replace("nSystem = 1", "nSystem = 2")
    for weight, wrong in ((1.0, False), (9.0, True)):
        files = {f"{name}_1": text for name, text in GOOD.items() if name == "expBandStruct_0"}
        files = {
            "NN_config": config,
            "system_1": SYSTEM,
            "input_1": bundle_samples.GOOD["input_0.par"],
            "expBandStruct_1": GOOD["expBandStruct_0"],
            "bandWeights_1": "1 2 3 4",
            "kpoints_1": f"0 0 0 {weight}\n.5 .5 .5 {2 * weight}\n",
        }
        text = found(weights_of_systems, examined(tmp_path / str(weight), **files))
        assert ("system_0 30, system_1 270" in text) == wrong


@pytest.mark.parametrize(
    ("scale", "wrong"), [(10.0, ""), (5.41, "Zn and S, are 2.34"), (40, "17.3 Bohr")]
)
def test_units_of_lengths(tmp_path, scale, wrong):
    system = SYSTEM.replace("scale = 10.0", f"scale = {scale}")
    text = found(units_of_lengths, examined(tmp_path, system_0=system))
    assert (text == "") == (wrong == "") and wrong in text


def test_crystals_of_light_and_of_heavy_atoms_are_not_too_dense():
    cubic = np.eye(3)
    for size, symbols, second in (
        (11.87, ("Pb", "I"), [0.5, 0.5, 0.5]),  # farther apart than they are in perovskites
        (7.96, ("Mg", "O"), [0.5, 0.5, 0.5]),
    ):
        crystal = Crystal(size * cubic, np.array([[0.0, 0, 0], second]), symbols)
        distance, pair = nearest_neighbours(crystal)
        assert distance == pytest.approx(size * 0.75**0.5) and set(pair) == set(symbols)
    diamond = Crystal(6.74 / 2 * (1 - cubic), np.array([[0.0] * 3, [0.25] * 3]), ("C", "C"))
    assert nearest_neighbours(diamond)[0] == pytest.approx(6.74 * 3**0.5 / 4)
    one = Crystal(5.0 * cubic, np.array([[0.3, 0.3, 0.3]]), ("Po",))
    assert nearest_neighbours(one) == (pytest.approx(5.0), ("Po", "Po"))


@pytest.mark.parametrize(("factor", "unit"), [(27.2114, "Hartree"), (13.6057, "Rydberg"), (1, "")])
def test_units_of_energies(tmp_path, factor, unit):
    rows = [[0, *BANDS[0, :4] / factor], [0.5, *BANDS[1, :4] / factor]]
    text = "\n".join(" ".join(f"{x:.6f}" for x in row) for row in rows)
    given = replace(examined(tmp_path, expBandStruct_0=text), start=(START,))
    message = found(units_of_energies, given)
    assert (message == "") == (unit == "") and unit in message


def test_energies_that_are_too_narrow_for_any_crystal(tmp_path):
    rows = np.array([[float(c) for c in r.split()] for r in MANY["expBandStruct_0"].splitlines()])
    changes = MANY | {"input_0": MANY["input_0"].format(7, 8)}
    for factor, wrong in ((1.0, False), (1 / 13.6057, True)):
        text = "\n".join(" ".join(f"{x * factor:.5f}" for x in row) for row in rows)
        given = examined(tmp_path / str(wrong), **changes | {"expBandStruct_0": text})
        assert ("all bands lie within" in found(units_of_energies, given)) == wrong


@pytest.mark.parametrize(
    ("shift", "wrong"), [(0.0, False), (9.0, True), (-6.0, True), (1.0, False)]
)
def test_another_zero_of_energy(tmp_path, shift, wrong):
    start = replace(START, bands=BANDS - shift)
    given = replace(examined(tmp_path / "a"), start=(start,))
    text = found(other_zero_of_energy, given)
    side = "above" if shift > 0 else "below"
    assert (f"lies {abs(shift):.3g} eV {side} the bands" in text) == wrong
    relative = examined(tmp_path / "b", NN_config=GOOD["NN_config"] + "relE_bIdx = 1\n")
    assert found(other_zero_of_energy, replace(relative, start=(start,))) == ""
    unlike = replace(START, bands=BANDS * 4.0)
    assert found(other_zero_of_energy, replace(given, start=(unlike,))) == ""


def test_a_reference_whose_valence_maximum_is_at_0_is_told(tmp_path):
    rows = "0 -1 -1 10 10\n0.5 0 0 11 11\n"
    edges = "nBands = 4\nmaxKE = 5\nidxVB = 1\nidxCB = 2\n"
    given = replace(examined(tmp_path, expBandStruct_0=rows, input_0=edges), start=(START,))
    assert "its valence band maximum is at 0" in found(other_zero_of_energy, given)


def test_few_plane_waves(tmp_path):
    given = examined(tmp_path)
    assert "gives 7 plane waves for 2 levels" in found(
        few_plane_waves, replace(given, n_waves=(7,))
    )
    assert found(few_plane_waves, replace(given, n_waves=(8,))) == ""


@pytest.mark.parametrize(
    ("k_point", "config", "max_ke", "message"),
    [
        ("0.5 0.5 0.5", "", 5, "conduction band minimum (k-point 1) is on the boundary"),
        ("0.5 0 0.5", "basis_sphere = G_full\n", 5, "with basis_sphere = G_full"),
        ("-1.5 0 0.5", "basis_sphere = G_full\n", 5, "is on the boundary"),
        ("0.4 0.4 0.4", "", 5, ""),
        ("0.5 0.5 0.5", "basis_sphere = kG\n", 5, ""),
        ("0.4999 0.5 0.5", "", 5, "is on the boundary"),
        ("0 0 0", "basis_sphere = kG\n", 5.32, "plane waves of 5.3296 to 5.3296 Ha, next to"),
        ("0 0 0", "basis_sphere = G_full\n", 5.32, ""),
    ],
)
def test_edges_at_the_basis(tmp_path, k_point, config, max_ke, message):
    given = examined(
        tmp_path,
        NN_config=GOOD["NN_config"] + config,
        kpoints_0=f"0.1 0.05 0 1\n{k_point} 1\n",
        expBandStruct_0="0.0 -8 -8 3 3\n0.5 -9 -9 2 2\n",
        input_0=f"nBands = 4\nmaxKE = {max_ke}\nidxVB = 1\nidxCB = 2\n",
    )
    assert message in found(edges_at_the_basis, given)
    assert bool(found(edges_at_the_basis, given)) == bool(message)


def test_edges_of_levels_that_do_not_count_tell_nothing(tmp_path):
    files = {
        "kpoints_0": "0.1 0.05 0 1\n0.5 0.5 0.5 1\n",
        "input_0": "nBands = 4\nmaxKE = 5\nidxVB = 1\nidxCB = 2\n",
        "expBandStruct_0": "0.0 -9 -9 3 3\n0.5 -8 -8 2 2\n",
    }
    assert found(edges_at_the_basis, examined(tmp_path / "a", **files))
    relative = files | {"input_0": files["input_0"] + "relE_bIdx = 0\n"}
    assert not found(edges_at_the_basis, examined(tmp_path / "b", **relative))
    weightless = files | {"bandWeights_0": "1\n1\n0\n1\n"}
    assert not found(edges_at_the_basis, examined(tmp_path / "c", **weightless))


def test_cutoff_convergence(tmp_path):
    given = examined(tmp_path)
    for change, severity in ((0.01, []), (-0.2, ["note"]), (0.7, ["warning"])):
        larger = BANDS[:, :4].copy()
        larger[1, 2] += change
        start = replace(START, larger_basis=larger)
        remarks = list(cutoff_convergence(replace(given, start=(start,))))
        assert [remark.severity for remark in remarks] == severity
        if severity:
            assert (
                f"up to {abs(1000 * change):.0f} meV (band 2 at k-point 1 (L))"
                in remarks[0].message
            )
            assert "with maxKE = 6.5 instead of 5 Ha" in remarks[0].message
    unlike = replace(start, bands=4.0 * BANDS)  # tells nothing of the fitted potential
    assert [r.severity for r in cutoff_convergence(replace(given, start=(unlike,)))] == ["note"]


def test_interchanged_species(tmp_path):
    given = examined(tmp_path)
    rows = given.bundle.coefficients[:, :4]

    def formula(q):
        return np.asarray(zunger_form(jnp.asarray(q), jnp.asarray(rows)))

    named = replace(given, formula=formula, curves=(("table", lambda q: formula(q)[:, ::-1]),))
    assert "curves are interchanged (S like Zn, Zn like S)" in found(interchanged_species, named)
    same = replace(named, curves=(("table", lambda q: 1.1 * formula(q) + 1.0),))
    assert found(interchanged_species, same) == ""
    assert found(interchanged_species, replace(named, formula=None)) == ""


@pytest.mark.parametrize(
    ("header", "wrong"),
    [("# q v_Zn v_S", True), ("# q v_S v_Zn", False), ("# q  v(q)_Zn  v(q)_S", True), ("", False)],
)
def test_species_in_the_header_of_a_table(tmp_path, header, wrong):
    table = f"{header}\n0 1 2\n1 1 2\n2 1 2\n"
    text = found(species_in_a_header, examined(tmp_path, init_qSpace_pot=table))
    assert ("columns Zn S, but they are read as S Zn" in text) == wrong


def test_order_of_scales(tmp_path):
    config = (
        "PPmodel = Net_celu_HeInit_scale_decayGaussian\nhiddenLayers = 3\nnSystem = 1\n"
        "PPmodel_gaussian_std = 2\nPPmodel_scale = "
    )
    unequal = examined(tmp_path / "a", NN_config=config + "1 2\n")
    assert "factors are S 1, Zn 2; atoms are listed as Zn S" in found(order_of_scales, unequal)
    assert found(order_of_scales, examined(tmp_path / "b", NN_config=config + "2 2\n")) == ""


SMALL = {"input_0": "nBands = 4\nmaxKE = 1.5\nidxVB = 1\nidxCB = 2\n", "NN_config": ZUNGER + FIT}


@pytest.fixture(scope="module")
def small(tmp_path_factory) -> Path:
    """A bundle of a few plane waves."""
    folder = tmp_path_factory.mktemp("small") / "inputs"
    return bundle_samples.write(folder, **GOOD | SMALL)


def test_a_whole_examination(small):
    """A wrong reference: the doctor computes what is compared with it."""
    examination = examine(small)
    assert not examination.is_refused
    (n_waves,) = build_problem(read_bundle(small)).n_waves
    assert examination.facts["plane waves"] == f"system_0 {n_waves}"
    assert "plane waves:" not in examination.facts["memory"]  # theirs are an estimate
    assert "of the order of" in examination.facts["time"]
    assert "2 updates by adam" in examination.facts["run"]
    severities = [remark.severity for remark in examination.remarks]
    ranks = {"problem": 0, "warning": 1, "note": 2}
    assert severities == sorted(severities, key=ranks.get)


def test_bands_of_the_start_are_those_of_a_run(small, tmp_path):
    bundle = read_bundle(small)
    problem = build_problem(bundle)
    (expected,) = bands(problem, initial_params(bundle, problem))
    (start,) = start_bands(start_of(plan_of(bundle))).bands
    assert start.points == (0, 1) and start.labels == ("Γ", "L")
    assert np.abs(start.bands[:, :4] - np.asarray(expected)).max() < 1e-6
    assert np.all(start.larger_basis <= start.bands[:, :4] + 1e-6)  # variational


def test_outputs_of_a_checkpoint_that_are_interchanged(tmp_path):
    """A network that repeats the Zunger curves of the other species."""
    config = "PPmodel = BSpline\nPPmodel_n_knots = 24\nnSystem = 1\n" + FIT
    changes = GOOD | {"input_0": SMALL["input_0"], "NN_config": config}
    bundle = bundle_samples.read(tmp_path / "inputs", **changes)
    model = local_model(bundle)
    q = np.linspace(0.0, 3.4, 100)
    formula = np.asarray(zunger_form(jnp.asarray(q), jnp.asarray(bundle.coefficients[:, :4])))
    features = np.asarray(model.features(jnp.asarray(q)))
    weights = np.linalg.lstsq(features, formula, rcond=None)[0]
    for columns, told in (([1, 0], True), ([0, 1], False)):
        variables = {"params": {"linear_0": {"kernel": jnp.asarray(weights[:, columns])}}}
        state = to_state_dict(model, variables)
        given = without_bands(replace(bundle, model_state=state))
        assert ("init_PPmodel.pth" in found(interchanged_species, given)) == told
        assert start_of(given.plans[0]).model == model


def test_what_a_run_starts_from(tmp_path):
    network = "PPmodel = Net_celu_HeInit\nhiddenLayers = 3\nnSystem = 1\n"
    initial = (
        "init_Zunger_num_epochs = 5\ninit_Zunger_optimizer_lr = 1\n"
        "init_Zunger_scheduler_gamma = 1\ninit_Zunger_plotEvery = 5\n"
    )
    table = "# q v_S v_Zn\n0 -9 -8\n1 -7 -6\n2 0 1\n"
    bundles = [
        bundle_samples.read(tmp_path / str(i), **GOOD | changes)
        for i, changes in enumerate(
            (
                {"NN_config": network + initial},
                {"NN_config": network + initial, "init_qSpace_pot": table},
                {"NN_config": network, "init_ZnParams": None, "init_SParams": None},
            )
        )
    ]
    of_formula, of_table, nothing = (start_of(plan_of(bundle)) for bundle in bundles)
    assert nothing is None
    assert np.array_equal(of_formula.local, bundles[0].coefficients[:, :4])
    assert isinstance(of_table.model, Table)
    v = of_table.model.apply(of_table.local, np.array([0.5, 3.0]))
    assert np.asarray(v).tolist() == [[-8, -7], [0, 1]]


def test_times_grow_with_what_is_done(tmp_path):
    plans = {
        config: plan_of(examined(tmp_path / str(i), NN_config=ZUNGER + config).bundle)
        for i, config in enumerate(("", FIT, FIT.replace("epochs = 2", "epochs = 200")))
    }
    evaluation, short, long = (seconds_of([plan], 0.01) for plan in plans.values())
    assert evaluation == pytest.approx(2 * 2 * 0.01)
    assert evaluation < short < long and long / 100 < short
    assert [time_in_words(x) for x in (0.1, 42, 130, 2e4, 3e6)] == [
        "1 seconds", "40 seconds", "2 minutes", "6 hours", "30 days",
    ]  # fmt: skip


def test_problems_of_reading_and_of_building_are_told(tmp_path):
    misspelled = bundle_samples.write(tmp_path / "a", NN_config=ZUNGER + "plotEvry = 2\n")
    examination = examine(misspelled)
    assert examination.is_refused and "plotEvery" in examination.remarks[0].message
    tiny = bundle_samples.write(tmp_path / "b", **GOOD | {"input_0": "nBands = 4\nmaxKE = 0.01\n"})
    examination = examine(tiny)
    assert examination.is_refused and "plane waves" in examination.remarks[0].message
    assert examine(tmp_path / "absent").is_refused


def test_the_installation():
    facts = installation()
    assert facts["precision"] == "float64" and "x cpu" in facts["devices"]
    assert {"deeppseudopot-jax", "JAX", "BLAS", "movies", "compile cache"} <= set(facts)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    listed = {
        extra: tuple(name.split(">=")[0] for name in names)
        for extra, names in project["optional-dependencies"].items()
        if extra not in ("dev", "docs")
    }
    assert listed == EXTRAS


def test_output_in_a_pipe_is_plain_text(capsys):
    remarks = (
        Remark("zero of energy", "warning", "it [bold]lies[/bold] elsewhere", "shift it"),
        Remark("idle", "note", "nothing acts."),
    )
    examination = Examination(Path("inputs"), {"model": "Net_relu"}, remarks)
    show({"Python": "3"}, examination, Console(width=70, highlight=False))
    text = capsys.readouterr().out
    assert "\x1b" not in text and "[bold]lies[/bold]" in text
    assert "warning: zero of energy: it" in text and "To do: shift it." in " ".join(text.split())
    assert "note: idle: nothing acts.\n" in text
    assert summary(examination) == "1 warning, 1 note: a run would start"
    refused = Examination(Path("x"), {}, (Remark("inputs", "problem", "no"),))
    assert summary(refused) == "1 problem: a run would refuse this bundle"


def test_the_command(small, tmp_path):
    runner = CliRunner()
    alone = runner.invoke(app, ["doctor"])
    assert alone.exit_code == 0 and "deeppseudopot-jax" in alone.output
    done = runner.invoke(app, ["doctor", str(small), "--json"])
    assert done.exit_code == 0, done.output
    told = json.loads(done.output)
    assert told["bundle"]["refused"] is False and told["installation"]["precision"] == "float64"
    bad = bundle_samples.write(tmp_path / "bad", system_0="nothing")
    refused = runner.invoke(app, ["doctor", str(bad)])
    assert refused.exit_code == 1 and "problem: inputs: system_0.par" in refused.output
    assert "Example:" in runner.invoke(app, ["doctor", "--help"]).output


MEANT = {"gallery/III-V": ["weights of systems"]}
"""Undeformed compounds count more than their deformed cells."""


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    "name",
    sorted(
        str(path.parent.relative_to(ROOT / "configs"))
        for path in (ROOT / "configs").rglob("NN_config.par")
    ),
)
def test_no_warning_for_the_bundles_of_this_project(name):
    examination = examine(ROOT / "configs" / name)
    found = [r.name for r in examination.remarks if r.severity != "note"]
    assert found == MEANT.get(name, [])


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    ("name", "config", "warned"),
    [
        ("ingaasp_nn", "", ["cut multiplet"]),  # bands 14 to 17 of GaP at X
        ("cspbi3_soc", "", []),
        ("cdse_zunger", ZUNGER + FIT, []),
        ("cspbi3_montecarlo", ZUNGER + "SObool = 1\n" + FIT, ["unknown levels"]),
    ],
)
def test_real_bundles(shared, tmp_path, name, config, warned):
    folder = tmp_path / name
    shutil.copytree(shared / "bundles" / name, folder)
    if config:
        (folder / "NN_config.par").write_text(config)
    for path in [*folder.glob("??Params.par"), *folder.glob("IParams.par")]:
        path.rename(folder / f"init_{path.name}")
    examination = examine(folder)
    assert [r.name for r in examination.remarks if r.severity == "warning"] == warned
    assert not examination.is_refused
