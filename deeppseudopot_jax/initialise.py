"""Parameters to start from: a checkpoint, coefficient files or the model's random initialiser."""

import jax
import numpy as np

from deeppseudopot_jax.arguments import checked
from deeppseudopot_jax.errors import InputError
from deeppseudopot_jax.observables.arguments import a_bundle, of_bundle
from deeppseudopot_jax.parameters import (
    N_COEFFICIENTS,
    Parameters,
    from_coefficients,
    trained_channels,
)
from deeppseudopot_jax.potentials.networks import NetworkModel
from deeppseudopot_jax.potentials.state_dict import from_state_dict
from deeppseudopot_jax.problem import Problem
from deeppseudopot_jax.training.adam_state import Moments, from_torch_adam
from deeppseudopot_jax.training.trainable import split
from deeppseudopot_jax.types import Bundle


@checked(bundle=a_bundle, problem=of_bundle)
def initial_params(bundle: Bundle, problem: Problem) -> Parameters:
    """The parameter pytree a run starts from, before any fit to Zunger or tabulated curves.

    A network's variables come from init_PPmodel.pth where the bundle has
    it, else from the class's own initialiser with the bundle's `seed`.

    Raises:
        InputError: if init_PPmodel.pth does not fit the model, if the coefficients are the local
            potential and the bundle has no coefficient files, or if bundle and problem differ in
            species, k-points or bands.
    """
    n_species = len(problem.species)
    model = problem.local
    if isinstance(model, NetworkModel):
        local: dict | None = (
            model.init(jax.random.key(bundle.settings.seed), problem.dtype)
            if bundle.model_state is None
            else _restored(model, bundle)
        )
    elif bundle.coefficients is None:
        raise InputError(
            "the Zunger form needs its coefficients: init_<atom>Params.par is missing for "
            + ", ".join(problem.species)
        )
    else:
        local = None
    rest = np.zeros((n_species, N_COEFFICIENTS))
    rows = rest if bundle.coefficients is None else bundle.coefficients
    return from_coefficients(rows, problem.dtype, local)


def _restored(model: NetworkModel, bundle: Bundle) -> dict:
    """The variables that a bundle has; whatever does not fit names the file that they are from."""
    assert bundle.model_state is not None
    try:
        return from_state_dict(model, bundle.model_state)
    except InputError as error:
        raise InputError(f"{bundle.sources.get('weights', 'init_PPmodel.pth')}: {error}") from error


def initial_moments(bundle: Bundle, problem: Problem, params: Parameters) -> Moments:
    """Counts and moments of Adam or a relative from init_AdamState.pth, which must be there.

    Those of the network, and of the other trained channels that the file has.

    Raises:
        InputError: if the file does not hold the state of such an optimiser for this network.
    """
    model = problem.local
    assert isinstance(model, NetworkModel) and bundle.optimizer_state is not None
    try:
        trainable = split(params, trained_channels(bundle.settings)).trainable
        optimizer = bundle.settings.optimizer
        return from_torch_adam(model, trainable, bundle.optimizer_state, optimizer)
    except InputError as error:
        raise InputError(f"init_AdamState.pth: {error}") from error
