"""Figures of Monte Carlo runs: what is drawn, for short and long runs, few and many replicas."""

import numpy as np
import pytest

from deeppseudopot_jax.files.results.figures import (
    monte_carlo_figure,
    save,
    temperature_walk_figure,
)

DRAWS = True


def costs(n_rows: int, n_replicas: int) -> np.ndarray:
    noise = np.random.default_rng(0).normal(size=(n_rows, n_replicas))
    return np.exp(-np.arange(n_rows)[:, None] / n_rows + 0.1 * noise)


def walk(n_windows: int, n_replicas: int, swap_probability: float = 0.5) -> np.ndarray:
    """Rungs of replicas that swap with their neighbours."""
    generator = np.random.default_rng(0)
    rungs, found = np.arange(n_replicas), []
    for window in range(n_windows):
        found.append(rungs.copy())
        replica_on = np.argsort(rungs)
        for rung in range(window % 2, n_replicas - 1, 2):
            if generator.random() < swap_probability:
                pair = replica_on[rung : rung + 2]
                rungs[pair] = rungs[pair[::-1]]
    return np.array(found)


def drawn(axes) -> dict:
    return {line.get_label(): np.asarray(line.get_ydata(), float) for line in axes.get_lines()}


def test_costs_are_logarithmic_with_the_replicas_behind(tmp_path):
    c = costs(100, 4)
    best = np.minimum.accumulate(c.min(axis=1))
    figure = monte_carlo_figure(np.arange(100), c[:, 0], best, c)
    (axes,) = figure.axes
    assert axes.get_yscale() == "log"
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == ["all replicas", "coldest", "lowest so far"]
    assert len(axes.get_lines()) == 6
    np.testing.assert_array_equal(drawn(axes)["coldest"], c[:, 0])
    np.testing.assert_array_equal(drawn(axes)["lowest so far"], best)
    front = [line for line in axes.get_lines() if line.get_label() in labels]
    assert min(line.get_zorder() for line in front) > axes.get_lines()[0].get_zorder()
    save(figure, tmp_path / "plot.png")


def test_one_walker_has_a_current_cost():
    c = costs(50, 1)[:, 0]
    figure = monte_carlo_figure(np.arange(50), c, np.minimum.accumulate(c))
    assert list(drawn(figure.axes[0])) == ["current", "lowest so far"]


def test_long_runs_are_thinned_evenly_with_both_ends():
    iterations = 10 * np.arange(100_001)
    c = costs(100_001, 1)[:, 0]
    (axes,) = monte_carlo_figure(iterations, c, np.minimum.accumulate(c)).axes
    x = np.asarray(axes.get_lines()[0].get_xdata())
    assert len(x) == 2000
    assert (x[0], x[-1]) == (0, 1_000_000)
    assert set(np.diff(x)) == {500, 510}
    np.testing.assert_array_equal(drawn(axes)["current"], c[x // 10])


@pytest.mark.parametrize(
    "values", [[], [2.0], [0.0, 0.0], [1.0, 0.0], [np.nan] * 40, [np.inf, 1.0], [np.inf]]
)
def test_unusual_costs_can_be_drawn(tmp_path, values):
    c = np.array(values, float)
    save(monte_carlo_figure(np.arange(len(c)), c, c, c[:, None]), tmp_path / "plot.png")


def test_few_replicas_are_lines_through_every_swap(tmp_path):
    rungs = walk(40, 4)
    figure = temperature_walk_figure(5 * np.arange(40), rungs, np.geomspace(200, 5, 4))
    (axes,) = figure.axes
    assert len(axes.get_lines()) == 4
    for line, expected in zip(axes.get_lines(), rungs.T, strict=True):
        x, y = np.asarray(line.get_xdata()), np.asarray(line.get_ydata())
        assert line.get_drawstyle() == "steps-post"
        assert (x[0], x[-1]) == (0, 200)
        held = y[np.searchsorted(x, 5 * np.arange(40), side="right") - 1]
        np.testing.assert_array_equal(held, expected)
    assert [label.get_text() for label in axes.get_yticklabels()] == ["200", "58.5", "17.1", "5"]
    assert axes.get_yticks().tolist() == [0, 1, 2, 3]
    save(figure, tmp_path / "plot.png")


@pytest.mark.parametrize(("n_windows", "n_replicas"), [(300, 4), (100, 7), (3000, 5), (20, 64)])
def test_many_replicas_or_swaps_are_an_image(tmp_path, n_windows, n_replicas):
    rungs = walk(n_windows, n_replicas)
    figure = temperature_walk_figure(np.arange(n_windows), rungs, np.geomspace(200, 5, n_replicas))
    axes = figure.axes[0]
    (image,) = axes.images
    replicas = np.asarray(image.get_array())
    assert replicas.shape == (n_replicas, min(n_windows, 400))
    for window, column in ((0, 0), (-1, -1)):
        np.testing.assert_array_equal(rungs[window, replicas[:, column]], np.arange(n_replicas))
    assert image.origin == "lower"
    assert image.get_extent() == [0, n_windows, -0.5, n_replicas - 0.5]
    assert len(figure.axes) == (2 if n_replicas > 6 else 1)  # with a colour bar
    assert axes.get_yticklabels()[0].get_text() == "200"
    assert axes.get_yticklabels()[-1].get_text() == "5"
    save(figure, tmp_path / "plot.png")


@pytest.mark.parametrize("n_replicas", [1, 2, 6])
def test_long_runs_with_few_swaps_are_lines(tmp_path, n_replicas):
    rungs = walk(5000, n_replicas, swap_probability=5e-3)
    figure = temperature_walk_figure(np.arange(5000), rungs, np.linspace(9, 1, n_replicas))
    assert len(figure.axes[0].get_lines()) == n_replicas
    assert len(np.asarray(figure.axes[0].get_lines()[0].get_xdata())) <= 151
    save(figure, tmp_path / "plot.png")


@pytest.mark.parametrize("n_replicas", [1, 8])
def test_one_window_can_be_drawn(tmp_path, n_replicas):
    rungs = np.arange(n_replicas)[None]
    figure = temperature_walk_figure(np.zeros(1, int), rungs, np.ones(n_replicas))
    save(figure, tmp_path / "plot.png")


@pytest.mark.parametrize(
    "rungs", [np.zeros((0, 2), int), np.zeros((3, 2), int), np.arange(3)[None], [[1, 2]]]
)
def test_rungs_that_are_not_shared_are_refused(rungs):
    rungs = np.asarray(rungs)
    with pytest.raises(ValueError, match="must share 2 rungs"):
        temperature_walk_figure(np.arange(len(rungs)), rungs, np.ones(2))
