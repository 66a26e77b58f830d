"""data-file-schema.xml, the output of pw.x that has all digits.

Its form is that of the schema qes of Quantum ESPRESSO: Hartree, Bohr, and k-points as Cartesian
vectors in units of 2 pi / alat.
"""

from pathlib import Path
from typing import Literal
from xml.etree import ElementTree

import numpy as np
from jaxtyping import Float

from deeppseudopot_jax.errors import InputError
from deeppseudopot_jax.files.regular import TEXT_LIMIT, read_regular
from deeppseudopot_jax.toolkit.convert.source import SourceBands
from deeppseudopot_jax.types import Crystal
from deeppseudopot_jax.units import HARTREE_IN_EV

Spin = Literal["up", "down"]
_SELF_CONSISTENT = ("scf", "relax", "vc-relax", "md", "vc-md")


def read_xml(path: Path, spin: Spin | None = None) -> SourceBands:
    """The bands of a finished calculation.

    Args:
        path: of the file.
        spin: whose levels to take where the calculation is spin-polarised.

    Raises:
        InputError: if it is no such file, or that of a run that failed; if `spin` is missing, or
            given for a calculation that is not spin-polarised.
    """
    file = _File(path, _root(path))
    file.check_finished()
    structure = file.element("output/atomic_structure")
    lattice = np.array([file.numbers(f"output/atomic_structure/cell/a{i}") for i in (1, 2, 3)])
    positions = np.array([_numbers(atom.text) for atom in structure.iter("atom")])
    crystal = Crystal(
        lattice,
        positions @ np.linalg.inv(lattice),
        tuple(_symbol(atom.get("name", "")) for atom in structure.iter("atom")),
    )
    blocks = file.element("output/band_structure").findall("ks_energies")
    if not blocks:
        raise file.wrong("has no bands (ks_energies)")
    columns = file.columns(spin)
    cartesian = np.array([_numbers(block.findtext("k_point")) for block in blocks])
    levels = HARTREE_IN_EV * file.table(blocks, "eigenvalues")[:, columns]
    weights = np.array([float(block.find("k_point").get("weight")) for block in blocks])
    n_electrons = file.numbers("output/band_structure/nelec")[0]
    if spin is not None:
        filled = file.table(blocks, "occupations")[:, columns].sum(axis=1)
        n_electrons = 2.0 * np.average(filled, weights=weights)
    creator = file.element("general_info/creator")
    return SourceBands(
        program=f"pw.x of Quantum ESPRESSO {creator.get('VERSION', '')}"
        + ("" if spin is None else f", spin {spin}"),
        crystal=crystal,
        k_points=cartesian @ lattice.T / float(structure.get("alat", "nan")),
        labels=("",) * len(blocks),
        energies=np.sort(levels, axis=1),
        is_spinor=file.is_true("output/band_structure/noncolin"),
        n_electrons=float(n_electrons),
        mesh_weights=weights if file.is_mesh() else None,
    )


class _File:
    """The parsed file, and what can be wrong with it."""

    def __init__(self, path: Path, root: ElementTree.Element) -> None:
        self.path, self.root = path, root

    def wrong(self, what: str) -> InputError:
        return InputError(f"{self.path}: {what}")

    def element(self, place: str) -> ElementTree.Element:
        found = self.root.find(place)
        if found is None:
            raise self.wrong(f"has no {place}: not the data-file-schema.xml of a complete run")
        return found

    def numbers(self, place: str) -> Float[np.ndarray, " n"]:
        return _numbers(self.element(place).text)

    def is_true(self, place: str) -> bool:
        return (self.element(place).text or "").strip() == "true"

    def table(self, blocks: list[ElementTree.Element], name: str) -> Float[np.ndarray, "kpt level"]:
        """The numbers called `name` of every k-point."""
        rows = [_numbers(block.findtext(name)) for block in blocks]
        expected = sum(
            int(self.numbers(f"output/band_structure/{key}")[0])
            for key in (("nbnd_up", "nbnd_dw") if self.is_lsda else ("nbnd",))
        )
        for i, row in enumerate(rows):
            if len(row) != expected or not np.isfinite(row).all():
                raise self.wrong(
                    f"k-point {i} (from 0) has {len(row)} {name}, expected {expected} finite ones"
                )
        return np.array(rows)

    @property
    def is_lsda(self) -> bool:
        return self.is_true("output/band_structure/lsda")

    def columns(self, spin: Spin | None) -> slice:
        """Of the levels of one spin."""
        if self.is_lsda:
            if spin is None:
                raise self.wrong("is spin-polarised: choose one with --spin up or --spin down")
            n_up = int(self.numbers("output/band_structure/nbnd_up")[0])
            return slice(0, n_up) if spin == "up" else slice(n_up, None)
        if spin is not None:
            raise self.wrong(f"--spin {spin}: the calculation is not spin-polarised")
        return slice(None)

    def is_mesh(self) -> bool:
        """Whether the k-points sample the zone: a mesh was asked for, or weights differ."""
        if self.root.find("input/k_points_IBZ/monkhorst_pack") is not None:
            return True
        weights = [
            float(k.get("weight", "1")) for k in self.root.findall("input/k_points_IBZ/k_point")
        ]
        is_bands = (self.root.findtext("input/control_variables/calculation") or "") == "bands"
        return not is_bands and not np.allclose(weights, weights[:1])

    def check_finished(self) -> None:
        """A run that ended by itself, converged.

        Raises:
            InputError: if it did not.
        """
        status = (self.root.findtext("status") or "").strip()
        if self.root.find("closed") is None or status not in ("", "0"):
            raise self.wrong(f"the run of pw.x did not finish (status {status or 'none'})")
        calculation = (self.root.findtext("input/control_variables/calculation") or "").strip()
        converged = self.root.findtext(
            "output/convergence_info/scf_conv/convergence_achieved", "true"
        )
        if calculation in _SELF_CONSISTENT and converged.strip() != "true":
            raise self.wrong(f"the {calculation} calculation did not converge")


def _root(path: Path) -> ElementTree.Element:
    try:
        root = ElementTree.fromstring(read_regular(path, TEXT_LIMIT))
    except ElementTree.ParseError as error:
        raise InputError(f"{path}: is no complete XML file: {error}") from error
    if not root.tag.endswith("espresso"):
        raise InputError(
            f"{path}: is the XML of another program: it begins with <{root.tag}>, the output of "
            "pw.x (6.2 or later) with <qes:espresso>"
        )
    return root


def _numbers(text: str | None) -> Float[np.ndarray, " n"]:
    """Numbers in a text; NaN for what is none, which Fortran prints as stars."""
    return np.array([_number(word) for word in (text or "").split()])


def _number(word: str) -> float:
    try:
        return float(word)
    except ValueError:
        return float("nan")


def _symbol(name: str) -> str:
    """The element of a species that pw.x calls Fe1 or Si_2."""
    letters = "".join(c if c.isalpha() else " " for c in name).split()
    return letters[0].capitalize() if letters else name
