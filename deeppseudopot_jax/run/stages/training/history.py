"""What the epochs of a training have come to: first, last and best of them."""

from dataclasses import dataclass
from typing import NamedTuple

from optax import OptState

from deeppseudopot_jax.parameters import Parameters
from deeppseudopot_jax.training.loop import Epoch


class Costs(NamedTuple):
    """The cost of an epoch; `held_out` is None where nothing is held out."""

    number: int
    cost: float
    held_out: float | None


class Best(NamedTuple):
    """The epoch that is best, as `Epoch.judged` has it."""

    number: int
    cost: float
    judged: float
    params: Parameters
    optimizer_state: OptState


@dataclass(frozen=True)
class History:
    """The epochs up to one of them; nothing of it changes, so that it can be kept."""

    first: Costs | None = None
    last: Costs | None = None
    best: Best | None = None

    def after(self, epoch: Epoch) -> "History":
        """With another epoch."""
        costs = Costs(epoch.number, epoch.cost, epoch.held_out)
        best = self.best
        if not epoch.failed and (best is None or epoch.judged < best.judged):
            best = Best(epoch.number, epoch.cost, epoch.judged, epoch.params, epoch.optimizer_state)
        return History(self.first or costs, costs, best)

    def __str__(self) -> str:
        first, last, best = self.first, self.last, self.best
        if first is None or last is None:
            return "before the first epoch"
        text = f"at epoch {last.number}: cost {first.cost:.6g} -> {last.cost:.6g} eV^2"
        if last.held_out is not None:
            text += f", held out {first.held_out:.6g} -> {last.held_out:.6g} eV^2"
        if best is None:
            return f"{text}, and there is no good potential"
        which = "held-out cost " if best.judged != best.cost else ""
        return f"{text}, lowest {which}{best.judged:.6g} at epoch {best.number}"
