"""The replicas of a Monte Carlo run, as its checkpoint has them.

A checkpoint holds their parameters, and of the bundle the keys that act, the species and the
cutoffs: all that makes v(q) of them.
"""

from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from deeppseudopot_jax.errors import ResultsError
from deeppseudopot_jax.files.bundle.key_value import read_keys
from deeppseudopot_jax.files.bundle.text import Document, Line
from deeppseudopot_jax.files.findings import Findings
from deeppseudopot_jax.files.results.form_factors import FormFactors
from deeppseudopot_jax.files.results.snapshots import read_part
from deeppseudopot_jax.potentials.compose import LocalModel
from deeppseudopot_jax.potentials.long_range import long_range_tail
from deeppseudopot_jax.problem import local_model_of
from deeppseudopot_jax.settings import Settings
from deeppseudopot_jax.settings.potential import Model

CHECKPOINT = "mc_checkpoint.npz"

_STATE = "['running'].state."
_PARAMS = "replicas.params."
_OTHER_FACTS = ("nSystem", "LRgamma")
_CUTOFF = "max kinetic energy"


class Replicas(NamedTuple):
    """v(q) and cost (eV^2) of every replica, and the number of steps that are done."""

    potentials: list[tuple[FormFactors, float]]
    step: int


def replicas_of(checkpoint: Path, grid: Float[np.ndarray, " q"] | None = None) -> Replicas:
    """All replicas of a chain.

    Args:
        checkpoint: that the chain has left.
        grid: q of the tables (Bohr^-1); that which runs write by default where None.

    Raises:
        SnapshotError: if the file is damaged, or no checkpoint of this version.
        ResultsError: if it is that of something else than a Monte Carlo run.
        BundleError: if its model is not one of this version.
    """
    arrays, facts = read_part(checkpoint, _STATE)
    try:
        settings, species = _settings(checkpoint.name, facts), _listed(facts["species"])
        energies = [float(v) for name, v in facts.items() if name.endswith(_CUTOFF)]
        model = local_model_of(settings, len(species), max(energies))
        costs, step = arrays["replicas.cost"], int(arrays["step"])
        locals_ = _local_parameters(model, arrays)
        tails = jnp.asarray(arrays[f"{_PARAMS}long_range"])
    except (KeyError, ValueError) as error:
        raise ResultsError(
            f"{checkpoint} is no checkpoint of a Monte Carlo run: found no {error}; legal: "
            f"{CHECKPOINT} as a run writes it"
        ) from error
    points = np.linspace(0.0, settings.q_max, settings.n_q) if grid is None else grid
    q = jnp.asarray(points, tails.dtype)
    found = []
    for number, cost in enumerate(costs):
        own = jax.tree.map(lambda leaf, i=number: jnp.asarray(leaf[i]), locals_)
        v = model.apply(own, q) + long_range_tail(q, tails[number], settings.long_range_gamma)
        table = FormFactors(points, np.asarray(v, float), species)
        found.append((table, float(cost)))
    return Replicas(found, step)


def _settings(name: str, facts: dict[str, str]) -> Settings:
    """What NN_config.par said of the model, the rest at its defaults."""
    keys = {str(info.alias) for info in Model.model_fields.values()} | set(_OTHER_FACTS)
    given = [f"{key} = {facts[key]}" for key in facts if key in keys]
    findings = Findings()
    lines = tuple(Line(number, text) for number, text in enumerate(given, start=1))
    config = read_keys(Document(name, lines, findings), Settings)
    findings.raise_if_any(name)
    return config.values


def _local_parameters(model: LocalModel, arrays: dict[str, np.ndarray]) -> object:
    """The parameters of the local model, leaves (replica, ...)."""
    places, structure = jax.tree_util.tree_flatten_with_path(model.parameter_shapes())
    leaves = []
    for place, legal in places:
        name = f"local{jax.tree_util.keystr(place)}"
        leaf = arrays[_PARAMS + name]
        if leaf.shape[1:] != legal.shape:
            raise ValueError(f"{name} of shape {legal.shape}, but of {leaf.shape[1:]}")
        leaves.append(leaf)
    return jax.tree.unflatten(structure, leaves)


def _listed(text: str) -> tuple[str, ...]:
    """The words of "(As, Ga)"."""
    return tuple(text.strip("()").replace(",", " ").split())
