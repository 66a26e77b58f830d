"""What a bundle asks for that this version cannot do: it ends the run before anything is computed.

What has no effect on a run is named by `idle`.
"""

from deeppseudopot_jax.errors import UnsupportedError
from deeppseudopot_jax.run.checks.plan import RunPlan
from deeppseudopot_jax.training.loop import AVAILABLE


def check_supported(plan: RunPlan) -> None:
    """Refuse a bundle that depends on what is not implemented.

    Raises:
        UnsupportedError: listing every such request.
    """
    settings = plan.bundle.settings
    requests: list[tuple[bool, str]] = []
    if plan.mode == "gradient":
        requests += [
            (
                settings.optimizer not in AVAILABLE,
                f"optimizer = {settings.optimizer}: available are {', '.join(AVAILABLE)}",
            ),
            (settings.perturb_every > 0, f"perturbEvery = {settings.perturb_every}: random kicks"),
            (
                settings.pre_adjust_moves > 0,
                f"pre_adjust_moves = {settings.pre_adjust_moves}: moves before the first epoch",
            ),
        ]
    found = [text for asked, text in requests if asked]
    if found:
        raise UnsupportedError("this version cannot do yet:\n  " + "\n  ".join(found))


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
