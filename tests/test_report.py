"""report.html: its parts, numbers and figures, and what is not there."""

import html
import re
import shutil
import subprocess
import tomllib
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree

import finished_samples as samples
import numpy as np
import pytest
from matplotlib.image import imread
from typer.testing import CliRunner

from deeppseudopot_jax.cli import running
from deeppseudopot_jax.cli.app import app
from deeppseudopot_jax.errors import ResultsError
from deeppseudopot_jax.files.atomic import ResultsFolder
from deeppseudopot_jax.files.bundle import read_bundle
from deeppseudopot_jax.files.results.painter import Here
from deeppseudopot_jax.files.results.report import render
from deeppseudopot_jax.files.results.report.finished import Finished
from deeppseudopot_jax.files.results.report.page import Table, number
from deeppseudopot_jax.montecarlo.diagnostics import effective_sample_size
from deeppseudopot_jax.run.stages.report import making
from deeppseudopot_jax.run.stages.report.fit import costs
from deeppseudopot_jax.run.stages.report.making import at_the_end, report_again
from deeppseudopot_jax.run.stages.report.observables import folded
from deeppseudopot_jax.run.stages.report.subject import Subject

REPOSITORY = Path(__file__).parents[1]
MONTE_CARLO = "PPmodel = ZeroFunction\nnSystem = 1\nmc_bool = 1\nmc_iter = 40\n"
MONTE_CARLO += "mc_percentage = 0.1\nmc_beta = 500\n"
VOID = {"meta", "br", "hr", "img", "link", "input"}
ERRORS = "Root mean square errors (meV) by groups of bands"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")


@pytest.fixture(scope="module")
def fitted(quick_reports, tmp_path_factory):
    """The page of a fit with everything in it, its figures too; the other tests do without."""
    folder = tmp_path_factory.mktemp("fitted")
    results = samples.trained(folder / "results")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(render, "drawn", quick_reports)
        report_again(samples.inputs(folder / "inputs"), results)
    return Read(results / "report.html")


class Read(HTMLParser):
    """A page, parsed: tags must close each other in order, ids are unique."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path, self.text = path, path.read_text(encoding="utf-8")
        self.open, self.ids, self.tags = [], [], set()
        self.feed(self.text)
        self.close()
        assert self.open == [] and len(set(self.ids)) == len(self.ids)
        # The page is well-formed XML too.
        self.tree = ElementTree.fromstring(self.text.removeprefix("<!DOCTYPE html>\n"))

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.ids += [value for key, value in attrs if key == "id"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        self.handle_endtag(tag) if tag not in VOID else None

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    @property
    def sections(self) -> list[str]:
        return [section.get("id") for section in self.tree.iter("section")]

    @property
    def titles(self) -> list[str]:
        """What the figures show, one each."""
        return [svg.find("title").text for svg in self.tree.iter("svg")]

    def table(self, caption: str) -> dict[str, dict[str, str]]:
        """Rows by their names, cells by those of the columns."""
        (found,) = (t for t in self.tree.iter("table") if t.findtext("caption") == caption)
        columns = [cell.text or "" for cell in found.find("thead").iter("th")]
        assert all(cell.get("scope") == "col" for cell in found.find("thead").iter("th"))
        rows = {}
        for row in found.find("tbody").iter("tr"):
            first, *others = row
            assert first.get("scope") == "row"
            cells = [cell.text or "" for cell in others]
            rows.setdefault(first.text, dict(zip(columns[1:], cells, strict=True)))
        return rows


def test_the_page_has_all_its_sections_and_leads_to_them(fitted):
    expected = ["asked", "costs", "bands", "observables", "potentials", "machine", "again"]
    assert fitted.sections == expected
    assert [link.get("href") for link in fitted.tree.iter("a")] == [f"#{s}" for s in expected]
    assert fitted.tree.findtext("head/title") == f"Fit: {samples.NAME}"


def test_the_page_stands_alone(fitted):
    assert not fitted.tags & {"script", "link", "img", "iframe", "object", "embed", "base"}
    assert "http" not in fitted.text and "@import" not in fitted.text
    assert not re.search(r"<[^>]*\s(on\w+|src)=", fitted.text)
    named = {target for target in re.findall(r'(?:href="|url\()#([\w-]+)', fitted.text)}
    named |= set(re.findall(r'aria-labelledby="([^"]+)"', fitted.text))
    assert named <= set(fitted.ids) and len(named) > 20


def test_every_figure_says_what_it_shows(fitted):
    assert fitted.titles == [
        "Cost against epoch",
        "Every term of the cost against epoch",
        f"Band structure of {samples.NAME}",
        f"Band structure of {samples.NAME} around the gap",
        f"Deviation of every band of {samples.NAME} from its reference, along the path",
        f"Root mean square error of every band of {samples.NAME}",
        "Form factors v(q) of S Zn",
        "Potentials v(r) of S Zn",
    ]
    assert all(svg.get("role") == "img" for svg in fitted.tree.iter("svg"))
    assert len(fitted.text) < 500_000


def test_costs_are_those_of_the_files(fitted):
    told = fitted.table("Costs in eV²: the sum, and what every term adds")
    first, best, last = samples.COSTS[[0, 1, 2]]
    for i, name in enumerate(("cost", "bands", "priors", "held out"), 1):
        assert [float(cell) for cell in told[name].values()] == [first[i], best[i], last[i]]
    assert list(told["cost"]) == ["first (epoch 0)", "best (epoch 1)", "last (epoch 2)"]
    assert "5 data determine 2.5 of 3 trained numbers" in fitted.text
    assert "scatters by 12 meV" in fitted.text


def test_the_cost_of_the_fit_evaluated_afresh_is_no_validation(tmp_path):
    results = samples.trained(tmp_path / "results")
    bundle = read_bundle(samples.inputs(tmp_path / "inputs"))
    section = costs(Subject(bundle, Finished.of_run(results)))
    (curves,) = section.blocks[0].charts[0].arguments
    assert list(curves) == ["training", "re-evaluated", "held out"]
    assert curves["re-evaluated"].tolist() == [[2.0, 2.5]]


def test_errors_are_those_of_fitted_and_of_held_out_levels(fitted):
    assert fitted.table(ERRORS)[samples.NAME] == {
        "Bands": "valence", "Levels": "2", "initial": "500.0", "fit": "10.0",
        "Levels held out": "2", "initial, held out": "500.0", "fit, held out": "30.0",
    }  # fmt: skip
    summary = {d.findtext("dt"): d.findtext("dd") for d in fitted.tree.find("body/dl")}
    assert summary["RMSE (meV)"] == "500 → 10.0"
    assert summary["RMSE of held-out levels (meV)"] == "500 → 30.0"
    assert summary["Cost (eV²), first and lowest"] == "5 → 2" and summary["Time"] == "14.0 s"


def test_observables_and_timings_are_those_of_the_files(fitted):
    found = fitted.table(f"Observables of {samples.NAME}")
    assert found["gaps: direct gap"] == {
        "Where": "k-point 0 (0 0 0)", "Value": "2.0123", "Error bar": "0.032",
        "Reference": "2.0000", "Difference": "0.0123", "Unit": "eV", "Note": "",
    }  # fmt: skip
    assert found["masses: hole <mass>"]["Note"] == "a crossing"
    times = fitted.table("Time and memory")
    assert times["training"] == {
        "Time (s)": "12.50", "of it compiling (s)": "3.25", "Peak memory (MB)": "512",
    }  # fmt: skip
    assert times["all"]["Time (s)"] == "14.00" and times["all"]["of it compiling (s)"] == "4.00"
    assert fitted.table("Versions")["jax"] == {"Value": "0.10.2"}
    assert "deeppseudopot run &#39;my bundle&#39; results" in fitted.text


def test_equal_numbers_of_equivalent_axes_become_one_row():
    rows = [
        ("masses: mass [100] band 7", "0.5"), ("masses: mass [010] band 7", "0.5"),
        ("masses: mass [111] band 7", "0.6"), ("masses: mass [111] band 5", "0.6"),
        ("masses: mass [100] band 5", "0.6"), ("gaps: gap", "0.6"),
    ]  # fmt: skip
    assert folded(rows) == [
        ("masses: mass [100], [010] band 7", "0.5"), ("masses: mass [111] band 7, 5", "0.6"),
        ("masses: mass [100] band 5", "0.6"), ("gaps: gap", "0.6"),
    ]  # fmt: skip


def test_what_comes_from_files_is_escaped(fitted):
    settings = fitted.table("Settings")
    assert settings["optimizer"]["Value"] == "lm" and "validation_k" in settings
    assert html.escape(samples.CONFIG.strip(), quote=False) in fitted.text
    assert html.escape(samples.NAME) in fitted.text and "<hot>" not in fitted.text
    assert "note: no effect of &lt;seed&gt;." in fitted.text


def test_a_chain_is_diagnosed_from_its_tables_and_its_checkpoint(tmp_path):
    results = samples.sampled(tmp_path / "results")
    report_again(samples.inputs(tmp_path / "inputs", MONTE_CARLO), results)
    page = Read(results / "report.html")
    assert page.sections == ["asked", "sampling", "again"]
    chain = page.table("The coldest replica")
    current = 2.0 + np.cos(np.arange(41.0))
    assert chain["Iterations"]["Value"] == "40" and chain["Accepted (%)"]["Value"] == "50.0"
    assert float(chain["Lowest cost (eV²)"]["Value"]) == pytest.approx(current.min(), rel=1e-5)
    size = effective_sample_size(current[20:, None])
    found = float(chain["Effective sample size of the second half"]["Value"])
    assert found == pytest.approx(size, rel=0.01)
    rungs = page.table("Temperatures, coldest first")
    assert rungs["500.0"]["Accepted (%)"] == "25.0" and rungs["10.00"]["Accepted (%)"] == "50.0"
    assert rungs["500.0"]["Swaps with the next (%)"] == "25.0"


def test_what_a_folder_lacks_the_page_lacks(tmp_path):
    inputs, results = samples.inputs(tmp_path / "inputs"), samples.trained(tmp_path / "results")
    for pattern in ("*.json", "*.npz", "*cost.dat", "final_*.dat", "initZunger_qSpace_pot.dat"):
        for path in results.glob(pattern):
            path.unlink()
    report_again(inputs, results)
    page = Read(results / "report.html")
    assert page.sections == ["asked", "bands", "again"]
    assert "Interrupted; shown is" in page.text and "initZunger" in page.text
    assert page.table(ERRORS)[samples.NAME]["potential"] == "500.0"
    assert "JAX 0.10.2 on cpu, float64 arithmetic" in page.text


def test_an_interrupted_run_shows_its_last_epoch(tmp_path):
    inputs, results = samples.inputs(tmp_path / "inputs"), samples.trained(tmp_path / "results")
    for name in ("BS_sys0", "qSpace_pot"):
        for epoch in (2, 10):
            shutil.copyfile(results / f"final_{name}.dat", results / f"epoch_{epoch}_{name}.dat")
        (results / f"final_{name}.dat").unlink()
    report_again(inputs, results)
    page = Read(results / "report.html")
    assert "epoch 10" in page.text and page.table(ERRORS)[samples.NAME]["fit"] == "10.0"
    assert "potentials" in page.sections


def test_an_evaluation_has_no_costs(tmp_path):
    inputs, results = samples.inputs(tmp_path / "inputs"), samples.trained(tmp_path / "results")
    for path in results.glob("final_*.dat"):
        path.rename(results / path.name.replace("final", "eval"))
    (results / "run.log").rename(results / "eval.log")
    report_again(inputs, results)
    page = Read(results / "report.html")
    assert page.sections == ["asked", "bands", "potentials", "again"]
    assert f"Evaluation: {html.escape(samples.NAME)}" in page.text


def test_what_makes_no_report_is_refused(tmp_path):
    inputs, results = samples.inputs(tmp_path / "inputs"), tmp_path / "results"
    with pytest.raises(ResultsError, match=r"neither run\.log nor eval\.log"):
        report_again(inputs, results)
    samples.trained(results)
    (results / "final_BS_sys0.dat").write_text("no number\n")
    with pytest.raises(ResultsError, match="do not make a report"):
        report_again(inputs, results)


def test_a_report_that_cannot_be_made_is_a_line_of_the_log(tmp_path, monkeypatch):
    lines, logged = [], []
    outputs = SimpleNamespace(
        folder=ResultsFolder(tmp_path), file=tmp_path.joinpath, painter=Here()
    )
    report = SimpleNamespace(line=lines.append, log=logged.append)
    plan = SimpleNamespace(mode="gradient")
    session = SimpleNamespace(bundle=None, outputs=outputs, report=report, plan=plan)

    def broken(subject):
        raise ValueError("no such thing")

    monkeypatch.setattr(making, "page_of", broken)
    at_the_end(session)
    assert "report.html could not be made (ValueError: no such thing)" in lines[0]
    assert logged[0].startswith("Traceback") and not (tmp_path / "report.html").exists()
    outputs.folder = None  # all processes but the first
    at_the_end(session)
    assert len(lines) == 1


def test_the_command_makes_it(tmp_path, monkeypatch):
    inputs, results = samples.inputs(tmp_path / "inputs"), samples.trained(tmp_path / "results")
    monkeypatch.setattr(running, "Beside", Here)
    told = CliRunner().invoke(app, ["report", str(inputs), str(results)])
    assert told.exit_code == 0 and told.stdout == f"{results / 'report.html'}\n"
    assert (results / "report.html").exists()


def test_numbers_have_as_many_digits_as_asked():
    shown = [number(v, 4) for v in (None, 0.0, 2.0, -1.5, 123456.7, 1.23456e-6, 1e8, np.nan)]
    assert shown == ["", "0", "2.000", "-1.500", "123457", "1.235e-06", "1.000e+08", "nan"]


def test_columns_of_numbers_are_aligned_and_empty_ones_left_out():
    table = Table("t", ("a", "b", "c", "d"), [("x", "1.5", "", "yes"), ("y", "-2e-05", "0", "no")])
    assert table.alignments == ["words", "number", "number", "words"]
    assert table.without(("", "0"), always=1).columns == ["a", "b", "d"]


def test_a_wheel_has_every_file_of_the_package():
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
    patterns = project["tool"]["setuptools"]["package-data"]["deeppseudopot_jax"]
    package = REPOSITORY / "deeppseudopot_jax"
    found = {path for pattern in patterns for path in package.glob(pattern)}
    others = {
        path for path in package.rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc")
    }
    assert others == found


@pytest.mark.exhaustive
@pytest.mark.parametrize("width", [1200, 390])
def test_a_browser_shows_it_without_a_gap(fitted, tmp_path, width):
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        pytest.skip(f"no browser: none of {', '.join(BROWSERS)} is installed")
    image = tmp_path / "page.png"
    command = [
        browser, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
        f"--window-size={width},5000", f"--screenshot={image}", fitted.path.as_uri(),
    ]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    pixels = imread(image)
    assert pixels.shape[:2] == (5000, width)
    ink = (pixels[..., :3].min(axis=-1) < 0.5).mean(axis=1)
    rows = np.flatnonzero(ink)
    assert rows[0] < 100 and np.diff(rows).max() < 150  # nothing in between is missing
    right = pixels[:, -3:, :3].min()  # nothing runs out of the page
    assert right > 0.9
