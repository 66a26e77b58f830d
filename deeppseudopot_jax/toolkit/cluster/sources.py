"""Where fitted potentials come from: results of runs, members of ensembles, replicas, tables."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from deeppseudopot_jax.errors import InputError
from deeppseudopot_jax.files.results.form_factors import SUFFIX, FormFactors, read_form_factors
from deeppseudopot_jax.toolkit.cluster.costs import cost_of
from deeppseudopot_jax.toolkit.cluster.replicas import CHECKPOINT, replicas_of
from deeppseudopot_jax.toolkit.plot.names import distinct_names
from deeppseudopot_jax.toolkit.plot.potentials import outcome_of

_MEMBER = re.compile(r"member_\d+")
_FRAME = re.compile(r"(?P<chain>.*)mc_iter_(?P<step>\d+)")


@dataclass(frozen=True, eq=False)
class Fitted:
    """A fitted potential: where it is from, v(q), and its cost (eV^2), NaN where not known."""

    name: str
    table: FormFactors
    cost: float


def fitted_potentials(sources: Sequence[Path]) -> list[Fitted]:
    """All potentials of the sources, in their order.

    Args:
        sources: *_qSpace_pot.dat files, and results folders: of an ensemble (all its members), of
            a Monte Carlo run (the replicas in its checkpoints, and the potentials on the way,
            mc_iter_*), or of any other run (its outcome).

    Raises:
        BundleError: if a file is no table of v(q).
        InputError: if a source is given twice.
        ResultsError: if a folder has no potential, or its files are damaged.
    """
    found: list[Fitted] = []
    for source, name in zip(sources, distinct_names(sources), strict=True):
        if source.is_dir():
            found += [Fitted(f"{name}/{f.name}", f.table, f.cost) for f in _of_folder(source)]
        else:
            prefix = source.name.removesuffix(SUFFIX)
            found.append(Fitted(name, read_form_factors(source), cost_of(source.parent, prefix)))
    _check_species(found)
    return found


def _of_folder(folder: Path) -> list[Fitted]:
    members = [prefix for prefix in _prefixes(folder) if _MEMBER.fullmatch(prefix)]
    if members:
        return [_of_table(folder, prefix) for prefix in members]
    chains = sorted(folder.glob(f"*{CHECKPOINT}"))
    if chains:
        return [fitted for checkpoint in chains for fitted in _of_chain(folder, checkpoint)]
    prefix = outcome_of(folder).name.removesuffix(SUFFIX)
    return [_of_table(folder, prefix)]


def _of_chain(folder: Path, checkpoint: Path) -> Iterator[Fitted]:
    """The replicas of a chain, and what it has left on the way but the end, which they are."""
    chain = checkpoint.name.removesuffix(CHECKPOINT)
    prefixes = _prefixes(folder)
    grid = read_form_factors(folder / f"{prefixes[0]}{SUFFIX}").q if prefixes else None
    replicas = replicas_of(checkpoint, grid)
    for number, (table, cost) in enumerate(replicas.potentials):
        yield Fitted(f"{chain}replica_{number}", table, cost)
    for prefix in prefixes:
        frame = _FRAME.fullmatch(prefix)
        if frame and frame["chain"] == chain and int(frame["step"]) != replicas.step:
            yield _of_table(folder, prefix)


def _of_table(folder: Path, prefix: str) -> Fitted:
    table = read_form_factors(folder / f"{prefix}{SUFFIX}")
    return Fitted(prefix, table, cost_of(folder, prefix))


def _prefixes(folder: Path) -> list[str]:
    """Of the tables of v(q) in a folder; numbers in their order."""
    found = [path.name.removesuffix(SUFFIX) for path in folder.glob(f"*{SUFFIX}")]
    return sorted(found, key=lambda name: [int(x) if x.isdigit() else x for x in _parts(name)])


def _parts(name: str) -> list[str]:
    return re.split(r"(\d+)", name)


def _check_species(potentials: Sequence[Fitted]) -> None:
    """Potentials of other species have nothing to be compared with."""
    for potential in potentials[1:]:
        first = potentials[0]
        if set(potential.table.species) != set(first.table.species):
            raise InputError(
                f"{potential.name}: found the species {' '.join(potential.table.species)}; "
                f"{first.name} has {' '.join(first.table.species)}: legal are potentials of the "
                "same species"
            )
