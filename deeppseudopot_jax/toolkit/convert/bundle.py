"""The files of a bundle made of the bands of another program."""

from pathlib import Path

import numpy as np

from deeppseudopot_jax.files.atomic import atomic_path
from deeppseudopot_jax.files.bundle.writing import (
    band_weights_text,
    k_points_text,
    reference_text,
    system_text,
)
from deeppseudopot_jax.files.disk import writing
from deeppseudopot_jax.k_path import k_path
from deeppseudopot_jax.symmetry_points import point_namer
from deeppseudopot_jax.toolkit.convert.account import (
    formula,
    origin,
    readme,
    to_check,
    told,
)
from deeppseudopot_jax.toolkit.convert.conversion import Conversion, converted
from deeppseudopot_jax.toolkit.convert.options import ConversionOptions
from deeppseudopot_jax.toolkit.convert.source import SourceBands
from deeppseudopot_jax.toolkit.new.template import (
    MAX_KINETIC_ENERGY,
    OF_CUTOFF,
    band_weights,
    coefficient_texts,
    config_text,
    k_weights,
)
from deeppseudopot_jax.toolkit.targets import refuse_existing

_ZOOM = 5.0


def write_bundle(
    source: SourceBands, folder: Path, options: ConversionOptions, overwrite: bool = False
) -> str:
    """Write a complete bundle; returns what was written and done, and what the user must look at.

    Args:
        source: what a program has computed.
        folder: created if it is absent.
        options: which levels and k-points are taken, and how energies are changed.
        overwrite: whether files of the same names may be replaced.

    Raises:
        InputError: if the source has not what `options` ask for.
        ResultsError: if files are there already, or cannot be written.
    """
    refuse_existing([folder / name for name in _names(source)], overwrite)
    conversion = converted(source, options)
    texts = bundle_texts(conversion)
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        with atomic_path(folder / name) as path:
            path.write_text(text, encoding="utf-8")
    return "\n".join(
        [
            f"{folder}: {', '.join(texts)}",
            *(f"- {line}" for line in told(conversion)),
            *(f"- check: {line}" for line in to_check(conversion)),
        ]
    )


def bundle_texts(conversion: Conversion) -> dict[str, str]:
    """Name and text of every file of the bundle."""
    crystal, spin_orbit = conversion.source.crystal, conversion.source.has_spin_orbit
    lengths = _lengths(conversion)
    return {
        "NN_config.par": config_text(spin_orbit),
        "system_0.par": f"# {origin(conversion)}\n{system_text(crystal, 1.0)}",
        "input_0.par": _input(conversion),
        "kpoints_0.par": _k_points(conversion, lengths),
        "expBandStruct_0.par": _reference(conversion, lengths),
        "bandWeights_0.par": band_weights_text(_band_weights(conversion)),
        **coefficient_texts(crystal.symbols, spin_orbit),
        "README.md": readme(conversion),
    }


def _names(source: SourceBands) -> list[str]:
    """Of the files that `bundle_texts` writes."""
    return [
        "NN_config.par", "system_0.par", "input_0.par", "kpoints_0.par", "expBandStruct_0.par",
        "bandWeights_0.par", *coefficient_texts(source.crystal.symbols), "README.md",
    ]  # fmt: skip


def _lengths(conversion: Conversion) -> np.ndarray:
    """Of the path; on a mesh, numbers of the rows."""
    source, rows = conversion.source, conversion.rows
    if source.mesh_weights is not None:
        return np.arange(len(rows), dtype=float)
    return k_path(source.k_points[rows], source.crystal.lattice).position


def _k_points(conversion: Conversion, lengths: np.ndarray) -> str:
    source, rows = conversion.source, conversion.rows
    k_points = source.k_points[rows]
    name_of = point_namer(source.crystal.lattice)
    labels = [source.labels[i] or name_of(source.k_points[i]) for i in rows]
    if source.mesh_weights is None:
        weights = k_weights(labels)
    else:
        weights = source.mesh_weights[rows] / source.mesh_weights[rows].mean()
    return k_points_text(k_points, weights, lengths, labels, origin(conversion))


def _reference(conversion: Conversion, lengths: np.ndarray) -> str:
    done = "".join(f"# {line}\n" for line in conversion.done)
    heading = f"# {origin(conversion)}\n{done}# path length, energies in eV\n"
    return heading + reference_text(lengths, conversion.energies)


def _band_weights(conversion: Conversion) -> np.ndarray:
    edges, n_bands = conversion.edges, conversion.energies.shape[1]
    weights = band_weights(n_bands, None if edges is None else edges.valence_band + 1)
    weights[: conversion.n_missing] = 0.0
    return weights


def _input(conversion: Conversion) -> str:
    edges, n_bands = conversion.edges, conversion.energies.shape[1]
    known = conversion.energies[:, conversion.n_missing :]
    lines = [
        f"systemName = {formula(conversion.source)}",
        f"nBands = {n_bands}   # counted with spin",
        f"maxKE = {MAX_KINETIC_ENERGY}   # Ha; {OF_CUTOFF}",
    ]
    middle = float(known.min() + known.max()) / 2
    if edges is None:
        lines.append("# idxVB = ?   # highest valence band, from 0\n# idxCB = ?")
    else:
        middle = edges.valence_top
        lines.append(f"idxVB = {edges.valence_band}   # highest valence band, from 0")
        if edges.conduction_bottom is None:
            lines.append("# idxCB = ?")
        else:
            middle = (middle + edges.conduction_bottom) / 2
            lines.append(f"idxCB = {edges.conduction_band}")
    if edges is not None and edges.direct_at is not None:
        lines.append(f"idxGap = {edges.direct_at}   # row of kpoints_0.par, from 0")
    else:
        lines.append("# idxGap = ?   # row of kpoints_0.par, from 0: for masses and couplings")
    half_width = float(np.ceil(np.abs(known - middle).max())) + 1.0
    lines += [
        f"BS_plot_center = {middle:.2f}   # eV",
        f"BS_plot_CBVB_range = {half_width:g}",
        f"BS_plot_CBVB_range_zoom = {min(_ZOOM, half_width):g}",
    ]
    return "\n".join(lines) + "\n"
