"""Lines, tables and names: what every text file of a bundle has in common."""

import numpy as np
import pytest
from bundle_samples import GOOD, problems, read, write

from deeppseudopot_jax.files.bundle import BundleError, Finding, read_bundle
from deeppseudopot_jax.files.bundle.folder import nearest
from deeppseudopot_jax.files.bundle.text import parse_integer, parse_number, read_document
from deeppseudopot_jax.files.findings import Findings


def test_lines_keep_their_numbers_without_comments_and_blanks(tmp_path):
    path = tmp_path / "a.par"
    path.write_bytes(b"\xef\xbb\xbf# first\r\n\r\n a \t b # c\r\n#\nlast")
    document = read_document(path, Findings())
    assert document is not None
    assert [(line.number, line.tokens) for line in document.lines] == [
        (3, ["a", "b"]),
        (5, ["last"]),
    ]


@pytest.mark.parametrize(
    ("raw", "line", "byte"),
    [(b"a\nb \xe5ngstrom\n", 2, "0xe5"), ("a\n".encode("utf-16"), 1, "0xff")],
)
def test_what_is_not_utf8_is_refused_with_its_line(tmp_path, raw, line, byte):
    assert problems(tmp_path, kpoints_0=raw)[0] == (
        f"kpoints_0.par:{line}: is not UTF-8 text; found 'byte {byte}'; legal: UTF-8 (ASCII) text"
    )


def test_windows_line_ends_tabs_and_comments_change_nothing(tmp_path):
    plain = read(tmp_path / "plain")
    messy = {
        name.removesuffix(".par"): "# head\r\n"
        + text.replace(" = ", "\t=\t").replace("\n", " # x\r\n\r\n").replace("0.5 ", "0.5\t \t")
        for name, text in GOOD.items()
    }
    bundle = read(tmp_path / "messy", **messy)
    assert bundle.settings == plain.settings
    np.testing.assert_array_equal(bundle.coefficients, plain.coefficients)
    for field in ("k_points", "reference_energies", "band_weights"):
        np.testing.assert_array_equal(
            getattr(bundle.systems[0], field), getattr(plain.systems[0], field)
        )


@pytest.mark.parametrize("text", ["1", "-1.", "+.5", "1e-3", "1.5E+2"])
def test_numbers(text):
    assert parse_number(text) == float(text)


@pytest.mark.parametrize("text", ["nan", "-inf", "1e999", "1_0", "1d0", "0x1", "", ".", "1,5", "٣"])
def test_what_is_no_number(text):
    assert parse_number(text) is None
    assert parse_integer(text) is None


@pytest.mark.parametrize("text", ["1.0", "1e3", "9" * 19])
def test_what_is_no_integer(text):
    assert parse_integer(text) is None


def test_the_nearest_name_ignores_case_and_needs_to_be_close():
    assert nearest("nsystem", ["nSystem", "seed"]) == "nSystem"
    assert nearest("whatever", ["nSystem", "seed"]) is None


def test_a_problem_reads_as_one_line():
    problem = Finding("a.par", "bad x", line=3, key="x", found="1", legal="2", suggestion="y")
    assert str(problem) == "a.par:3: bad x; found '1'; legal: 2; did you mean y?"
    assert str(Finding("a.par", "is missing")) == "a.par: is missing"


def test_the_message_lists_files_in_order_and_cuts_a_flood_short(tmp_path):
    rows = "".join(f"0 x{i} y{i} z{i} u{i}\n" for i in range(10))
    write(tmp_path, input_0="nBands = 4\n", expBandStruct_0=rows)
    with pytest.raises(BundleError) as caught:
        read_bundle(tmp_path)
    lines = str(caught.value).splitlines()
    assert lines[0] == f"41 problems in {tmp_path}:"
    assert lines[1] == "  input_0.par: the key maxKE is missing; legal: a number > 0"
    assert lines[2].startswith("  expBandStruct_0.par:1: not a number; found 'x0'; legal: a finite")
    assert lines[-1] == "  expBandStruct_0.par: and 20 more problems"
    assert len(lines) == 23
    assert len(caught.value.problems) == 41


def test_what_is_wrong_with_many_lines_is_told_once(tmp_path):
    rows = ["0 0 0"] * 200
    rows[4] = rows[9] = "# a comment"
    rows[19] = "0 0 0 x"
    write(tmp_path, kpoints_0="\n".join(rows))
    with pytest.raises(BundleError) as caught:
        read_bundle(tmp_path)
    lines = str(caught.value).splitlines()
    assert lines == [
        f"198 problems in {tmp_path}:",
        "  kpoints_0.par:1-4,6-9,11-19,21-200: wrong number of columns; found '3 columns'; "
        "legal: 4 columns (k1 k2 k3 weight)",
        "  kpoints_0.par:20: not a number; found 'x'; legal: a finite number",
    ]
    scattered = "".join("0 0 0\n#\n" for _ in range(20))
    with pytest.raises(BundleError, match=r"kpoints_0\.par:1,3,5,7,9,11,13,15,\.\.\.: wrong"):
        read_bundle(write(tmp_path, kpoints_0=scattered))
