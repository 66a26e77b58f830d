"""All the files of one system, put together into its SystemInput."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from deeppseudopot_jax.files.bundle.couplings import read_couplings
from deeppseudopot_jax.files.bundle.crystal import read_crystal
from deeppseudopot_jax.files.bundle.deformation import read_deformation_targets
from deeppseudopot_jax.files.bundle.folder import InputsFolder
from deeppseudopot_jax.files.bundle.input_keys import (
    InputKeys,
    check_band_count,
    check_below,
    read_input_keys,
    require_gap,
)
from deeppseudopot_jax.files.bundle.k_points import WeightedPoints, read_band_order, read_points
from deeppseudopot_jax.files.bundle.key_value import KeyFile
from deeppseudopot_jax.files.bundle.purpose import Purpose, without_fits
from deeppseudopot_jax.files.bundle.reference import (
    BandReference,
    check_energy_order,
    of_these_k_points,
    read_band_reference,
    read_band_weights,
)
from deeppseudopot_jax.files.bundle.text import Document, read_document
from deeppseudopot_jax.settings import Settings
from deeppseudopot_jax.stages import spelled
from deeppseudopot_jax.types import (
    CouplingTarget,
    DeformationTarget,
    GapDeformationTargets,
    SystemInput,
)

Record = TypeVar("Record")


@dataclass(frozen=True)
class _Shape:
    """What the other files of a system are checked against; None where it is not known."""

    n_k: int | None
    n_bands: int | None
    symbols: tuple[str, ...] | None


def read_system(
    folder: InputsFolder, index: int, config: KeyFile[Settings], purpose: Purpose
) -> SystemInput | None:
    """System `index` of a bundle; everything wrong with its files goes to the findings.

    None where a file that it cannot do without is missing or bad; what is wrong in another file
    leaves its part out of the record.
    """
    crystal = _read(folder.required(f"system_{index}.par"), read_crystal)
    keys = _read(folder.required(f"input_{index}.par"), read_input_keys)
    k_points = _read(folder.required(f"kpoints_{index}.par"), read_points)
    shape = _Shape(
        None if k_points is None else len(k_points.weights),
        None if keys is None else keys.values.n_bands,
        None if crystal is None else crystal.symbols,
    )
    if keys is not None and purpose == "eval":
        keys = without_fits(keys, "fit_deformation", "fit_couplings", "fit_masses")
    # An evaluation has k-points of its own: those that a fit refers to may not be among them.
    n_k_of_fit = shape.n_k if purpose == "run" else None
    if keys is not None:
        check_below(keys, "gap_k_point", "k-points", n_k_of_fit)
    if crystal is not None and keys is not None:
        check_band_count(keys, crystal)
    check_below(config, "relative_band", f"nBands of input_{index}.par", shape.n_bands)

    order_document = folder.optional(f"kpoints_{index}_orderMatrix.par")
    order = _read(order_document, read_band_order, shape.n_k, shape.n_bands)
    reference = _read_reference(folder, index, shape, config.values)
    weights_document = folder.optional(f"bandWeights_{index}.par")
    weights = _read(weights_document, read_band_weights, shape.n_bands)
    deformation = _read_deformation(folder, index, keys, replace(shape, n_k=n_k_of_fit))
    q_points, couplings = _read_couplings(folder, index, keys, shape, config.values.n_systems)

    if crystal is None or keys is None or k_points is None or keys.faulty:
        return None
    if weights_document is None:
        folder.findings.note(f"bandWeights_{index}.par is absent: every band counts 1.")
    band_weights = np.ones(keys.values.n_bands) if weights is None else weights
    if reference is not None:
        fits = config.values.fits
        reference = of_these_k_points(reference, k_points, crystal, fits)
    ordered = order_document is not None or config.values.follows_bands
    if reference is not None and not ordered:
        check_energy_order(reference, k_points.weights[:, None] * band_weights)
    own_band = keys.values.relative_band
    return SystemInput(
        index=index,
        name=keys.values.name or f"system_{index}",
        crystal=crystal,
        n_bands=keys.values.n_bands,
        max_kinetic_energy=keys.values.max_kinetic_energy,
        k_points=k_points.points,
        k_weights=k_points.weights,
        band_weights=band_weights,
        band_order=order,
        path_length=None if reference is None else reference.path_length,
        reference_energies=None if reference is None else reference.energies,
        valence_band=keys.values.valence_band,
        conduction_band=keys.values.conduction_band,
        gap_k_point=keys.values.gap_k_point,
        relative_band=config.values.relative_band if own_band is None else own_band,
        plot_range=keys.values.plot_range,
        fit_deformation=keys.values.fit_deformation,
        fit_couplings=keys.values.fit_couplings,
        fit_masses=keys.values.fit_masses,
        q_points=None if q_points is None else q_points.points,
        q_weights=None if q_points is None else q_points.weights,
        deformation_targets=() if deformation is None else deformation,
        coupling_targets=couplings,
        labels=k_points.labels,
    )


def _read(
    document: Document | None, reader: Callable[..., Record | None], *known: int | None
) -> Record | None:
    """What `reader` makes of a file, given what is known from other files; None without one."""
    return None if document is None else reader(document, *known)


def _read_reference(
    folder: InputsFolder, index: int, shape: _Shape, settings: Settings
) -> BandReference | None:
    """The reference bands: needed for a fit, otherwise their absence is worth a note."""
    name = f"expBandStruct_{index}.par"
    is_fitted = settings.fits
    if is_fitted:
        reason = "mc_bool = 1" if settings.monte_carlo else "max_num_epochs > 0"
        if settings.stages:
            reason = spelled(settings.stages)
        document = folder.required(name, reason)
    else:
        document = folder.optional(name)
        if name not in folder.names:
            folder.findings.note(f"{name} is absent: the bands are not compared with a reference.")
    return _read(document, read_band_reference, shape.n_k, shape.n_bands, is_fitted)


def _read_deformation(
    folder: InputsFolder, index: int, keys: KeyFile[InputKeys] | None, shape: _Shape
) -> tuple[DeformationTarget, ...] | GapDeformationTargets | None:
    name = f"expDefPot_{index}.par"
    is_fitted = keys is not None and keys.values.fit_deformation
    document = folder.required(name, "fit_defPot = 1") if is_fitted else folder.optional(name)
    if document is None:
        return None
    targets = read_deformation_targets(document, shape.n_k, shape.n_bands)
    if keys is not None and isinstance(targets, GapDeformationTargets):
        require_gap(keys, f"the two-line form of {name}")
    return targets


def _read_couplings(
    folder: InputsFolder,
    index: int,
    keys: KeyFile[InputKeys] | None,
    shape: _Shape,
    n_systems: int,
) -> tuple[WeightedPoints | None, tuple[CouplingTarget, ...]]:
    """The q-points and the couplings; with one system, every expCoupling_*.dat is its."""
    pattern = rf"expCoupling_{index}(_.*)?\.(par|dat)"
    if n_systems == 1:
        pattern += r"|expCoupling_[^0-9].*\.dat"
    paths = folder.matching(pattern, example=f"expCoupling_{index}.par")
    is_fitted = keys is not None and keys.values.fit_couplings
    if is_fitted and not paths:
        folder.required(f"expCoupling_{index}.par", "fit_eph = 1")
    q_name = f"qpoints_{index}.par"
    reason = paths[0].name if paths else "fit_eph = 1"
    needs_q = is_fitted or paths
    q_document = folder.required(q_name, reason) if needs_q else folder.optional(q_name)
    q_points = _read(q_document, read_points)
    n_q = None if q_points is None else len(q_points.weights)
    documents = [read_document(path, folder.findings) for path in paths]
    good = [document for document in documents if document is not None]
    return q_points, read_couplings(good, shape.symbols, n_q)
