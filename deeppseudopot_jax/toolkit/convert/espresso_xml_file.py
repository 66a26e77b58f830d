"""The elements of data-file-schema.xml, each looked at before its numbers are used."""

from collections.abc import Iterable
from pathlib import Path
from typing import Literal
from xml.etree import ElementTree

import numpy as np
from jaxtyping import Float

from deeppseudopot_jax.errors import InputError
from deeppseudopot_jax.files.bundle.text import parse_number
from deeppseudopot_jax.files.regular import TEXT_LIMIT, read_regular

Spin = Literal["up", "down"]
_SELF_CONSISTENT = ("scf", "relax", "vc-relax", "md", "vc-md")


class XmlFile:
    """The parsed file, and what can be wrong with it."""

    def __init__(self, path: Path) -> None:
        """Parse it.

        Raises:
            InputError: if it is no XML file, or that of another program.
        """
        self.path, self.root = path, _root(path)

    def wrong(self, what: str) -> InputError:
        """The error that says `what` of this file."""
        return InputError(f"{self.path}: {what}")

    def element(self, place: str) -> ElementTree.Element:
        """The first element at `place`."""
        found = self.root.find(place)
        if found is None:
            raise self.wrong(f"has no {place}: not the data-file-schema.xml of a complete run")
        return found

    def number(self, place: str) -> float:
        """The number at `place`."""
        return self._checked([self.element(place).text], 1, place)[0, 0]

    def count(self, place: str) -> int:
        """The whole number at `place`."""
        found = self.number(place)
        if found < 0.0 or found != round(found):
            raise self.wrong(f"{place} is {found:g}, expected a whole number")
        return round(found)

    def attributes(
        self, elements: Iterable[ElementTree.Element], name: str, default: str | None = None
    ) -> Float[np.ndarray, " element"]:
        """The number that each element has under `name`; without `default` each must have one."""
        return self._checked([element.get(name, default) for element in elements], 1, name)[:, 0]

    def vectors(
        self, elements: Iterable[ElementTree.Element], what: str
    ) -> Float[np.ndarray, "n 3"]:
        """The vector in each element."""
        return self._checked([element.text for element in elements], 3, what)

    def table(self, blocks: list[ElementTree.Element], name: str) -> Float[np.ndarray, "kpt level"]:
        """The numbers called `name` of every k-point."""
        keys = ("nbnd_up", "nbnd_dw") if self.is_lsda else ("nbnd",)
        expected = sum(self.count(f"output/band_structure/{key}") for key in keys)
        return self._checked([block.findtext(name) for block in blocks], expected, name)

    def _checked(
        self, texts: list[str | None], expected: int, what: str
    ) -> Float[np.ndarray, "row number"]:
        """The numbers in each text; what is none, as the stars of Fortran, is refused."""
        rows = [[parse_number(word) for word in (text or "").split()] for text in texts]
        for i, row in enumerate(rows):
            if len(row) != expected or None in row:
                where = f"number {i} (from 0) of {len(rows)}: " if len(rows) > 1 else ""
                raise self.wrong(
                    f"{what}: {where}{len(row)} numbers, expected {expected} finite ones"
                )
        return np.array(rows, dtype=float).reshape(len(rows), expected)

    def is_true(self, place: str) -> bool:
        """Whether the element at `place` says so."""
        text = (self.element(place).text or "").strip()
        if text not in ("true", "false"):
            raise self.wrong(f"{place} is '{text}', expected true or false")
        return text == "true"

    @property
    def calculation(self) -> str:
        """Its kind, such as scf or bands."""
        return self.root.findtext("input/control_variables/calculation", "").strip()

    @property
    def is_lsda(self) -> bool:
        """Whether levels of spin up are followed by those of spin down."""
        return self.is_true("output/band_structure/lsda")

    def columns(self, spin: Spin | None) -> slice:
        """Of the levels of one spin."""
        if self.is_lsda:
            if spin is None:
                raise self.wrong("is spin-polarised: choose one with --spin up or --spin down")
            n_up = self.count("output/band_structure/nbnd_up")
            return slice(0, n_up) if spin == "up" else slice(n_up, None)
        if spin is not None:
            raise self.wrong(f"--spin {spin}: the calculation is not spin-polarised")
        return slice(None)

    def is_mesh(self) -> bool:
        """Whether the k-points sample the zone: a mesh was asked for, or weights differ."""
        if self.root.find("input/k_points_IBZ/monkhorst_pack") is not None:
            return True
        weights = self.attributes(self.root.findall("input/k_points_IBZ/k_point"), "weight", "1")
        return self.calculation != "bands" and not np.allclose(weights, weights[:1])

    def check_finished(self) -> None:
        """A run that ended by itself, converged.

        Raises:
            InputError: if it did not.
        """
        for name in ("status", "exit_status"):  # of older and newer schemas
            status = self.root.findtext(name, "0").strip()
            if status != "0":
                raise self.wrong(f"the run of pw.x did not finish (status {status})")
        converged = self.root.findtext(
            "output/convergence_info/scf_conv/convergence_achieved", "true"
        )
        if self.calculation in _SELF_CONSISTENT and converged.strip() != "true":
            raise self.wrong(f"the {self.calculation} calculation did not converge")


def _root(path: Path) -> ElementTree.Element:
    try:
        root = ElementTree.fromstring(read_regular(path, TEXT_LIMIT))
    except (ElementTree.ParseError, LookupError, ValueError) as error:  # or of its encoding
        raise InputError(f"{path}: is no complete XML file: {error}") from error
    if not root.tag.endswith("espresso"):
        raise InputError(
            f"{path}: is the XML of another program: it begins with <{root.tag}>, the output of "
            "pw.x (6.2 or later) with <qes:espresso>"
        )
    return root
