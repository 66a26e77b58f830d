"""The helper files of Monte Carlo runs: mcOpts*.par and the schedule of beta."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from pydantic import BaseModel, ConfigDict, Field

from deeppseudopot_jax.files.bundle.coefficients import check_ascending
from deeppseudopot_jax.files.bundle.folder import InputsFolder
from deeppseudopot_jax.files.bundle.key_value import TRUE_OR_FALSE, KeyFile, read_keys
from deeppseudopot_jax.files.bundle.text import read_document, read_table
from deeppseudopot_jax.files.findings import Findings
from deeppseudopot_jax.settings import PositiveFloat, PositiveInt, Settings
from deeppseudopot_jax.types import MonteCarloOptions, SystemInput


class OptionKeys(BaseModel):
    """Every key of mcOpts*.par; the fields are those of MonteCarloOptions."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True
    )

    betas: tuple[PositiveFloat, PositiveFloat] = Field(alias="betas")
    """Two inverse temperatures in 1/eV: they take turns, or are the ends of a ladder."""
    steps_at_temperature: tuple[PositiveInt, PositiveInt] = Field(alias="stepsAtTemp")
    """Steps at each of them before the other one comes."""
    step_size_factors: tuple[PositiveFloat, PositiveFloat] = Field(alias="tempStepSizeMod")
    """Factors on the step sizes at each of them."""
    total_iterations: PositiveInt = Field(alias="totalIter")
    """Steps of every replica."""
    fit_deformation: bool = Field(False, alias="fitDefPot")
    """The cost has the deformation potentials of expDefPot_X.par."""
    fit_couplings: bool = Field(False, alias="fitCoupling")
    """The cost has the couplings of expCoupling_X.par."""
    fit_masses: bool = Field(False, alias="fitEffMass")
    """The cost has the masses of the reference at the gap."""
    optimize_gaps: bool = Field(False, alias="optGaps")
    """The cost compares gaps between neighbouring bands instead of energies."""
    deformation_weight: float = Field(1.0, ge=0, alias="defPotWeight")
    """Factor on the cost of the deformation potentials."""
    write_every: PositiveInt | None = Field(None, alias="writePerIter")
    """Steps between two rows of iterations.dat; 10 without it."""


def read_all_options(folder: InputsFolder) -> tuple[MonteCarloOptions, ...]:
    """The options of every mcOpts*.par file, in natural order of their names."""
    paths = folder.matching(r"mcOpts.*\.par", example="mcOpts1.par")
    documents = [read_document(path, folder.findings) for path in paths]
    files = [read_keys(doc, OptionKeys, TRUE_OR_FALSE) for doc in documents if doc is not None]
    return tuple(
        MonteCarloOptions(file=keys.document.name, **dict(keys.values))
        for keys in files
        if not keys.faulty
    )


def check_options(
    options: tuple[MonteCarloOptions, ...], fitted: Sequence[SystemInput], findings: Findings
) -> None:
    """What an mcOpts*.par file switches on, at least one of the fitted systems must have."""
    has_deformation = any(system.deformation_targets for system in fitted)
    has_couplings = any(system.coupling_targets for system in fitted)
    for option in options:
        for key, wanted, given, needed in (
            ("fitDefPot", option.fit_deformation, has_deformation, "expDefPot_X.par"),
            ("fitCoupling", option.fit_couplings, has_couplings, "expCoupling_X.par"),
        ):
            if wanted and not given:
                message = f"{key} = True needs the file {needed} of some system"
                findings.problem(option.file, message, key=key)


def read_beta_schedule(
    folder: InputsFolder, config: KeyFile[Settings]
) -> Float[np.ndarray, "row 2"] | None:
    """The rows `iteration beta` of the file that mc_beta_schedule names in the inputs folder."""
    name = config.values.mc_beta_schedule
    if name is None:
        return None
    if not (folder.root / name).exists():
        config.problem(
            "mc_beta_schedule names no file",
            "mc_beta_schedule",
            found=str(name),
            legal="a path, relative to the inputs folder",
        )
        return None
    folder.legal.add(str(name))
    document = read_document(folder.root / name, folder.findings)
    table = None if document is None else read_table(document, 2, "iteration beta")
    if document is None or table is None:
        return None
    check_ascending(document, table.values[:, 0], table.lines, "iteration")
    for (iteration, beta), line in zip(table.values, table.lines, strict=True):
        if not float(iteration).is_integer():
            document.problem(
                line, "bad iteration", found=f"{iteration:g}", legal="a whole number >= 0"
            )
        if beta <= 0:
            document.problem(line, "bad beta", found=f"{beta:g}", legal="a number > 0")
    return table.values
