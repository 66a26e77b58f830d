"""The norms of a gradient: of every layer of a network, of every species in a channel."""

from collections.abc import Iterator

import numpy as np

from deeppseudopot_jax.parallel import on_host
from deeppseudopot_jax.potentials.networks import NetworkModel
from deeppseudopot_jax.potentials.state_dict import parameter_names
from deeppseudopot_jax.problem import Problem


def norms_line(problem: Problem, gradient: dict) -> str:
    """A line for the log, indented.

    Args:
        problem: that the gradient belongs to.
        gradient: by channel: of a network the tree of its weights, else (species, ...).
    """
    found = norms(problem, gradient).items()
    return "  gradient norms: " + ", ".join(f"{name} {norm:.3e}" for name, norm in found)


def norms(problem: Problem, gradient: dict) -> dict[str, float]:
    """Norms by the names of a PyTorch state dict, or those of channel and species."""
    return {name: float(np.linalg.norm(part)) for name, part in _parts(problem, on_host(gradient))}


def _parts(problem: Problem, gradient: dict) -> Iterator[tuple[str, np.ndarray]]:
    for channel, part in gradient.items():
        if isinstance(part, dict):
            assert isinstance(problem.local, NetworkModel)
            for layer, leaves in parameter_names(problem.local).items():
                yield from ((name, part[layer][leaf]) for leaf, name in leaves.items())
        else:
            names = (f"{channel} {symbol}" for symbol in problem.species)
            yield from zip(names, part, strict=True)
