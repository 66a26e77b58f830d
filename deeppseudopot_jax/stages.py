"""The key `stages`: fits that follow each other in one run, and what each of them fits.

A stage `zunger` fits the Zunger coefficients with `optimizer`, a stage `network` the weights of
PPmodel. A stage `monte_carlo` samples what the stage after it fits; as the last one, PPmodel.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

StageName = Literal["zunger", "network", "monte_carlo"]

NO_NETWORK = "ZeroFunction"
"""The PPmodel with which the Zunger coefficients themselves are the local potential."""


def spelled(stages: Sequence[StageName]) -> str:
    """The key and its value, as users write them."""
    return f"stages = {' '.join(stages)}"


def fit_coefficients(stages: Sequence[StageName], model: str | None) -> tuple[bool, ...]:
    """Whether each stage fits the Zunger coefficients; if not, it fits the network `model`.

    The model is None while reading finds it missing.
    """
    found = []
    coefficients = model == NO_NETWORK
    for name in reversed(stages):
        if name != "monte_carlo":
            coefficients = name == "zunger"
        found.append(coefficients)
    return tuple(reversed(found))


def hand_over_a_curve(stages: Sequence[StageName], model: str | None) -> bool:
    """Whether a network starts from the coefficients that the stage before it has fitted."""
    return len(set(fit_coefficients(stages, model))) == 2


def wrong_with(stages: Sequence[StageName], model: str | None) -> list[str]:
    """Why stages cannot follow each other like this, or not with this model; all reasons."""
    key = spelled(stages)
    found = [
        f"{key}: {name} twice in a row, write it once"
        for name in sorted({one for one, other in pairwise(stages) if one == other})
    ]
    if model == NO_NETWORK and "network" in stages:
        found.append(f"{key}: PPmodel = {model} is no network, name one or leave `network` out")
    elif model != NO_NETWORK and stages[-1] == "zunger":
        found.append(f"{key}: nothing fits PPmodel = {model}, end with `network` or `monte_carlo`")
    coefficients = fit_coefficients(stages, model)
    if any(later and not earlier for earlier, later in pairwise(coefficients)):
        found.append(f"{key}: the coefficients cannot start from a network, put `zunger` first")
    return found
