"""README.md and docs: their Python runs as it stands, page by page, and so does the quick start."""

import re
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

import bundle_samples
import numpy as np
import pytest
from ase.build import bulk
from density_samples import zinc_sulphide
from typer.testing import CliRunner

from deeppseudopot_jax.cli.app import app

REPOSITORY = Path(__file__).parents[1]
DOCS = REPOSITORY / "docs"
ESPRESSO = Path(__file__).parent / "data" / "espresso"


def blocks(page: Path, language: str) -> list[str]:
    """The code of a page in one language."""
    lines, found, inside = page.read_text(encoding="utf-8").splitlines(), [], None
    for line in lines:
        if inside is None and (fence := re.match(r"```(.*)", line)):
            inside = fence[1], []
        elif inside is not None and line.startswith("```"):
            if inside[0] == language:
                found.append("\n".join(inside[1]))
            inside = None
        elif inside is not None:
            inside[1].append(line)
    return found


def small_silicon(folder: Path) -> None:
    """The bundles of configs/ that pages name, with few k-points and plane waves."""
    for source in (REPOSITORY / "configs").glob("silicon*"):
        target = folder / "configs" / source.name
        shutil.copytree(source, target)
        for name in ("kpoints_0.par", "expBandStruct_0.par"):
            rows = (target / name).read_text(encoding="utf-8").splitlines()
            (target / name).write_text("\n".join(rows[8:24:5]) + "\n", encoding="utf-8")
        keys = (target / "input_0.par").read_text(encoding="utf-8")
        keys = re.sub(r"maxKE = .*", "maxKE = 2.5", keys)
        (target / "input_0.par").write_text(keys, encoding="utf-8")


def results_of_a_run(folder: Path) -> None:
    """Inputs, and the coefficients that a run would leave."""
    inputs = zinc_sulphide(folder / "inputs")
    (folder / "fitted").mkdir()
    for file in inputs.glob("init_*Params.par"):
        shutil.copyfile(file, folder / "fitted" / file.name.replace("init_", "final_"))


def levels_of_gallium_arsenide(folder: Path) -> None:
    """pw.x of two silicon atoms as if of GaAs: other names, ten levels of 3d below the others."""
    xml = (ESPRESSO / "so.xml").read_text(encoding="utf-8")
    xml = xml.replace('name="Si" index="1"', 'name="Ga" index="1"').replace('"Si"', '"As"')
    xml = xml.replace(">8.000000000000000e0</nelec>", ">1.800000000000000e1</nelec>")
    xml = xml.replace("<nbnd>16<", "<nbnd>26<").replace('size="16">', 'size="26">')
    xml = re.sub(r"(<eigenvalues .*>)", r"\1" + " -1.0" * 10, xml)
    xml = re.sub(r"(<occupations .*>)", r"\1" + " 1.0" * 10, xml)
    saved = folder / "out" / "gaas.save"
    saved.mkdir(parents=True)
    (saved / "data-file-schema.xml").write_text(xml, encoding="utf-8")


def energies_of_germanium(folder: Path) -> None:
    """A bundle without reference, and the table of levels that completes it."""
    (folder / "ge").mkdir()
    np.savetxt(folder / "energies.dat", np.random.default_rng(0).normal(size=(2, 18)))


def a_bundle(folder: Path) -> None:
    """Any."""
    bundle_samples.write(folder / "INPUTS", NN_config="PPmodel = ZeroFunction\nnSystem = 1\n")


def cell_of_aluminium_arsenide(folder: Path) -> None:
    """What `primitive` writes."""
    bulk("AlAs", "zincblende", a=5.66).write(folder / "AlAs.vasp")


PREPARED: dict[str, Callable[[Path], None]] = {
    "docs/own_material.md": energies_of_germanium,
    "docs/scaling.md": a_bundle,
    "docs/toolkit/convert.md": levels_of_gallium_arsenide,
    "docs/toolkit/density.md": results_of_a_run,
    "docs/tutorials/cif.md": cell_of_aluminium_arsenide,
}
"""What a page takes for granted; others have the bundles of configs/."""

PAGES = {
    page.relative_to(REPOSITORY).as_posix(): page
    for page in (REPOSITORY / "README.md", *sorted(DOCS.rglob("*.md")))
    if blocks(page, "python")
}


def test_no_page_is_prepared_in_vain():
    assert set(PREPARED) <= set(PAGES) and "README.md" in PAGES and len(PAGES) > 6


@pytest.mark.parametrize("name", PAGES)
def test_python_of_a_page_runs(name, tmp_path, monkeypatch):
    PREPARED.get(name, small_silicon)(tmp_path)
    monkeypatch.chdir(tmp_path)
    page: dict[str, object] = {"__name__": "__main__"}
    for code in blocks(PAGES[name], "python"):
        exec(compile(code, name, "exec"), page)


def test_the_quick_start_leaves_what_it_says(tmp_path, monkeypatch):
    page = DOCS / "quickstart.md"
    (commands,) = blocks(page, "sh")
    small_silicon(tmp_path)
    monkeypatch.chdir(tmp_path)
    first, *others = map(shlex.split, commands.splitlines())
    assert first[:2] == ["pip", "install"] and len(others) == 3
    for program, *arguments in others:
        ran = CliRunner().invoke(app, arguments)
        assert program == "deeppseudopot" and ran.exit_code == 0, ran.output
    files = re.findall(r"`(\w+/[\w/]+\.\w+)`", page.read_text(encoding="utf-8"))
    assert len(files) == 5 and all((tmp_path / file).is_file() for file in files)
