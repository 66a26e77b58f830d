"""What is told of a conversion: on the screen, in comments and in the README of the bundle."""

from collections import Counter

import numpy as np

from deeppseudopot_jax.toolkit.convert.conversion import Conversion
from deeppseudopot_jax.toolkit.convert.source import SourceBands
from deeppseudopot_jax.toolkit.new.template import MAX_KINETIC_ENERGY, guessed_files


def formula(source: SourceBands) -> str:
    """Symbols with their numbers, in the order of the cell, divided by what they share."""
    counts = Counter(source.crystal.symbols)
    shared = int(np.gcd.reduce(list(counts.values())))
    return "".join(
        symbol + ("" if count == shared else str(count // shared))
        for symbol, count in counts.items()
    )


def origin(conversion: Conversion) -> str:
    """What the bands are of, and the program that made them."""
    source = conversion.source
    return f"{formula(source)}, {source.program}"


def told(conversion: Conversion) -> list[str]:
    """What is in the bundle, and what was done for it."""
    source, edges = conversion.source, conversion.edges
    n_k, n_bands = conversion.energies.shape
    read_from = f", read from {source.file}" if source.file else ""
    lines = [
        f"{n_k} k-points, {n_bands} bands of {origin(conversion)}{read_from}",
        *conversion.done,
    ]
    if source.mesh_weights is not None:
        lines.append("k-points of a mesh, weighted as there (1 on average)")
    if edges is not None and edges.conduction_bottom is not None:
        gap = edges.conduction_bottom - edges.valence_top
        kind = "" if edges.direct_at is None else f", direct at k-point {edges.direct_at}"
        lines.append(f"gap {gap:.4f} eV{kind}; valence top {edges.valence_top:.4f} eV")
    return lines


def to_check(conversion: Conversion) -> list[str]:
    """What the user has to look at."""
    guessed = guessed_files(conversion.source.crystal.symbols)
    guesses = (
        [f"guesses: {', '.join(guessed)}; coefficients of the literature are better"]
        if guessed
        else []
    )
    return [
        *conversion.to_check,
        *guesses,
        f"maxKE in input_0.par: {MAX_KINETIC_ENERGY} Ha suits tetrahedral semiconductors",
    ]


def readme(conversion: Conversion) -> str:
    """README.md of the bundle."""
    done = "\n".join(f"- {line}" for line in told(conversion))
    check = "\n".join(f"- {line}" for line in to_check(conversion))
    spin = (
        "A level of the source is that of a spinor and fills one column."
        if conversion.source.is_spinor
        else "A level of the source stands for spin up and down and fills two columns."
    )
    weights = "3 at symmetry points" if conversion.source.mesh_weights is None else "of the mesh"
    return (
        f"# {origin(conversion)}\n\n{done}\n\n{spin}\n"
        "Energies in eV, k-points in fractions of the reciprocal vectors of `system_0.par`.\n"
        f"Weights of k-points: {weights}; of bands: less for the deepest and higher empty ones.\n\n"
        f"To check:\n\n{check}\n"
    )
