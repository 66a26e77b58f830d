"""The coefficients of the analytic potential, their Monte Carlo steps, and the tabulated v(q)."""

import numpy as np
from jaxtyping import Float

from deeppseudopot_jax.files.bundle.folder import InputsFolder
from deeppseudopot_jax.files.bundle.text import (
    Document,
    Table,
    read_column,
    read_table,
    report_negative,
)
from deeppseudopot_jax.files.findings import Findings
from deeppseudopot_jax.parameters import LONG_RANGE, N_COEFFICIENTS


def read_coefficients(
    folder: InputsFolder, species: tuple[str, ...], needed_by: str | None = None
) -> Float[np.ndarray, "species 9"] | None:
    """The rows of init_<atom>Params.par, zero where a file has fewer; None where no file exists.

    <atom>Params.par is read where init_<atom>Params.par is absent. Files for some species only are
    a problem, and so is their absence where the run has something that they are `needed_by`.
    """
    documents = [_coefficient_document(folder, symbol) for symbol in species]
    if needed_by and not any(documents):
        for symbol in species:
            folder.required(f"init_{symbol}Params.par", needed_by)
    tables = _columns(
        folder.findings, documents, species, "init_{}Params.par", (4, 5, N_COEFFICIENTS)
    )
    if tables is None:
        return None
    if all(len(table.lines) <= LONG_RANGE + 1 for _, table in tables):
        for document, table in tables:
            if table.values[LONG_RANGE:].any():
                folder.findings.note(
                    f"{document.name}: the fifth row, {table.values[LONG_RANGE, 0]:g}, is taken "
                    "as the long-range a4; some old five-row files kept a strain coefficient there."
                )
    return _padded(tables)


def read_step_sizes(
    folder: InputsFolder, species: tuple[str, ...]
) -> Float[np.ndarray, "species 9"] | None:
    """The rows of <atom>ParamSteps.par, 5 or 9; what has no step does not move. None: no files."""
    documents = [folder.optional(f"{symbol}ParamSteps.par") for symbol in species]
    tables = _columns(folder.findings, documents, species, "{}ParamSteps.par", (5, N_COEFFICIENTS))
    if tables is None:
        return None
    for document, table in tables:
        report_negative(document, table, 0, "step size")
        if len(table.lines) < N_COEFFICIENTS:
            folder.findings.note(
                f"{document.name} has {len(table.lines)} rows: a{len(table.lines)} to a8 do not "
                "move."
            )
    return _padded(tables)


def read_tabulated_potential(
    document: Document, species: tuple[str, ...]
) -> Float[np.ndarray, "q columns"] | None:
    """The table of init_qSpace_pot.par: q (Bohr^-1, ascending), then one column per species."""
    meaning = " ".join(["q", *(f"v_{symbol}" for symbol in species)])
    table = read_table(document, 1 + len(species), meaning)
    if table is None:
        return None
    check_ascending(document, table.values[:, 0], table.lines, "q")
    return table.values


def check_ascending(
    document: Document, values: np.ndarray, lines: tuple[int, ...], name: str
) -> None:
    """A column must start at 0 or above and grow from row to row."""
    smallest = 0.0
    for row, (value, line) in enumerate(zip(values, lines, strict=True)):
        if value < smallest or (row > 0 and value == smallest):
            legal = f"a number > {smallest:g}" if row else "a number >= 0"
            document.problem(line, f"{name} does not ascend", found=f"{value:g}", legal=legal)
        smallest = max(smallest, value)


def _coefficient_document(folder: InputsFolder, symbol: str) -> Document | None:
    document = folder.optional(f"init_{symbol}Params.par")
    bare = f"{symbol}Params.par"
    if bare in folder.names:
        if document is None:
            folder.findings.note(f"{bare} is read as init_{bare}.")
            return folder.optional(bare)
        folder.path(bare)
        folder.findings.note(f"{bare} is not read: init_{bare} is there.")
    return document


def _columns(
    findings: Findings,
    documents: list[Document | None],
    species: tuple[str, ...],
    name: str,
    counts: tuple[int, ...],
) -> list[tuple[Document, Table]] | None:
    """Every species' file and its numbers; None where no file exists or one of them is bad."""
    present = [document for document in documents if document is not None]
    unreadable = {problem.file for problem in findings.problems}
    for symbol, document in zip(species, documents, strict=True):
        if present and document is None and name.format(symbol) not in unreadable:
            findings.problem(
                name.format(symbol),
                f"is missing, but {present[0].name} exists",
                legal="one file for every species, or for none",
            )
    tables = [(document, read_column(document, counts, "one a row")) for document in present]
    good = [(document, table) for document, table in tables if table is not None]
    return good if good and len(good) == len(species) else None


def _padded(tables: list[tuple[Document, Table]]) -> Float[np.ndarray, "species 9"]:
    columns = [table.values[:, 0] for _, table in tables]
    return np.array([np.pad(column, (0, N_COEFFICIENTS - len(column))) for column in columns])
