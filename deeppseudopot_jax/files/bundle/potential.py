"""The potential that a run has left in its results folder, in place of that of the inputs.

It is named by that folder, or by one of its prefixes: results, results/epoch_100.
"""

import glob
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from deeppseudopot_jax.files.bundle.folder import InputsFolder
from deeppseudopot_jax.files.findings import BundleError, Finding, Findings
from deeppseudopot_jax.files.generations import files_of
from deeppseudopot_jax.settings import Settings

_WEIGHTS = "init_PPmodel.pth"
_OWN = re.compile(r"init_(PPmodel|AdamState)\.pth|(init_)?[A-Za-z]+Params\.par")
"""The potential of an inputs folder."""
_CHECKPOINTS = ("PPmodel.pth", "AdamState.pth")
_COEFFICIENTS = re.compile(r"([A-Za-z]+)Params\.(par|dat)")
_CURVE = re.compile(r"pot_([A-Za-z]+)\.dat")
"""Behind a prefix."""


@dataclass(frozen=True)
class Potential:
    """A potential in a results folder.

    Attributes:
        folder: the results folder.
        prefix: of its files.
        files: the files by the names that they would have in an inputs folder.
        species: of the run, as far as its files tell.
    """

    folder: Path
    prefix: str
    files: Mapping[str, Path]
    species: frozenset[str]

    @property
    def has_weights(self) -> bool:
        """Whether it is a network's."""
        return _WEIGHTS in self.files

    @property
    def sources(self) -> dict[str, str]:
        """What a log calls the files of its parts."""
        found = {"coefficients": f"{self.prefix}_<atom>Params in {self.folder}"}
        if self.has_weights:
            found["weights"] = f"{self.prefix}_PPmodel.pth in {self.folder}"
        return found


def potential_of(results: Path) -> Potential:
    """The final_* potential of a run, else its best_*; or that of a prefix behind the folder.

    Raises:
        BundleError: if there is none.
    """
    folder = results
    prefixes: tuple[str, ...] = ("final", "best")
    if not results.exists() and any(results.parent.glob(f"{glob.escape(results.name)}_*")):
        folder, prefixes = results.parent, (results.name,)
    if not folder.is_dir():
        what = "is not a folder" if folder.exists() else "does not exist"
        raise BundleError([Finding(str(results), what, legal="the results folder of a run")])
    for prefix in prefixes:
        files, there = {}, files_of(folder, prefix)
        names = sorted(name for name in there if name.startswith(f"{prefix}_"))
        for name in names:
            atom = _COEFFICIENTS.fullmatch(name, len(prefix) + 1)
            if name.removeprefix(f"{prefix}_") in _CHECKPOINTS:
                files[f"init_{name.removeprefix(f'{prefix}_')}"] = there[name]
            elif atom:
                files[f"init_{atom[1]}Params.par"] = there[name]
        if files:
            return Potential(folder, prefix, files, _species(there, prefix))
    which = " or ".join(f"{prefix}_PPmodel.pth, {prefix}_<atom>Params.par" for prefix in prefixes)
    found = Finding(str(folder), "holds no potential of a run", legal=which)
    raise BundleError([found])


def _species(names: Iterable[str], prefix: str) -> frozenset[str]:
    """Of a run, as far as the files of this potential and of its start tell."""
    found = set()
    for name in names:
        for own in (prefix, "initZunger"):
            if name.startswith(f"{own}_"):
                start = len(own) + 1
                for pattern in (_COEFFICIENTS, _CURVE):
                    atom = pattern.fullmatch(name, start)
                    found |= {atom[1]} if atom else set()
    return frozenset(found)


def with_potential(inputs: InputsFolder, potential: Potential) -> InputsFolder:
    """The inputs with this potential in place of their own."""
    rest = {name for name in inputs.names if not _OWN.fullmatch(name)}
    return replace(
        inputs, names=frozenset(rest | potential.files.keys()), elsewhere=potential.files
    )


def check_potential(
    potential: Potential,
    settings: Settings,
    species: tuple[str, ...],
    findings: Findings,
    as_it_is: bool,
) -> bool:
    """Whether a potential is one of this kind of model and of these species; problems, if not.

    Where it is not taken `as_it_is`, the network of a run may start from coefficients.
    """
    place, before = str(potential.folder), len(findings.problems)
    wanted, model = set(species), f"PPmodel = {settings.model}"
    weights = f"{potential.prefix}_PPmodel.pth"
    if settings.trains_coefficients and potential.has_weights:
        findings.problem(place, "holds the potential of a network", found=weights, legal=model)
    elif as_it_is and not settings.trains_coefficients and not potential.has_weights:
        findings.problem(place, f"has no {weights}, but {model} needs it")
    # A network has one output per species of its run; coefficients are those of a species.
    fits = potential.species >= wanted
    if potential.has_weights:
        fits = potential.species in (wanted, set())
    if not fits:
        found, legal = " ".join(sorted(potential.species)), " ".join(sorted(wanted))
        findings.problem(place, "holds a potential of other species", found=found, legal=legal)
    return len(findings.problems) == before
