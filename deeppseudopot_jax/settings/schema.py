"""All keys of NN_config.par together, and what follows from them."""

from typing import TypeVar

from deeppseudopot_jax.settings.fitting import (
    BandOrder,
    HeldOut,
    Initialisation,
    Penalties,
    Priors,
    Stages,
    Training,
)
from deeppseudopot_jax.settings.potential import Channels, Model
from deeppseudopot_jax.settings.running import Execution, Output
from deeppseudopot_jax.settings.sampling import MonteCarlo
from deeppseudopot_jax.stages import NO_NETWORK, fit_coefficients

Own = TypeVar("Own", bound="Keys")


# pydantic takes the fields of the last base first: read from the end, this is their order.
class Keys(
    Output, BandOrder, MonteCarlo, HeldOut, Training, Stages, Initialisation, Priors, Penalties,
    Model, Channels, Execution,
):  # fmt: skip
    """Every key of NN_config.par; lengths in Bohr, wave vectors in Bohr^-1, energies in eV."""

    @property
    def trains_coefficients(self) -> bool:
        """Whether the Zunger coefficients themselves are the local potential (ZeroFunction)."""
        return self.model == NO_NETWORK

    @property
    def fits(self) -> bool:
        """Whether anything is fitted to the references, by whatever method."""
        return self.monte_carlo or self.max_epochs > 0 or bool(self.stages)

    @property
    def by_stage(self: Own) -> tuple[Own, ...]:
        """The settings of every stage as a run of its own; only these where `stages` is absent."""
        found, has_weights = [], False
        coefficients = fit_coefficients(self.stages, self.model)
        for name, of_coefficients in zip(self.stages, coefficients, strict=True):
            own: dict[str, object] = {"stages": (), "monte_carlo": name == "monte_carlo"}
            if name == "monte_carlo":
                own["max_epochs"] = 0
            if of_coefficients:
                own["model"] = NO_NETWORK
            if has_weights:  # those of the stage before, to go on with
                own["force_retrain"] = False
            has_weights = not of_coefficients
            found.append(self.model_copy(update=own))
        return tuple(found) or (self,)

    @property
    def is_linear(self) -> bool:
        """Whether v(q) is linear in its weights: no hidden layers, fits to curves are solved."""
        return self.model == "BSpline"

    @property
    def follows_bands(self) -> bool:
        """Whether bands are followed along the path, so that a reference may cross itself."""
        return self.smooth_reorder or self.eigenvector_reorder

    @property
    def least_squares(self) -> bool:
        """Whether a training makes damped Gauss-Newton steps, which have no learning rate."""
        return self.optimizer == "lm"

    def changed(self) -> dict[str, str]:
        """Every key that is not at its default and its value, both as NN_config.par spells them."""
        values = {name: getattr(self, name) for name in type(self).model_fields}
        return {
            str(info.alias): _spelled(values[name])
            for name, info in type(self).model_fields.items()
            if values[name] != info.default
        }


def _spelled(value: object) -> str:
    if isinstance(value, tuple):
        return " ".join(map(str, value))
    return str(int(value)) if isinstance(value, bool) else str(value)
