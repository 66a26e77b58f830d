"""The stages of a run, one after the other: each is the run of a bundle of its own.

That bundle has the settings of the stage, and for coefficients and weights the outcome of the stage
before. Without the key `stages` a run is a single stage.
"""

from dataclasses import dataclass, replace

from deeppseudopot_jax.errors import ResultsError
from deeppseudopot_jax.files.atomic import ResultsFolder
from deeppseudopot_jax.initialise import initial_params
from deeppseudopot_jax.problem import Precision, Problem
from deeppseudopot_jax.run.checks.plan import RunPlan, plan_of
from deeppseudopot_jax.run.file_names import CHECKPOINT, continued, of_run, trained
from deeppseudopot_jax.run.handover import (
    FILE,
    Outcome,
    outcome_of,
    read_outcome,
    stage_facts,
    write_outcome,
)
from deeppseudopot_jax.types import Bundle

_BEFORE = "the stage before"


@dataclass(frozen=True, eq=False)
class Stage:
    """One stage.

    Attributes:
        title: what the user sees of it; empty where the bundle has no key `stages`.
        plan: what it does; from files alone, until `after` tells the outcome of the one before.
        folder: where its files are: that of the results for the last one, else one in it.
        is_last: whether no stage follows.
    """

    title: str
    plan: RunPlan
    folder: ResultsFolder
    is_last: bool

    def after(self, outcome: Outcome | None) -> "Stage":
        """The same stage, started from an outcome; from its files where there is none."""
        if outcome is None:
            return self
        bundle, rows = self.plan.bundle, outcome.coefficients
        handed_over = {"coefficients": _BEFORE}
        # Without any, the next bundle has none either, as without coefficient files.
        if bundle.coefficients is not None or rows.any():
            bundle = replace(bundle, coefficients=rows)
        if outcome.model_state is not None:
            bundle = replace(bundle, model_state=outcome.model_state)
            handed_over["weights"] = _BEFORE
        return replace(self, plan=plan_of(bundle, handed_over=handed_over))

    @property
    def can_go_on(self) -> bool:
        """Whether an earlier run has left this stage complete, or a checkpoint of it."""
        return self._is_complete or self._has_chains or self.goes_on_training

    @property
    def goes_on_training(self) -> bool:
        """Whether an earlier run has left a checkpoint of this training."""
        trains = self.plan.mode == "gradient"
        return trains and (self.folder.path / CHECKPOINT).exists()

    def goes_on_without(self, name: str) -> bool:
        """Whether a run that is resumed here begins a file of an earlier run anew."""
        goes_on = name == "run.log"
        goes_on |= self._has_chains and continued(name)
        goes_on |= self.goes_on_training and trained(name)
        return of_run(name) and not goes_on

    def complete(self, outcome: Outcome, precision: Precision) -> None:
        """Leave the outcome for a run that is resumed; for the first process."""
        if not self.is_last:
            write_outcome(self.folder.file(FILE), outcome, stage_facts(self.plan, precision))

    def completed(self, problem: Problem) -> Outcome | None:
        """The outcome of an earlier run, which a run that is resumed takes over; None without one.

        Raises:
            ResultsError: if that run did another stage.
        """
        if not self._is_complete:
            return None
        bundle = self.plan.bundle
        like = outcome_of(bundle, problem, initial_params(bundle, problem))
        facts = stage_facts(self.plan, problem.precision)
        return read_outcome(self.folder.path / FILE, like, facts)

    @property
    def _has_chains(self) -> bool:
        samples = self.plan.mode == "monte_carlo"
        return samples and any(self.folder.path.glob("*mc_checkpoint.npz"))

    @property
    def _is_complete(self) -> bool:
        return not self.is_last and (self.folder.path / FILE).exists()


def stages_of(bundle: Bundle, folder: ResultsFolder) -> tuple[Stage, ...]:
    """The stages that a bundle asks for, not yet connected.

    Raises:
        ResultsError: if the folder of a stage cannot be used.
    """
    names, found = bundle.settings.stages, []
    for number, settings in enumerate(bundle.settings.by_stage, 1):
        is_last = number >= len(names)
        of_stage = replace(bundle, settings=settings)
        if number > 1:  # moments belong to the training that init_AdamState.pth came from
            of_stage = replace(of_stage, optimizer_state=None)
        found.append(
            Stage(
                f"Stage {number} of {len(names)}: {names[number - 1]}" if names else "",
                plan_of(of_stage),
                folder if is_last else folder.folder(f"{number}_{names[number - 1]}"),
                is_last,
            )
        )
    return tuple(found)


def check_resumable(stages: tuple[Stage, ...]) -> None:
    """Refuse to resume where the first stage has left nothing to go on from.

    Raises:
        ResultsError: saying so.
    """
    first = stages[0]
    several = not first.is_last
    if not several and not first.plan.fits:
        raise ResultsError("--resume is for runs that train, sample or have several stages")
    if not first.can_go_on:
        checkpoint = "mc_checkpoint.npz" if first.plan.mode == "monte_carlo" else CHECKPOINT
        missing = f"complete stage ({FILE}) or {checkpoint}" if several else checkpoint
        raise ResultsError(
            f"{first.folder.path} has no {missing} to resume from: start the run without --resume"
        )
