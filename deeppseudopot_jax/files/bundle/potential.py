"""The potential that a run has left in its results folder, in place of that of the inputs."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from deeppseudopot_jax.files.bundle.folder import InputsFolder
from deeppseudopot_jax.files.findings import BundleError, Finding, Findings
from deeppseudopot_jax.files.generations import files_of
from deeppseudopot_jax.settings import Settings

_WEIGHTS = "init_PPmodel.pth"
_OWN = re.compile(r"init_(PPmodel|AdamState)\.pth|(init_)?[A-Za-z]+Params\.par")
"""The potential of an inputs folder."""
_COEFFICIENTS = re.compile(r"[^_]+_([A-Za-z]+)Params\.(par|dat)")
_CURVE = re.compile(r"[^_]+_pot_([A-Za-z]+)\.dat")


@dataclass(frozen=True)
class Potential:
    """A potential in a results folder.

    Attributes:
        folder: the results folder.
        prefix: of its files: "final", or "best" where the run has not come to its end.
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


def potential_of(results: Path) -> Potential:
    """The final_* potential of a run, else its best_*.

    Raises:
        BundleError: if there is none.
    """
    if not results.is_dir():
        what = "is not a folder" if results.exists() else "does not exist"
        raise BundleError([Finding(str(results), what, legal="the results folder of a run")])
    for prefix in ("final", "best"):
        files, there = {}, files_of(results, prefix)
        names = sorted(there)
        for name in names:
            atom = _COEFFICIENTS.fullmatch(name)
            if name == f"{prefix}_PPmodel.pth":
                files[_WEIGHTS] = there[name]
            elif atom and name.startswith(f"{prefix}_"):
                files[f"init_{atom[1]}Params.par"] = there[name]
        if files:
            own = [name for name in names if name.startswith((f"{prefix}_", "initZunger_"))]
            known = (_COEFFICIENTS.fullmatch(name) or _CURVE.fullmatch(name) for name in own)
            return Potential(
                results, prefix, files, frozenset(found[1] for found in known if found)
            )
    legal = "final_PPmodel.pth or final_<atom>Params.par, or best_* of these"
    raise BundleError([Finding(str(results), "holds no potential of a run", legal=legal)])


def with_potential(inputs: InputsFolder, potential: Potential) -> InputsFolder:
    """The inputs with this potential in place of their own."""
    rest = {name for name in inputs.names if not _OWN.fullmatch(name)}
    return replace(
        inputs, names=frozenset(rest | potential.files.keys()), elsewhere=potential.files
    )


def check_potential(
    potential: Potential, settings: Settings, species: tuple[str, ...], findings: Findings
) -> bool:
    """Whether a potential is one of this kind of model and of these species; problems, if not."""
    place, before = str(potential.folder), len(findings.problems)
    wanted, model = set(species), f"PPmodel = {settings.model}"
    weights = f"{potential.prefix}_PPmodel.pth"
    if settings.trains_coefficients and potential.has_weights:
        findings.problem(place, "holds the potential of a network", found=weights, legal=model)
    elif not settings.trains_coefficients and not potential.has_weights:
        findings.problem(place, f"has no {weights}, but {model} needs it")
    # A network has one output per species of its run; coefficients are those of a species.
    fits = potential.species >= wanted
    if potential.has_weights:
        fits = potential.species in (wanted, set())
    if not fits:
        found, legal = " ".join(sorted(potential.species)), " ".join(sorted(wanted))
        findings.problem(place, "holds a potential of other species", found=found, legal=legal)
    return len(findings.problems) == before
