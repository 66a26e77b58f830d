"""The files that a later run starts from: weights, coefficients and Adam's moments."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from optax import OptState

from deeppseudopot_jax.files.atomic import ResultsFolder
from deeppseudopot_jax.files.results import checkpoints, tables
from deeppseudopot_jax.parameters import COLUMNS, Parameters, to_coefficients, trained_channels
from deeppseudopot_jax.potentials.networks import NetworkModel
from deeppseudopot_jax.problem import Problem
from deeppseudopot_jax.training.adam_state import adam_moments, schedule_count, to_torch_adam
from deeppseudopot_jax.training.optimizers import schedule_of
from deeppseudopot_jax.types import Bundle


@dataclass(frozen=True, eq=False)
class PotentialFiles:
    """Where one potential goes: `prefix` is that of its files in `folder`."""

    bundle: Bundle
    problem: Problem
    folder: ResultsFolder
    prefix: str

    def write(self, params: Parameters, optimizer_state: OptState | None, suffix: str) -> None:
        """<prefix>_PPmodel.pth, <prefix>_AdamState.pth, <prefix>_<atom>Params.<suffix>.

        Coefficient files carry all channels beside the network, so they are written for networks
        too where the bundle has coefficients or a channel is trained, and where Monte Carlo has
        moved one.
        """
        model = self.problem.local
        if isinstance(model, NetworkModel):
            checkpoints.write_model(self.folder, self.prefix, model, params.local)
            if optimizer_state is not None:
                state = self._torch_adam_state(model, optimizer_state)
                if state is not None:
                    checkpoints.write_adam_state(self.folder, self.prefix, state)
        rows = coefficients_of(self.bundle, self.problem, params)
        has_channels = len(trained_channels(self.bundle.settings)) > 1 or rows.any()
        if self.bundle.coefficients is not None or has_channels:
            for symbol, row in zip(self.problem.species, rows, strict=True):
                file = self.folder.file(f"{self.prefix}_{symbol}Params.{suffix}")
                tables.write_coefficients(file, row)

    def _torch_adam_state(self, model: NetworkModel, state: OptState) -> dict | None:
        """An optimizer state as PyTorch keeps it; None without Adam's moments."""
        moments, settings = adam_moments(state), self.bundle.settings
        if moments is None:
            return None
        # Adam's own counts go on over restarts, the schedule starts anew with every run.
        rate = float(schedule_of(settings)(schedule_count(state)))
        betas = settings.adam_beta1, settings.adam_beta2
        return to_torch_adam(model, moments, rate, betas, optimizer=settings.optimizer)


def coefficients_of(
    bundle: Bundle, problem: Problem, params: Parameters
) -> Float[np.ndarray, "species 9"]:
    """a0 to a8 of every species; a network leaves a0..a3 as the bundle gave them."""
    given = bundle.coefficients
    n_species = len(problem.species)
    rows = np.array(to_coefficients(params, np.zeros((n_species, 4))), np.float64)
    if not isinstance(problem.local, NetworkModel):
        rows[:, COLUMNS["local"]] = params.local
    elif given is not None:
        rows[:, COLUMNS["local"]] = given[:, COLUMNS["local"]]
    return rows
