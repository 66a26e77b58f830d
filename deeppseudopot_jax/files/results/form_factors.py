"""Tables of v(q), read back: those that a run writes, and any of the same columns."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from deeppseudopot_jax.errors import InputError
from deeppseudopot_jax.files.bundle.coefficients import check_ascending
from deeppseudopot_jax.files.bundle.text import read_document, read_table
from deeppseudopot_jax.files.findings import Findings
from deeppseudopot_jax.files.regular import TEXT_LIMIT, read_regular

SUFFIX = "_qSpace_pot.dat"
"""Of the names of these tables, behind the prefix of a stage."""


@dataclass(frozen=True, eq=False)
class FormFactors:
    """v(q) in Ha Bohr^3 of every species for ascending q in Bohr^-1."""

    q: Float[np.ndarray, " q"]
    v_q: Float[np.ndarray, "q species"]
    species: tuple[str, ...]


def read_form_factors(path: Path) -> FormFactors:
    """A *_qSpace_pot.dat file: q, then one column per species, which its first comment names.

    Raises:
        BundleError: naming the lines that are not such a table.
        InputError: if the comment names other columns than there are.
    """
    findings = Findings()
    document = read_document(path, findings)
    table = document and read_table(document, None, "q and v(q) of every species")
    if document and table:
        check_ascending(document, table.values[:, 0], table.lines, "q")
        if table.values.shape[1] < 2 or len(table.lines) < 2:
            document.problem(
                None,
                "is no table of v(q)",
                found=f"{len(table.lines)} rows of {table.values.shape[1]} columns",
                legal="q and one column per species, in two rows or more",
            )
    findings.raise_if_any(str(path.parent))
    assert table
    species = _named(path)
    if len(species) != table.values.shape[1] - 1:
        raise InputError(
            f"{path}: found a comment that names the species '{' '.join(species)}' for "
            f"{table.values.shape[1] - 1} columns behind q; legal: a first line such as "
            "'# q (Bohr^-1) v_As v_Ga (Ha Bohr^3)', with one v_<atom> per column"
        )
    return FormFactors(table.values[:, 0], table.values[:, 1:], species)


def _named(path: Path) -> tuple[str, ...]:
    """The species that the first comment names."""
    lines = read_regular(path, TEXT_LIMIT).decode("utf-8-sig").splitlines()
    comment = next((line for line in lines if line.startswith("#")), "")
    words = comment.lstrip("# ").split()
    return tuple(word.removeprefix("v_") for word in words if word.startswith("v_"))
