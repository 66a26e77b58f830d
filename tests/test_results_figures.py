"""Figures: what is drawn, where the energy zero lies, equal input gives equal files."""

import gc
import subprocess
import sys
import weakref

import numpy as np
import pytest

from deeppseudopot_jax.files.results.figures import (
    BandPlot,
    PotentialPlot,
    band_figure,
    cost_figure,
    potential_figure,
    save,
)
from deeppseudopot_jax.types import PlotRange

DRAWS = True

CUBIC = 2.0 * np.pi * np.eye(3)
K_POINTS = np.array(
    [[0.0, 0, 0], [0.1, 0, 0], [0.2, 0, 0], [0.5, 0.5, 0.5], [0.5, 0.5, 0.4], [0.5, 0.5, 0.3]]
)
REFERENCE = np.stack([np.linspace(-7.0, -6.0, 6), np.linspace(-4.0, -4.5, 6)], axis=1)


def plot(**changes) -> BandPlot:
    """A path with a jump before point 3; the valence-band maximum is -6 eV."""
    arguments = {
        "title": "sample",
        "k_points": K_POINTS,
        "lattice": CUBIC,
        "curves": {"fit": REFERENCE + 0.1},
        "reference": REFERENCE,
        "valence_band": 0,
        "plot_range": PlotRange(-5.0, 10.0, 4.0),
        **changes,
    }
    return BandPlot(**arguments)


def test_energies_count_from_the_valence_band_of_the_reference():
    sample = plot()
    assert sample.zero == -6.0
    assert "VBM" in sample.axis_label
    assert "ref" in sample.axis_label
    assert sample.window(zoom=False) == (-9.0, 11.0)
    assert sample.window(zoom=True) == (-3.0, 5.0)


def test_energies_count_from_the_centre_where_the_valence_band_is_unknown():
    sample = plot(valence_band=None)
    assert sample.zero == -5.0
    assert "relative to $-5$ eV" in sample.axis_label
    assert sample.window(zoom=True) == (-4.0, 4.0)


def test_without_a_reference_the_curve_gives_the_zero():
    sample = plot(reference=None)
    assert sample.zero == pytest.approx(-5.9)
    assert "ref" not in sample.axis_label
    assert sample.deviation("fit", zoom=False) is None


def test_a_centre_far_from_the_gap_is_not_followed():
    sample = plot(plot_range=PlotRange(20.0, 10.0, 4.0))
    assert sample.window(zoom=True) == (-4.0, 4.0)


def test_deviation_counts_what_is_fitted_and_shown():
    curve = REFERENCE + np.array([0.1, 0.3])
    sample = plot(curves={"fit": curve})
    assert sample.deviation("fit", zoom=False) == pytest.approx(np.sqrt(0.05))
    weights = np.ones((6, 1)) * np.array([1.0, 0.0])
    assert plot(curves={"fit": curve}, weights=weights).deviation("fit", False) == pytest.approx(
        0.1
    )
    narrow = plot(curves={"fit": curve}, plot_range=PlotRange(-6.0, 10.0, 1.2))
    assert narrow.deviation("fit", zoom=True) == pytest.approx(0.1)
    failed = plot(curves={"fit": np.full((6, 2), np.nan)})
    assert np.isnan(failed.deviation("fit", zoom=False))


def test_fillers_of_weight_zero_do_not_set_the_zero():
    reference = REFERENCE.copy()
    reference[0, 0] = 0.0
    weights = np.ones((6, 2))
    weights[0, 0] = 0.0
    assert plot(reference=reference, weights=weights).zero == -6.0


def test_band_figure_draws_points_and_interrupted_lines(tmp_path):
    figure = band_figure([plot(curves={"fit": REFERENCE + 0.1, "start": REFERENCE + 0.4})])
    overview, detail = figure.axes
    assert [label.get_text() for label in overview.get_xticklabels()] == ["Γ", "R"]
    assert overview.get_title("right") == "fit: RMSE 100 meV\nstart: RMSE 400 meV"
    assert overview.get_title("left") == "sample"
    assert overview.get_ylim() == (-9.0, 11.0)
    assert detail.get_ylim() == (-3.0, 5.0)
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == ["reference", "fit", "start"]
    interrupted = [line for line in overview.get_lines() if len(line.get_xdata()) == 7]
    assert len(interrupted) == 4
    for line in interrupted:
        assert np.flatnonzero(np.isnan(np.asarray(line.get_ydata(), float))).tolist() == [3]
    save(figure, tmp_path / "plot.png")


@pytest.mark.parametrize("n_systems", [1, 3, 5])
def test_two_panels_per_system(n_systems):
    figure = band_figure([plot()] * n_systems)
    assert sum(axes.axison for axes in figure.axes) == 2 * n_systems


@pytest.mark.parametrize(
    "changes",
    [
        {"curves": {}},
        {"curves": {}, "reference": None},
        {"reference": None},
        {"weights": np.zeros((6, 2))},
        {"curves": {"fit": np.full((6, 2), np.nan)}},
        {"k_points": np.zeros((6, 3))},
        {"k_points": K_POINTS + 0.123},
        {
            "k_points": np.zeros((1, 3)),
            "reference": REFERENCE[:1],
            "curves": {"fit": REFERENCE[:1]},
        },
    ],
)
def test_unusual_band_plots_can_be_drawn(tmp_path, changes):
    save(band_figure([plot(**changes)]), tmp_path / "plot.png")


Q, R = np.linspace(0.0, 20.0, 200), np.linspace(0.0, 25.0, 100)


def potential(label: str, pole: float = 0.0) -> PotentialPlot:
    v_q = np.outer(np.exp(-(Q**2)), [-30.0, 20.0])
    v_q[1:] += pole / Q[1:, None] ** 2
    return PotentialPlot(label, v_q, np.outer(np.exp(-(R**2)), [-1.0, 0.5]))


def test_potential_figure_shows_what_is_visible():
    figure = potential_figure(Q, R, ["As", "Ga"], [potential("fit"), potential("start")])
    left, right = figure.axes
    assert left.get_ylim()[0] < -30.0 < 20.0 < left.get_ylim()[1]
    assert 2.0 < left.get_xlim()[1] < 4.0
    assert 2.0 < right.get_xlim()[1] < 4.0
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == ["As", "Ga", "fit", "start"]
    colors = [line.get_color() for line in left.get_lines()[:4]]
    assert colors[0] == colors[2] != colors[1] == colors[3]


def test_a_pole_does_not_set_the_scale():
    figure = potential_figure(Q, R, ["As", "Ga"], [potential("fit", pole=1.0)])
    assert figure.axes[0].get_ylim()[1] < 50.0


def test_potentials_of_zero_can_be_drawn(tmp_path):
    nothing = PotentialPlot("fit", np.zeros((200, 1)), np.full((100, 1), np.nan))
    save(potential_figure(Q, R, ["Si"], [nothing]), tmp_path / "plot.png")


@pytest.mark.parametrize(
    ("costs", "scale"),
    [
        ([100.0, 1.0], "log"),
        ([100.0, 90.0], "linear"),
        ([100.0, 0.0], "linear"),
        ([100.0, np.nan], "linear"),
        ([np.nan], "linear"),
        ([5.0], "linear"),
    ],
)
def test_cost_scale(tmp_path, costs, scale):
    rows = np.column_stack([np.arange(float(len(costs))), costs])
    figure = cost_figure({"training": rows, "validation": np.zeros((0, 2))})
    assert figure.axes[0].get_yscale() == scale
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["training"]
    save(figure, tmp_path / "cost.png")


def test_a_cost_without_rows_can_be_drawn(tmp_path):
    save(cost_figure({}), tmp_path / "cost.pdf")


@pytest.mark.parametrize("suffix", ["pdf", "png"])
def test_equal_figures_give_equal_files(tmp_path, suffix):
    for name in "ab":
        save(cost_figure({"training": np.ones((2, 2))}), tmp_path / f"{name}.{suffix}")
    first, second = ((tmp_path / f"{name}.{suffix}").read_bytes() for name in "ab")
    assert first == second
    assert b"CreationDate" not in first


def test_figures_vanish_with_their_last_reference():
    figure = band_figure([plot()])
    watched = weakref.ref(figure)
    del figure
    gc.collect()
    assert watched() is None


def test_neither_pyplot_nor_a_display_is_needed():
    program = (
        "import sys, deeppseudopot_jax.files.results.figures; "
        "sys.exit('matplotlib.pyplot' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
