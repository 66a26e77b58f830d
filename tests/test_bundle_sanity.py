"""Input files that read well and make no sense: atoms in each other, lost signs, other k-points."""

import itertools

import numpy as np
import pytest
from bundle_samples import GOOD, problems, write

from deeppseudopot_jax.files.bundle import read_bundle
from deeppseudopot_jax.files.bundle.overlap import (
    SMALLEST_DISTANCE,
    overlapping,
    too_crowded,
    too_thin,
)

CONFIG, INPUT, SYSTEM = GOOD["NN_config.par"], GOOD["input_0.par"], GOOD["system_0.par"]


FIT = (
    "max_num_epochs = 1\noptimizer_lr = 1\nplotEvery = 1\nschedulerStep = 1\nscheduler_gamma = 1\n"
)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("S 0.25 0.25 0.25", "S 0 0 0", ":10: the atom is too close to that of line 9"),
        ("S 0.25 0.25 0.25", "S 0 1 0", ":10: the atom is too close to that of line 9; found '0.0"),
        ("S 0.25 0.25 0.25", "S 0.25 0.25 0.25\nS 0.25 0.25 0.25", ":11: the atom is too close"),
        ("S 0.25 0.25 0.25", "S -0.03 1.03 0", ":10: the atom is too close to that of line 9"),
        ("S 0.25 0.25 0.25", "S 0.25 0.25 1e20", ":10: bad position; found '0.25 0.25 1e20'"),
        ("scale = 10.0", "scale = 0.01", ":4: bad length of a lattice vector; found '0.00707"),
        (
            "scale = 10.0",
            "scale = 1e20",
            ":4: bad length of a lattice vector; found '7.07107e+19",
        ),
        ("0.5 0.5 0.0", "1e30 1e30 0", ":6: bad length of a lattice vector; found '1.41421e+31"),
        ("0.5 0.5 0.0", "0.5 0.0001 0.5", ":4: the cell has no volume"),
        ("scale = 10.0", "scale = 0.71", ":9: the atoms are too close; found '2 atoms in 0.0895"),
        (
            "scale = 10.0",
            "scale = 1.0",
            ":10: the atom is too close to that of line 9; found '0.4",
        ),
    ],
)
def test_a_crystal_that_cannot_be(tmp_path, old, new, message):
    found = problems(tmp_path, system_0=SYSTEM.replace(old, new))
    assert found[0].startswith("system_0.par" + message)


def test_atoms_may_be_close_by_half_a_bohr(tmp_path):
    for x, good in ((0.0707, False), (0.0708, True)):  # of 7.07 Bohr, along a lattice vector
        atom = f"S {x} 1 0"
        found = problems(tmp_path / str(x), system_0=SYSTEM.replace("S 0.25 0.25 0.25", atom))
        assert (found == []) == good


def test_overlaps_are_those_of_a_literal_search():
    """Random triclinic cells, some thinner than the distance, against all images within six."""
    rng = np.random.default_rng(0)
    shifts = np.array(list(itertools.product(range(-6, 7), repeat=3)))
    counts = []
    for _ in range(60):
        lattice = rng.normal(size=(3, 3)) * 1.2
        positions = rng.uniform(-1.0, 2.0, size=(4, 3))
        if too_crowded(lattice, 4) or too_thin(lattice):
            continue
        vectors = (positions[:, None, None] - positions - shifts[:, None]) @ lattice
        distances = np.linalg.norm(vectors, axis=-1)  # (later, shift, earlier)
        distances[np.arange(4), len(shifts) // 2, np.arange(4)] = np.inf
        nearest = distances.min(axis=1)
        expected = {i for i in range(4) if nearest[i, : i + 1].min() < SMALLEST_DISTANCE}
        found = overlapping(lattice, positions)
        assert set(found) == expected
        for later, (_, distance) in found.items():
            assert distance == pytest.approx(nearest[later, : later + 1].min(), abs=1e-12)
        counts.append(len(expected))
    assert min(counts) == 0 and max(counts) > 1


@pytest.mark.parametrize("file", ["kpoints_0", "qpoints_0"])
def test_k_points_far_outside(tmp_path, file):
    rows = "0 0 0 1\n0.5 1e24 0.5 2\n"
    assert problems(tmp_path, **{file: rows})[0] == (
        f"{file}.par:2: bad k-point; found '0.5 1e+24 0.5'; "
        "legal: -4 to 4, in units of the reciprocal lattice vectors"
    )


LINE = {
    "kpoints_0": "".join(f"{k / 8} {k / 8} {k / 8} 1\n" for k in range(5)),
    "input_0": INPUT.replace("idxGap = 0\n", ""),
}
LENGTHS = [0.0, 0.136035, 0.27207, 0.408105, 0.544140]  # Bohr^-1


def rows_of(lengths: list[float], energies: str = "-1 0 2 3") -> str:
    return "".join(f"{length:.6f} {energies}\n" for length in lengths)


def test_energies_ascend_unless_a_matrix_orders_them(tmp_path):
    lost_sign = {"expBandStruct_0": "0.0 -1 0 2 3\n0.5 2 -1 3 4\n"}
    message = (
        "expBandStruct_0.par:2: the energy of band 1 (from 0) is below that of band 0; "
        "found '2 -1'; legal: ascending energies, kpoints_0_orderMatrix.par, or bands "
        "that are followed (smooth_reorder = 1, eigvec_reorder = 1)"
    )
    assert problems(tmp_path / "a", **lost_sign) == [message]
    assert problems(tmp_path / "b", kpoints_0_orderMatrix="0 1 2 3\n1 0 2 3\n", **lost_sign) == []
    assert problems(tmp_path / "c", bandWeights_0="0 1 1 1", **lost_sign) == []
    equal = "0.0 -1 -1.0004 2 2\n0.5 -2 -1 3 3\n"
    assert problems(tmp_path / "d", expBandStruct_0=equal) == []
    unknown = "0.0 0 -3 2 2\n0.5 0 -1 3 3\n"  # nobody knows the lowest level
    assert problems(tmp_path / "e", expBandStruct_0=unknown) == []


def test_path_lengths_that_run_backwards(tmp_path):
    swapped = [*LENGTHS[:2], LENGTHS[3], LENGTHS[2], LENGTHS[4]]
    (problem,) = problems(
        tmp_path / "a", NN_config=CONFIG + FIT, expBandStruct_0=rows_of(swapped), **LINE
    )
    assert problem.startswith(
        "expBandStruct_0.par:4: the path length runs backwards between k-points on a straight line;"
        " found '0.27207 after 0.408105 and 0.136035'"
    )
    descending = rows_of([1.0 - length for length in LENGTHS])
    assert problems(tmp_path / "b", expBandStruct_0=descending, **LINE) == []


@pytest.mark.parametrize("unit", [1.0, 1.0 / 0.529177, 10.0 / (2.0 * np.pi)])
def test_references_of_other_k_points_are_not_compared(tmp_path, unit):
    lengths = rows_of([unit * length for length in LENGTHS])
    folder = write(tmp_path, NN_config=CONFIG + FIT, expBandStruct_0=lengths, **LINE)
    assert read_bundle(folder).notes == ()
    assert read_bundle(folder, purpose="eval").systems[0].reference_energies is not None
    for other in ("{0} {0} 0 1\n", "{1} {1} {1} 1\n", "0.25 {1} 0.1 1\n"):
        points = "".join(other.format(k / 8, k / 9) for k in range(5))
        (folder / "kpoints_0.par").write_text(points)
        told = (
            "expBandStruct_0.par: its path lengths are not those of the k-points (first in line 2)"
        )
        assert read_bundle(folder).notes == (
            f"{told}; bands are fitted to it row by row all the same.",
        )
        left = read_bundle(folder, purpose="eval")
        assert left.systems[0].reference_energies is None
        assert f"{told}: the bands are not compared with it." in left.notes


def test_one_row_says_nothing_of_k_points(tmp_path):
    single = {"kpoints_0": "0.1 0.2 0.3 1\n", "expBandStruct_0": "0.7 -1 0 2 3\n"}
    bundle = read_bundle(write(tmp_path, **single))
    assert bundle.systems[0].reference_energies is not None and bundle.notes == ()


def test_numbered_rows_and_lengths_of_k_belong_to_all_and_to_their_k_points(tmp_path):
    for name, lengths in (("numbers", [0, 1, 2, 3, 4]), ("k", LENGTHS), ("none", [0.0] * 5)):
        folder = write(tmp_path / name, expBandStruct_0=rows_of(lengths), **LINE)
        assert read_bundle(folder).systems[0].reference_energies is not None


@pytest.mark.parametrize(
    ("files", "names"),
    [
        ({"bandWeights_0": "0 0 0 0"}, ["bandWeights_0.par"]),
        ({"kpoints_0": "0 0 0 0\n0.5 0.5 0.5 0\n"}, ["kpoints_0.par"]),
        (
            {"bandWeights_0": "0 0 0 0", "kpoints_0": "0 0 0 0\n0.5 0.5 0.5 0\n"},
            ["kpoints_0.par", "bandWeights_0.par"],
        ),
    ],
)
def test_a_fit_of_nothing(tmp_path, files, names):
    found = problems(tmp_path / "fit", NN_config=CONFIG + FIT, **files)
    assert [problem.split(":")[0] for problem in found] == names
    assert "every weight is 0, so there is nothing to fit" in found[0]
    assert problems(tmp_path / "no fit", **files) == []
    masses = {"input_0": INPUT.replace("idxGap = 0", "idxGap = 1") + "fit_eff_masses = 1\n"}
    assert problems(tmp_path / "masses", NN_config=CONFIG + FIT, **files, **masses) == []
