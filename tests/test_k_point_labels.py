"""Names of k-points in the comments of kpoints_X.par, and where figures show them."""

import numpy as np
import pytest
from bundle_samples import read

from deeppseudopot_jax.files.bundle.k_points import label_of
from deeppseudopot_jax.files.bundle.writing import k_points_text
from deeppseudopot_jax.files.results.figures.bands import band_figure
from deeppseudopot_jax.files.results.figures.residuals import residual_figure
from deeppseudopot_jax.k_path import k_path
from deeppseudopot_jax.run.outputs import band_plot

CUBIC = 2.0 * np.pi * np.eye(3)
K_POINTS = np.array(
    [[0.0, 0, 0], [0.25, 0, 0], [0.5, 0, 0], [0.5, 0.5, 0.5], [0.5, 0.4, 0.4], [0.5, 0.3, 0.3]]
)


@pytest.mark.parametrize("word", ["G", "gG", "GAMMA", "Gamma", r"\Gamma", "Γ", "0.000 G", "G 0.0"])
def test_the_centre_of_the_zone_has_many_names(word):
    assert label_of(word) == "Γ"


@pytest.mark.parametrize("word", ["X", "X|K", "DELTA_0", "K1", "M'", "H_2|H"])
def test_one_word_beside_numbers_is_a_name(word):
    assert label_of(word) == label_of(f"0.589  {word}") == label_of(f"{word} 2 1e-3") == word
    assert label_of(f"G|{word}") == f"Γ|{word}"


@pytest.mark.parametrize(
    "comment",
    ["", "0.5", "Gamma counts three times", "X W", "weight=3", "->", "$X$", "X|", "50%", "path:",
     "doubtful_and_unweighted"],
)  # fmt: skip
def test_all_else_is_none(comment):
    assert label_of(comment) == ""


@pytest.mark.parametrize(
    ("rows", "labels"),
    [
        ("0 0 0 1 # 0.00 G\n# X\n0.5 0.5 0.5 2#L\n", ("Γ", "L")),
        ("0 0 0 1\n0.5 0.5 0.5 2 # L # the corner\n", ()),
        ("0 0 0 1 # this is where the gap is\n0.5 0.5 0.5 2\n", ()),
        ("0 0 0 1\n0.5 0.5 0.5 2 # somewhere\n", ("", "somewhere")),
        ("0 0 0 1 # GAMMA\n0.5 0.5 0.5 2 # G\n", ("Γ", "G")),  # as seekpath names points
    ],
)
def test_a_bundle_has_them(rows, labels, tmp_path):
    (system,) = read(tmp_path, kpoints_0=rows).systems
    assert system.labels == labels
    np.testing.assert_array_equal(system.k_points, [[0, 0, 0], [0.5, 0.5, 0.5]])


def test_what_commands_write_is_read_as_it_was(tmp_path):
    labels = ("G", "DELTA_0")
    k_points = np.array([[0.0, 0.0, 0.0], [0.25, 0.0, 0.25]])
    text = k_points_text(k_points, np.ones(2), np.array([0.0, 0.4]), labels, "path GX")
    (system,) = read(tmp_path, kpoints_0=text).systems
    assert system.labels == ("Γ", "DELTA_0")


def test_names_of_the_file_win_and_others_stay():
    names = ["", "S", "", "", "R2", ""]
    path = k_path(K_POINTS, CUBIC, names)
    # X is the symmetry point before the jump, R the one behind it.
    assert [name for _, name in path.ticks] == ["Γ", "S", "X|R", "R2"]
    unnamed = k_path(K_POINTS, CUBIC)
    assert [name for _, name in unnamed.ticks] == ["Γ", "X|R"]
    assert path.position.tolist() == unnamed.position.tolist()
    assert path.breaks.tolist() == unnamed.breaks.tolist() == [3]


def test_both_sides_of_a_jump_may_have_both_names():
    names = ["", "", "Z|U", "U", "", ""]
    assert [name for _, name in k_path(K_POINTS, CUBIC, names).ticks] == ["Γ", "Z|U"]


def test_figures_show_them(tmp_path):
    rows = "0 0 0 1 # A'\n0.5 0.5 0.5 2 # B\n"
    (system,) = read(tmp_path, kpoints_0=rows).systems
    plot = band_plot(system, {"fit": system.reference_energies + 0.1})
    for figure in (band_figure([plot]), residual_figure(plot)):
        for axes in figure.axes:
            assert [tick.get_text() for tick in axes.get_xticklabels()] == ["A'", "B"]
