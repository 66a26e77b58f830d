"""What a run will do, decided once from its bundle; others explain it, check it, carry it out."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from deeppseudopot_jax.costs.choice import Asked, asked_by_inputs, asked_by_options
from deeppseudopot_jax.files.bundle.purpose import Purpose
from deeppseudopot_jax.parameters import trained_channels
from deeppseudopot_jax.settings import Settings
from deeppseudopot_jax.training.adam_family import ADAM_FAMILY
from deeppseudopot_jax.types import Bundle

Mode = Literal["evaluate", "initialise", "gradient", "monte_carlo"]
Start = Literal["coefficients", "checkpoint", "random"]
InitialFit = Literal["zunger", "table"]


@dataclass(frozen=True, eq=False)
class RunPlan:
    """The decisions that follow from a bundle and from what it was read for.

    Attributes:
        bundle: what the decisions are about.
        mode: what is done with the potential once it is there.
        start: where the first parameters come from.
        initial_fit: the curves that a network is fitted to before anything else, if any.
        restores_moments: whether an optimiser with moments goes on from init_AdamState.pth.
        trained_channels: what gradients move.
        asked: what the cost contains beside bands and penalties.
        handed_over: what of the potential, coefficients or weights, is not from the inputs, and
            where it is from.
    """

    bundle: Bundle
    mode: Mode
    start: Start
    initial_fit: InitialFit | None
    restores_moments: bool
    trained_channels: tuple[str, ...]
    asked: Asked
    handed_over: Mapping[str, str] = field(default_factory=dict)

    @property
    def settings(self) -> Settings:
        """The keys of NN_config.par."""
        return self.bundle.settings

    @property
    def fits(self) -> bool:
        """Whether the potential is fitted to the references."""
        return self.mode in ("gradient", "monte_carlo")

    @property
    def samples_coefficients(self) -> bool:
        """Whether a Monte Carlo run moves the coefficients, as mcOpts*.par may say."""
        return self.mode == "monte_carlo" and self.bundle.settings.trains_coefficients

    @property
    def solves_initial_fit(self) -> bool:
        """Whether the initial fit is one linear problem, in which no start and no rate counts."""
        return self.initial_fit is not None and self.settings.is_linear

    @property
    def members(self) -> int:
        """The number of fits that are made at once; 1 where nothing is trained by gradients."""
        return self.settings.ensemble_size if self.mode == "gradient" else 1

    @property
    def has_random_members(self) -> bool:
        """Whether the members of an ensemble start from random weights of their own.

        Else they start from the same potential, perturbed: where weights are given or solved for.
        """
        return self.start == "random" and not self.solves_initial_fit

    @property
    def has_references(self) -> bool:
        """Whether every system has energies to compare with."""
        return all(system.reference_energies is not None for system in self.bundle.systems)


def plan_of(
    bundle: Bundle, purpose: Purpose = "run", handed_over: Mapping[str, str] | None = None
) -> RunPlan:
    """The plan of a run or of one of its stages, or of an evaluation."""
    settings = bundle.settings
    mode: Mode = "evaluate" if purpose == "eval" else "initialise"
    if purpose == "run" and settings.max_epochs > 0:
        mode = "gradient"
    if purpose == "run" and settings.monte_carlo:
        mode = "monte_carlo"
    network = not settings.trains_coefficients
    start: Start = "coefficients"
    if network:
        start = "random" if bundle.model_state is None else "checkpoint"
    fitted = network and settings.init_epochs > 0 and purpose == "run"
    fitted = fitted and (start == "random" or settings.force_retrain)
    asked = Asked()
    if mode == "monte_carlo" and not network:
        asked = asked_by_options(bundle, bundle.monte_carlo_options)
    elif mode in ("gradient", "monte_carlo"):
        asked = asked_by_inputs(bundle)
    return RunPlan(
        bundle,
        mode,
        start,
        ("zunger" if bundle.tabulated_potential is None else "table") if fitted else None,
        restores_moments=(
            mode == "gradient"
            and network
            and settings.optimizer in ADAM_FAMILY
            and not settings.force_retrain
            and bundle.optimizer_state is not None
        ),
        trained_channels=trained_channels(settings) if mode == "gradient" else (),
        asked=asked,
        handed_over={**bundle.sources, **(handed_over or {})},
    )
