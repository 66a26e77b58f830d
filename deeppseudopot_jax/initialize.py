"""Parameters to start from: a checkpoint, coefficient files or the model's random initialiser."""

import jax
import jax.numpy as jnp
import numpy as np
from optax import ScaleByAdamState

from deeppseudopot_jax.potentials.networks import NetworkModel
from deeppseudopot_jax.potentials.state_dict import from_state_dict
from deeppseudopot_jax.problem import Problem
from deeppseudopot_jax.training.adam_state import from_torch_adam
from deeppseudopot_jax.types import Bundle


def initial_params(bundle: Bundle, problem: Problem) -> dict:
    """The parameter pytree a run starts from, before any fit to Zunger or tabulated curves.

    Entries: `local` (network variables or coefficients (n_species, 4)), `long_range`
    (n_species,), `spin_orbit` (n_species,), `nonlocal` (n_species, 2), `strain` (n_species,);
    species sorted by symbol. A network's variables come from init_PPmodel.pth where the bundle has
    it, else from the class's own initialiser with the bundle's `seed`.

    Raises:
        ValueError: if init_PPmodel.pth does not fit the model, or if the coefficients are the
            local potential and the bundle has no coefficient files.
    """
    n_species = len(problem.species)
    model = problem.local
    if isinstance(model, NetworkModel):
        local: dict | np.ndarray = (
            model.init(jax.random.key(bundle.settings.seed), problem.dtype)
            if bundle.model_state is None
            else from_state_dict(model, bundle.model_state)
        )
    elif bundle.coefficients is None:
        raise ValueError(
            "the Zunger form needs its coefficients: init_<atom>Params.par is missing for "
            + ", ".join(problem.species)
        )
    else:
        local = bundle.coefficients[:, :4]
    coefficients = bundle.coefficients
    rest = np.zeros((n_species, 9)) if coefficients is None else coefficients
    params = {
        "local": local,
        "long_range": rest[:, 4],
        "spin_orbit": rest[:, 5],
        "nonlocal": rest[:, 6:8],
        "strain": rest[:, 8],
    }
    return jax.tree.map(lambda leaf: jnp.asarray(leaf, problem.dtype), params)


def is_random(bundle: Bundle) -> bool:
    """Whether the weights that a run starts from are random numbers."""
    return not bundle.settings.trains_coefficients and bundle.model_state is None


def why_not_fitted(bundle: Bundle) -> str:
    """Why no network is fitted to curves v(q) before the training; empty where one is."""
    settings = bundle.settings
    if settings.trains_coefficients:
        return "PPmodel = ZeroFunction has no weights"
    if settings.init_epochs == 0:
        return "there is no initial fit"
    if bundle.model_state is not None and not settings.force_retrain:
        return "the weights of init_PPmodel.pth are not fitted again (force_retrain = 0)"
    return ""


def why_no_moments(bundle: Bundle) -> str:
    """Why Adam does not start from init_AdamState.pth; empty where it does if the file exists."""
    settings = bundle.settings
    if settings.max_epochs == 0:
        return "nothing is trained"
    if settings.trains_coefficients:
        return "PPmodel = ZeroFunction has no weights"
    if settings.optimizer != "adam":
        return f"optimizer = {settings.optimizer}"
    if settings.force_retrain:
        return "force_retrain = 1 starts afresh"
    return ""


def initial_moments(bundle: Bundle, problem: Problem, params: dict) -> ScaleByAdamState | None:
    """Adam's count and moments of a network from init_AdamState.pth; None where it starts afresh.

    Raises:
        ValueError: if the file does not hold the state of an Adam for this network.
    """
    model = problem.local
    if bundle.optimizer_state is None or why_no_moments(bundle):
        return None
    assert isinstance(model, NetworkModel)
    try:
        return from_torch_adam(model, params["local"]["params"], bundle.optimizer_state)
    except ValueError as error:
        raise ValueError(f"init_AdamState.pth: {error}") from error
