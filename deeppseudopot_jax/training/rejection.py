"""Steps of a training that are taken back, because they lead nowhere."""

from deeppseudopot_jax.training.interface import Course

MOST_REJECTIONS = 20
"""In one training; the learning rate is then a millionth of what it was."""

NOT_FINITE = "the cost or its gradient is not finite"


def why_rejected(cost: float, finite: bool, course: Course, limit: float) -> str:
    """Why a step leads nowhere; empty where it is a good one.

    A cost below that of the start is good, however low the cost has been in between: optimisers
    with momentum swing near a minimum.

    Args:
        cost: after the step.
        finite: whether it and its gradient are.
        course: before the step.
        limit: cost up to which it is a good one in any case.
    """
    if not finite:
        return NOT_FINITE
    if cost <= max(course.first, limit):
        return ""
    return (
        f"the cost {cost:.8g} eV^2 is above that at the start, {course.first:.8g} eV^2, and above "
        f"{limit:.8g} eV^2, max_cost_increase times the lowest"
    )


def told(number: int, why: str, course: Course) -> str:
    """One line on a step that was taken back, the update `number`."""
    return (
        f"step {number} taken back: {why}; from now on the learning rate is {course.rate_factor:g} "
        f"times that of the schedule ({course.rejections} of at most {MOST_REJECTIONS} steps)"
    )
