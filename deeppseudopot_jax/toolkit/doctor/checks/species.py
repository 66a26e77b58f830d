"""Species are sorted by symbol: columns of tables and outputs of networks in another order."""

import itertools
import re
from collections.abc import Iterator
from contextlib import suppress

import numpy as np

from deeppseudopot_jax.files.findings import BundleError
from deeppseudopot_jax.files.regular import TEXT_LIMIT, read_regular
from deeppseudopot_jax.toolkit.doctor.examined import Examined
from deeppseudopot_jax.toolkit.doctor.remarks import Remark

_Q = np.linspace(0.5, 5.0, 46)
"""Bohr^-1: where form factors differ most."""
_CLEARLY = 0.5
"""Of the distance of the order as it is: another order must be so much better."""
_MOST_SPECIES = 6
_TABLE = "init_qSpace_pot.par"
_COLUMN = re.compile(r"\bv(?:\(q\))?_([A-Z][a-z]?)\b")


def interchanged_species(examined: Examined) -> Iterator[Remark]:
    """Curves of a checkpoint or table are nearest to the Zunger curves of their own species."""
    species, formula = examined.bundle.species, examined.formula
    if formula is None or not 1 < len(species) <= _MOST_SPECIES:
        return
    expected = formula(_Q)
    for file, curves in examined.curves:
        found = curves(_Q)
        squares = ((found[:, :, None] - expected[:, None, :]) ** 2).mean(axis=0)
        orders = list(itertools.permutations(range(len(species))))
        distances = [float(np.sqrt(squares[range(len(species)), o].mean())) for o in orders]
        best = int(np.argmin(distances))
        if distances[best] < _CLEARLY * distances[0]:
            like = ", ".join(
                f"{symbol} like {species[other]}"
                for symbol, other in zip(species, orders[best], strict=True)
                if species[other] != symbol
            )
            yield Remark(
                "order of species",
                "warning",
                f"{file}: compared with init_<atom>Params.par its curves are interchanged ({like})",
                f"species are sorted by symbol: {' '.join(species)}",
            )


def species_in_a_header(examined: Examined) -> Iterator[Remark]:
    """Where a comment of the table names its columns, they are the sorted species."""
    bundle = examined.bundle
    if bundle.tabulated_potential is None:
        return
    text = ""
    with suppress(BundleError):
        text = read_regular(bundle.folder / _TABLE, TEXT_LIMIT).decode(errors="replace")
    comments = [line.partition("#")[2] for line in text.splitlines() if "#" in line]
    named = tuple(_COLUMN.findall(" ".join(comments)))
    if named and set(named) == set(bundle.species) and named != bundle.species:
        yield Remark(
            "order of species",
            "warning",
            f"{_TABLE}: its comment names the columns {' '.join(named)}, but they are read as "
            f"{' '.join(bundle.species)}",
            "sort the columns by symbol",
        )


def order_of_scales(examined: Examined) -> Iterator[Remark]:
    """PPmodel_scale has no names: tell whose factor is whose where atoms are listed otherwise."""
    bundle, scale = examined.bundle, examined.bundle.settings.scale
    listed = dict.fromkeys(s for system in bundle.systems for s in system.crystal.symbols)
    if scale is None or len(set(scale)) == 1 or tuple(listed) == bundle.species:
        return
    pairs = ", ".join(f"{s} {x:g}" for s, x in zip(bundle.species, scale, strict=True))
    yield Remark(
        "order of species",
        "note",
        f"PPmodel_scale: the factors are {pairs}; atoms are listed as {' '.join(listed)}",
        "species are sorted by symbol",
    )
