"""The path that an input of pw.x asks for: its k-points, and the names in its comments."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from deeppseudopot_jax.errors import InputError
from deeppseudopot_jax.toolkit.convert.k_points_card import KPointsCard, read_k_points_card

_MOST_STEPS = 100_000


@dataclass(frozen=True, eq=False)
class InputPath:
    """k-points in fractions of the reciprocal vectors, "" as the label of those without a name."""

    k_points: Float[np.ndarray, "kpt 3"]
    labels: tuple[str, ...]


def read_path_input(path: Path) -> InputPath:
    """The k-points of `K_POINTS crystal_b` or `crystal`, one by one.

    The count of a point of `crystal_b` is how many steps lead to the next one; 0 is a jump.

    Raises:
        BundleError: if the list cannot be read.
        InputError: if there is none of these kinds, or its steps are too many.
    """
    card = read_k_points_card(path)
    if card.kind == "crystal":
        return InputPath(card.k_points, card.labels)
    if card.kind != "crystal_b":
        raise InputError(
            f"{path}: K_POINTS {card.kind} is no path; legal: K_POINTS crystal_b or crystal"
        )
    if card.numbers[:-1].sum() > _MOST_STEPS:
        raise InputError(f"{path}: more than {_MOST_STEPS} steps between the corners of the path")
    return _along(card)


def _along(card: KPointsCard) -> InputPath:
    found, names = [card.k_points[0]], [card.labels[0]]
    corners = zip(card.k_points, card.k_points[1:], card.numbers, card.labels[1:], strict=False)
    for begin, end, count, label in corners:
        steps = max(round(count), 1)  # 0 is a jump: nothing in between either
        found += [begin + (end - begin) * (j / steps) for j in range(1, steps + 1)]
        names += [""] * (steps - 1) + [label]
    return InputPath(np.array(found), tuple(names))
