"""A point on a line that fulfils the strong Wolfe conditions, with the constants of PyTorch.

J. Nocedal, S. J. Wright, Numerical Optimization, 2nd ed., algorithms 3.5 and 3.6. On the host:
every trial is a full evaluation of the cost and its gradient.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

_SUFFICIENT_DECREASE = 1e-4
_CURVATURE = 0.9
_MOST_TRIALS = 25
_SMALLEST_BRACKET = 1e-9
_FARTHEST = 10.0
_NEAREST = 0.01
_MARGIN = 0.1


class Point(NamedTuple):
    """Where a trial went: its length along the line, cost and slope there; what else is known.

    A cost that is not finite counts as infinite.
    """

    length: float
    cost: float
    slope: float
    found: Any = None


def wolfe_point(
    evaluate: Callable[[float], Point], start: Point, length: float, size: float
) -> Point:
    """The point to move to; `start` itself where no trial was lower.

    Args:
        evaluate: the cost along the line.
        start: at length 0, with a negative slope.
        length: of the first trial.
        size: largest component of the direction.
    """
    previous, trial = start, evaluate(length)
    for number in range(_MOST_TRIALS):
        if _too_high(trial, start) or (number > 1 and trial.cost >= previous.cost):
            return _between(evaluate, start, (previous, trial), number, size)
        if abs(trial.slope) <= -_CURVATURE * start.slope:
            return trial
        if trial.slope >= 0.0:
            return _between(evaluate, start, (previous, trial), number, size)
        nearest = trial.length + _NEAREST * (trial.length - previous.length)
        farther = _lowest_of_cubic(previous, trial, nearest, _FARTHEST * trial.length)
        previous, trial = trial, evaluate(farther)
    return min(start, trial, key=lambda point: point.cost)


def _between(
    evaluate: Callable[[float], Point],
    start: Point,
    bracket: tuple[Point, Point],
    used: int,
    size: float,
) -> Point:
    """The lowest of some trials between two points, the last one by the Wolfe conditions."""
    low, high = sorted(bracket, key=lambda point: point.cost)
    at_edge = False
    for _ in range(used, _MOST_TRIALS):
        first, last = sorted((low.length, high.length))
        if (last - first) * size < _SMALLEST_BRACKET:
            break
        length = _lowest_of_cubic(low, high, first, last)
        margin = _MARGIN * (last - first)
        near_edge = min(last - length, length - first) < margin
        if near_edge and (at_edge or not first < length < last):
            length = last - margin if last - length < length - first else first + margin
            at_edge = False
        else:
            at_edge = near_edge
        trial = evaluate(length)
        if _too_high(trial, start) or trial.cost >= low.cost:
            low, high = sorted((low, trial), key=lambda point: point.cost)
            continue
        if abs(trial.slope) <= -_CURVATURE * start.slope:
            return trial
        if trial.slope * (high.length - low.length) >= 0.0:
            high = low
        low = trial
    return low


def _too_high(trial: Point, start: Point) -> bool:
    return trial.cost > start.cost + _SUFFICIENT_DECREASE * trial.length * start.slope


def _lowest_of_cubic(a: Point, b: Point, least: float, most: float) -> float:
    """The minimum of the cubic through costs and slopes of two points, kept within bounds.

    The middle where there is none, or where one of the costs is infinite.
    """
    a, b = sorted((a, b), key=lambda point: point.length)
    if not (math.isfinite(a.cost) and math.isfinite(b.cost)):
        return 0.5 * (least + most)
    mean = a.slope + b.slope - 3.0 * (a.cost - b.cost) / (a.length - b.length)
    square = mean**2 - a.slope * b.slope
    width = b.slope - a.slope + 2.0 * math.sqrt(max(square, 0.0))
    if square < 0.0 or width == 0.0:
        return 0.5 * (least + most)
    part = (b.slope + math.sqrt(square) - mean) / width
    return min(max(b.length - (b.length - a.length) * part, least), most)
