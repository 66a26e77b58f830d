"""From bands of another program to a bundle: which levels, which zero, exactly those numbers."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from deeppseudopot_jax.errors import InputError, ResultsError
from deeppseudopot_jax.files.bundle import read_bundle
from deeppseudopot_jax.run import workflows
from deeppseudopot_jax.toolkit.convert import ConversionOptions, SourceBands, write_bundle
from deeppseudopot_jax.toolkit.convert.conversion import converted
from deeppseudopot_jax.types import Crystal

FCC = 5.0 * np.array([[0.0, 1.0, 1.0], [1.0, 0.0, 1.0], [1.0, 1.0, 0.0]])
CRYSTAL = Crystal(FCC, np.array([[0.0] * 3, [0.25] * 3]), ("Ga", "As"))
L, X = np.array([0.5, 0.5, 0.5]), np.array([0.5, 0.0, 0.5])
K_POINTS = np.array(
    [t * L for t in np.linspace(1, 0, 5)] + [t * X for t in np.linspace(0, 1, 5)][1:]
)
LABELS = ("L", "", "", "", "Γ", "", "", "", "X")


def source(**changes) -> SourceBands:
    """Eight levels of GaAs without spin-orbit; valence top 2 eV and conduction 3 eV at Gamma."""
    bend = np.abs(np.arange(9) - 4)[:, None] / 4.0
    at_gamma = np.array([-10.0, -1.0, 1.5, 2.0, 3.0, 6.0, 7.0, 8.0])
    levels = at_gamma + 0.3 * bend * np.array([1, -1, -1, -1, 1, 1, 1, 1])
    made = SourceBands("a program 1.0", CRYSTAL, K_POINTS, LABELS, levels, False, False, 8.0)
    return replace(made, **changes)


def spinors(**changes) -> SourceBands:
    """The same with every level as a pair of spinors."""
    doubled = np.repeat(source().energies, 2, axis=1)
    return source(**({"energies": doubled, "is_spinor": True, "has_spin_orbit": True} | changes))


def bands(options: ConversionOptions, given: SourceBands | None = None) -> np.ndarray:
    return converted(given or source(), options).energies


AS_THEY_ARE = ConversionOptions(shift=0.0)


@pytest.mark.parametrize("made", [source, spinors])
def test_numbers_are_written_to_the_last_printed_digit(made, tmp_path):
    rng = np.random.default_rng(0)
    given = made(energies=np.sort(rng.normal(size=(9, 8)), axis=1))
    given = replace(given, energies=np.repeat(given.energies, 1 + given.is_spinor, axis=1))
    write_bundle(given, tmp_path / "b", AS_THEY_ARE)
    (system,) = read_bundle(tmp_path / "b").systems
    doubled = given.energies if given.is_spinor else np.repeat(given.energies, 2, axis=1)
    assert_array_equal(system.reference_energies, np.round(doubled, 6))
    assert_array_equal(system.k_points, np.round(K_POINTS, 8))
    assert_array_equal(system.crystal.lattice, FCC)
    again = replace(given, k_points=system.k_points, energies=system.reference_energies)
    again = replace(again, energies=again.energies[:, :: given.states_per_level])
    write_bundle(again, tmp_path / "again", AS_THEY_ARE)
    for file in (tmp_path / "b").iterdir():
        assert (tmp_path / "again" / file.name).read_text() == file.read_text(), file.name


def test_a_bundle_is_complete_and_says_where_it_comes_from(tmp_path):
    told = write_bundle(spinors(), tmp_path, ConversionOptions())
    bundle = read_bundle(tmp_path)
    (system,) = bundle.systems
    assert (system.n_bands, system.valence_band, system.conduction_band) == (16, 7, 8)
    assert system.gap_k_point == 4 and system.name == "GaAs"
    assert system.reference_energies[4, 7] == -5.5
    assert system.k_weights.tolist() == [3, 1, 1, 1, 3, 1, 1, 1, 3]
    assert system.band_weights.tolist() == [0.5] * 2 + [1] * 8 + [0.5] * 2 + [0.2] * 2 + [0.1] * 2
    settings = bundle.settings
    assert settings.spin_orbit and settings.train_spin_orbit and settings.train_nonlocal
    assert bundle.coefficients[:, 5].tolist() == [0.6, 0.6]
    for where in (told, (tmp_path / "README.md").read_text()):
        assert "a program 1.0" in where and "moved by -7.5" in where and "direct" in where
    assert "# -7.5" not in told and "Γ" in (tmp_path / "kpoints_0.par").read_text()
    write_bundle(source(), tmp_path, ConversionOptions(), overwrite=True)
    without = read_bundle(tmp_path)
    assert not without.settings.spin_orbit and without.systems[0].n_bands == 16
    assert not [note for note in without.notes if "absent" in note or "path lengths" in note]


def test_nothing_is_overwritten_unasked(tmp_path):
    (tmp_path / "input_0.par").write_text("mine")
    with pytest.raises(ResultsError, match=r"input_0.par: .*--overwrite"):
        write_bundle(source(), tmp_path, ConversionOptions())
    assert [file.name for file in tmp_path.iterdir()] == ["input_0.par"]
    write_bundle(source(), tmp_path, ConversionOptions(), overwrite=True)
    with pytest.raises(ResultsError) as caught:
        write_bundle(source(), tmp_path, ConversionOptions())
    assert all(file.name in str(caught.value) for file in tmp_path.iterdir())
    with pytest.raises(ResultsError, match="no folder"):
        write_bundle(source(), tmp_path / "input_0.par", ConversionOptions(), overwrite=True)


def test_columns_count_with_spin_and_edges_follow_what_is_dropped(tmp_path):
    with_semicore = spinors(n_electrons=10.0)
    semicore = np.full((9, 2), -20.0)
    with_semicore = replace(with_semicore, energies=np.hstack([semicore, with_semicore.energies]))
    made = converted(with_semicore, ConversionOptions(drop_lowest=2, bands=12, shift=0.0))
    assert_array_equal(made.energies, spinors().energies[:, :12])
    assert made.edges.valence_band == 7 and not made.to_check
    kept = converted(with_semicore, AS_THEY_ARE)
    assert kept.edges.valence_band == 9 and "--drop-lowest 2" in kept.to_check[0]
    undoubled = source(n_electrons=10.0, energies=np.hstack([semicore[:, :1], source().energies]))
    made = converted(undoubled, ConversionOptions(drop_lowest=1, bands=6, shift=0.0))
    assert_array_equal(made.energies, np.repeat(source().energies[:, :6], 2, axis=1))
    assert made.edges.valence_band == 7


def test_levels_between_others_can_be_dropped():
    """As the 3d levels of ZnSe, between the s band and the p bands."""
    bare = source().energies
    d_levels = np.full((9, 2), -6.0)
    with_d = source(n_electrons=12.0, energies=np.hstack([bare[:, :1], d_levels, bare[:, 1:]]))
    made = converted(with_d, ConversionOptions(drop=(1, 3), bands=6, shift=0.0))
    assert_array_equal(made.energies, np.repeat(bare[:, :6], 2, axis=1))
    assert made.edges.valence_band == 7 and not made.to_check
    assert made.done[0].startswith("levels 0, 3 to 7 (from 0)")
    (told, _) = converted(with_d, ConversionOptions(drop=(1, 2), shift=0.0)).to_check
    assert "between the levels 1 and 2 at 9 k-points" in told


def test_missing_levels_are_columns_of_zeros_without_weight(tmp_path):
    upper = source(energies=source().energies[:, 2:], first_band=2)
    made = converted(upper, ConversionOptions(drop_lowest=1, shift=0.0))
    assert made.n_missing == 2 and made.energies.shape == (9, 14)
    assert_array_equal(made.energies[:, :2], 0.0)
    assert_array_equal(made.energies[:, 2:], np.repeat(upper.energies, 2, axis=1))
    assert made.edges.valence_band == 5  # 8 electrons, 2 of them dropped
    same = replace(upper, first_band=0)
    asked = converted(same, ConversionOptions(drop_lowest=1, missing_lowest=2, shift=0.0))
    assert_array_equal(asked.energies, made.energies)
    write_bundle(upper, tmp_path, ConversionOptions())
    (system,) = read_bundle(tmp_path).systems
    assert system.band_weights[:4].tolist() == [0.0] * 4 and system.band_weights[4] == 1.0
    assert system.valence_band == 7 and system.reference_energies[4, 7] == -5.5
    with pytest.raises(InputError, match="the file itself says that 2"):
        converted(upper, ConversionOptions(missing_lowest=1))


@pytest.mark.parametrize(
    ("options", "change"),
    [
        (ConversionOptions(shift=1.5), lambda e: e + 1.5),
        (ConversionOptions(valence_top=0.0), lambda e: e - 2.0),
        (ConversionOptions(), lambda e: e - 7.5),
        (ConversionOptions(shift=0.0, scissor=0.5), lambda e: e + 0.5 * (e > 2.5)),
        (ConversionOptions(0, None, None, 1, 0.5, 6.5, None, 0.0), lambda e: e + 0.5 * (e > 6.5)),
        (ConversionOptions(valence_top=0.0, scissor=0.5), lambda e: e + 0.5 * (e > 2.5) - 2.0),
    ],
)  # fmt: skip
def test_energies_are_changed_as_asked(options, change):
    assert_allclose(bands(options), np.repeat(change(source().energies), 2, axis=1), atol=1e-14)


def test_a_scissor_needs_no_electrons_where_it_begins_at_an_energy():
    unknown = source(n_electrons=None)
    made = converted(unknown, ConversionOptions(scissor=0.5, scissor_above=2.5))
    raised = unknown.energies + 0.5 * (unknown.energies > 2.5)
    assert_array_equal(made.energies, np.repeat(raised, 2, axis=1))
    assert made.done[-1] == "the zero of energy is that of the source"


def test_every_nth_k_point_keeps_the_ends_of_straight_pieces():
    rows = converted(source(), ConversionOptions(every=3)).rows
    assert rows.tolist() == [0, 3, 4, 5, 8]
    assert converted(source(), ConversionOptions(every=2)).rows.tolist() == [0, 2, 4, 5, 7, 8]
    on_mesh = source(mesh_weights=np.ones(9))
    assert converted(on_mesh, ConversionOptions(every=2)).rows.tolist() == [0, 2, 4, 6, 8]


def test_a_mesh_keeps_its_weights(tmp_path):
    weights = np.array([1.0, 2.0, 3.0, 2.0, 1.0, 3.0, 2.0, 3.0, 1.0])
    told = write_bundle(source(mesh_weights=weights), tmp_path, ConversionOptions())
    (system,) = read_bundle(tmp_path).systems
    assert_allclose(system.k_weights, weights / 2.0)
    assert system.path_length.tolist() == list(range(9)) and "mesh" in told


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bands": 9}, "--bands 9: legal are 1 to 8"),
        ({"drop_lowest": 8}, "--drop-lowest 8: the source has the levels 0 to 7"),
        ({"drop_lowest": 6, "bands": 3}, "--bands 3: legal are 1 to 2"),
        ({"drop_lowest": 3, "drop": (2, 4)}, "--drop 2:4: legal are FIRST:END with FIRST from 3"),
        ({"drop": (4, 9)}, "--drop 4:9: the source has the levels 0 to 7"),
        ({"drop_lowest": -1}, "--drop-lowest -1: legal are"),
        ({"shift": np.nan}, "--shift nan: legal are at most 100000 eV"),
        ({"scissor": np.inf}, "--scissor inf: legal are"),
        ({"every": 0}, "--every 0: legal are whole numbers from 1"),
        ({"shift": 1.0, "valence_top": 0.0}, "give one"),
        ({"scissor_above": 1.0}, "give both"),
        ({"scissor": -2.0}, "makes levels cross"),
    ],
)
def test_what_cannot_be_is_refused(options, message):
    with pytest.raises(InputError, match=message):
        converted(source(), ConversionOptions(**options))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"energies": source().energies * 1e6}, r"levels \(eV\): found -"),
        ({"k_points": K_POINTS * np.nan}, "k-points .*found nan"),
        ({"n_electrons": 1e20}, r"bands\.out: electrons: found 1e\+20"),
        ({"mesh_weights": np.zeros(9)}, "their sum: found 0"),
        ({"mesh_weights": -np.ones(9)}, "weights of k-points: found -1"),
        ({"crystal": replace(CRYSTAL, lattice=FCC * 1e-3)}, "the crystal: bad length"),
        ({"crystal": replace(CRYSTAL, lattice=FCC * np.nan)}, "the crystal: not a number"),
        ({"crystal": replace(CRYSTAL, fractional_positions=np.zeros((2, 3)))}, "too close"),
    ],
)
def test_numbers_that_no_bundle_can_hold_are_refused(changes, message, tmp_path):
    with pytest.raises(InputError, match=message):
        write_bundle(source(file="bands.out", **changes), tmp_path / "new", ConversionOptions())
    assert not (tmp_path / "new").exists()


def test_doubled_tables_are_told_from_undoubled_ones():
    with pytest.raises(InputError, match="doubled for spin already"):
        converted(replace(spinors(), is_spinor=False), ConversionOptions())
    with pytest.raises(InputError, match="no pairs"):
        converted(replace(source(), is_spinor=True), ConversionOptions())
    split = spinors()
    between = np.array([label == "" for label in LABELS])
    split = replace(split, energies=split.energies + 0.05 * between[:, None] * (np.arange(16) % 2))
    assert_array_equal(bands(AS_THEY_ARE, split), split.energies)
    on_faces = spinors(k_points=np.tile(X, (9, 1)), labels=("",) * 9)
    assert bands(AS_THEY_ARE, replace(on_faces, is_spinor=False)).shape == (9, 32)


def test_a_window_that_cuts_a_multiplet_is_told():
    energies = source().energies.copy()
    energies[4, 2] = energies[4, 3] = 2.0
    touching = source(energies=energies)
    for options in (ConversionOptions(drop_lowest=3), ConversionOptions(bands=3)):
        (told,) = [x for x in converted(touching, options).to_check if "multiplet" in x]
        assert "1 k-points" in told and "[0.0, 0.0, 0.0]" in told


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"n_electrons": None}, "which bands are filled is not known"),
        ({"n_electrons": 7.0}, "no whole bands"),
        ({"n_electrons": 0.0}, "valence edge is not among"),
        ({"n_electrons": 16.0}, "no empty band"),
        ({"energies": source().energies + np.linspace(0, 4, 9)[:, None]}, "overlap by"),
    ],
)
def test_edges_that_are_not_known_are_left_out_and_told(changes, told, tmp_path):
    shown = write_bundle(source(**changes), tmp_path, ConversionOptions())
    (system,) = read_bundle(tmp_path).systems
    assert told in shown and system.conduction_band is None
    assert (system.valence_band is None) == (told != "no empty band")
    if system.valence_band is None:
        assert "zero of energy is that of the source" in shown
        with pytest.raises(InputError, match="--shift instead"):
            converted(source(**changes), ConversionOptions(valence_top=0.0))
        with pytest.raises(InputError, match="--scissor-above"):
            converted(source(**changes), ConversionOptions(scissor=0.1))


@pytest.mark.exhaustive
@pytest.mark.parametrize("made", [source, spinors])
def test_the_bundle_runs_as_it_is(made, tmp_path):
    write_bundle(made(), tmp_path / "bundle", ConversionOptions())
    workflows.run(tmp_path / "bundle", tmp_path / "results")
    assert (tmp_path / "results" / "final_PPmodel.pth").is_file()


def test_spinors_without_spin_orbit_are_columns_of_a_bundle_without_it(tmp_path):
    write_bundle(spinors(has_spin_orbit=False), tmp_path, AS_THEY_ARE)
    read = read_bundle(tmp_path)
    assert not read.settings.spin_orbit and read.systems[0].n_bands == 16
    assert (read.systems[0].valence_band, read.systems[0].conduction_band) == (7, 8)
