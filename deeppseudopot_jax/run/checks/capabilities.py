"""What a bundle asks for that cannot be done: it ends the run before anything is computed.

What has no effect on a run is named by `idle`.
"""

from deeppseudopot_jax.errors import UnsupportedError
from deeppseudopot_jax.run.checks.plan import RunPlan


def check_initialised(plan: RunPlan) -> None:
    """Refuse to evaluate a network that nobody has trained.

    Raises:
        UnsupportedError: if PPmodel is a network and the bundle has no init_PPmodel.pth.
    """
    if plan.start == "random":
        raise UnsupportedError(
            f"PPmodel = {plan.bundle.settings.model}, but {plan.bundle.folder} has no "
            "init_PPmodel.pth: name the results folder of a run with --potential"
        )
