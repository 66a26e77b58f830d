"""The figures of reports: residuals by band, and SVG that shares a page with others."""

import re
from xml.etree import ElementTree

import numpy as np
import pytest
from test_results_figures import REFERENCE, plot

from deeppseudopot_jax.files.results.figures import (
    PotentialPlot,
    band_error_figure,
    band_panel,
    form_factor_panel,
    inline_svg,
    real_space_panel,
    residual_figure,
)

DRAWS = True

SHIFT = np.array([0.1, -0.2])
HELD_OUT = np.zeros((6, 2))
HELD_OUT[2] = 1.0
FITTED = 1.0 - HELD_OUT


def sample():
    """Both bands are off by a constant; the third k-point is held out, the last one unknown."""
    reference = REFERENCE.copy()
    reference[5] = np.nan
    curves = {"fit": REFERENCE + SHIFT, "initial": REFERENCE - 0.5}
    return plot(reference=reference, curves=curves, weights=FITTED, held_out_weights=HELD_OUT)


def labels(figure):
    (legend,) = figure.legends
    return [text.get_text() for text in legend.get_texts()]


def test_residuals_are_those_of_the_first_curve():
    figure = residual_figure(sample())
    axes = figure.axes[0]
    lines = [np.asarray(line.get_ydata(), float) for line in axes.get_lines()]
    for band, shift in enumerate(SHIFT):
        found = [line for line in lines if np.nanmax(np.abs(line - 1000.0 * shift)) < 1e-9]
        # One line along the path, interrupted at its jump and where nothing is known; marks.
        assert sorted(int(np.isfinite(line).sum()) for line in found) == [1, 5], band
        along = max(found, key=len)
        assert np.flatnonzero(np.isnan(along)).tolist() == [3, 6]
    assert labels(figure) == ["valence", "conduction", "held out"]


def test_errors_of_bands_tell_fitted_and_held_out_levels_apart():
    figure = band_error_figure(sample())
    found = {line.get_label(): line.get_ydata() for line in figure.axes[0].get_lines()}
    for name, expected in (("fit", [100.0, 200.0]), ("initial", [500.0, 500.0])):
        for suffix in ("", ", held out"):
            np.testing.assert_allclose(found[name + suffix], expected)
    assert labels(figure) == ["fit", "fit, held out", "initial", "initial, held out"]


def test_panels_are_those_of_the_whole_figures():
    for zoom in (True, False):
        assert band_panel(sample(), zoom).axes[0].get_ylim() == sample().window(zoom)
    x = np.linspace(0.0, 5.0, 30)
    v = -np.exp(-(x**2))[:, None]
    plots = [PotentialPlot("fit", v, 2.0 * v, (0.1 * np.ones_like(v), 0.2 * np.ones_like(v)))]
    for panel, factor in ((form_factor_panel, 1.0), (real_space_panel, 2.0)):
        (axes,) = panel(x, ("Si",), plots).axes
        np.testing.assert_array_equal(axes.get_lines()[0].get_ydata(), factor * v[:, 0])
        assert len(axes.collections) == 1  # the shade


@pytest.fixture(scope="module")
def drawn():
    return {name: inline_svg(band_panel(sample(), True), name, "a < b & c") for name in "ab"}


def test_figures_share_a_page(drawn):
    ids = [set(re.findall(r' id="([^"]+)"', svg)) for svg in drawn.values()]
    assert not ids[0] & ids[1]
    for own, svg in zip(ids, drawn.values(), strict=True):
        named = set(re.findall(r'(?:href="|url\()#([^")]+)', svg))
        assert named and named <= own
        assert "http" not in svg and "<style" not in svg and "<!--" not in svg
        root = ElementTree.fromstring(svg)
        assert root.findtext("title") == "a < b & c" and root.get("role") == "img"
    assert drawn["a"] == inline_svg(band_panel(sample(), True), "a", "a < b & c")


def test_coordinates_are_short_and_marks_share_their_style(drawn):
    root = ElementTree.fromstring(drawn["a"])
    paths = [path.get("d", "") for path in root.iter("path")]
    assert not any(re.search(r"\.\d{3}|\n|  ", d) for d in paths)
    marks = [group for group in root.iter("g") if len(group.findall("use")) > 4]
    assert marks and all(use.get("style") is None for group in marks for use in group)
