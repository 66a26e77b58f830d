"""expCoupling_X.par: the electron-phonon couplings a system is fitted to.

A block per atom (`Atom idx = 0 atom = Pb position = ...`), in it a block per band edge and axis
(`vb-vb coupling elements. polarization of derivative = x`, where the edge holds until the next
one is named), in it one number per q-point.
"""

import re
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from deeppseudopot_jax.files.bundle.text import Document, Line, parse_row
from deeppseudopot_jax.types import CouplingTarget

_Axis = Literal["x", "y", "z"]
_Edge = Literal["vb", "cb"]
_AXES: dict[str, _Axis] = {"x": "x", "y": "y", "z": "z"}
_EDGES: dict[str, _Edge] = {"vb": "vb", "cb": "cb"}

_ATOM = re.compile(r"Atom\s+idx\s*=\s*(?P<index>\d+)\s+atom\s*=\s*(?P<symbol>\w+).*", re.I)
_BLOCK = re.compile(
    r"((?P<band>vb|cb)-(?P=band)\s+coupling\s+elements\.?\s*)?"
    r"polarization\s+of\s+derivative\s*=\s*(?P<axis>[xyz])",
    re.I,
)
_LEGAL = (
    "`Atom idx = 0 atom = Pb position = ...`, `vb-vb coupling elements. polarization of "
    "derivative = x`, `polarization of derivative = y` or numbers"
)


@dataclass
class _Block:
    """A heading and the numbers read below it so far; an atom's own heading has no axis."""

    line: int
    atom: int
    symbol: str
    band: _Edge | None = None
    axis: _Axis | None = None
    values: list[float] = field(default_factory=list)


def read_couplings(
    documents: list[Document], symbols: tuple[str, ...] | None, n_q: int | None
) -> tuple[CouplingTarget, ...]:
    """The couplings (eV/Bohr) of a system's files; everything wrong goes to the findings.

    Args:
        documents: the files.
        symbols: the symbol of every atom of the system, None where they are not known.
        n_q: the number of q-points, None where it is not known.
    """
    places: dict[tuple[int, _Edge, _Axis], str] = {}
    targets = []
    for document in documents:
        blocks = _split_blocks(document)
        if not any(block.axis for block in blocks):
            document.problem(None, "holds no couplings", legal=_LEGAL)
        for block in blocks:
            if block.axis is None:
                _check_atom(document, block, symbols)
            elif block.band is not None:
                _check_count(document, block, n_q)
                here = f"{document.name}:{block.line}"
                first = places.setdefault((block.atom, block.band, block.axis), here)
                if first != here:
                    document.problem(block.line, f"the block of {first} is given again")
                values = np.array(block.values)
                target = CouplingTarget(block.atom, block.symbol, block.axis, block.band, values)
                targets.append(target)
    return tuple(targets)


def _split_blocks(document: Document) -> list[_Block]:
    """The blocks of the file; lines that are neither heading nor numbers are problems."""
    blocks: list[_Block] = []
    for line in document.lines:
        if atom := _ATOM.fullmatch(line.text):
            blocks.append(_Block(line.number, int(atom["index"]), atom["symbol"]))
        elif heading := _BLOCK.fullmatch(line.text):
            if blocks:
                blocks.append(_next_block(document, line, blocks[-1], heading))
            else:
                document.problem(line.number, "no atom is named above", found=line.text)
        elif line.text[0] in "+-.0123456789" and blocks and blocks[-1].axis is not None:
            blocks[-1].values.extend(parse_row(document, line, line.tokens) or [])
        else:
            document.problem(line.number, "unknown line", found=line.text, legal=_LEGAL)
    return blocks


def _next_block(document: Document, line: Line, above: _Block, heading: re.Match[str]) -> _Block:
    """The block that `heading` opens; where it names no band edge, that of the block above."""
    band = _EDGES[heading["band"].lower()] if heading["band"] else above.band
    if band is None:
        document.problem(
            line.number, "no band edge is named above", found=line.text, legal="vb-vb or cb-cb"
        )
    axis = _AXES[heading["axis"].lower()]
    return replace(above, line=line.number, band=band, axis=axis, values=[])


def _check_atom(document: Document, block: _Block, symbols: tuple[str, ...] | None) -> None:
    if symbols is None:
        return
    expected = symbols[block.atom] if block.atom < len(symbols) else None
    if expected != block.symbol:
        document.problem(
            block.line,
            "the atom does not belong to the system",
            found=f"idx = {block.atom} atom = {block.symbol}",
            legal=", ".join(f"{i} {symbol}" for i, symbol in enumerate(symbols)),
        )


def _check_count(document: Document, block: _Block, n_q: int | None) -> None:
    if n_q is not None and len(block.values) != n_q:
        document.problem(
            block.line,
            "wrong number of couplings below this line",
            found=f"{len(block.values)} numbers",
            legal=f"{n_q} numbers (one per q-point)",
        )
