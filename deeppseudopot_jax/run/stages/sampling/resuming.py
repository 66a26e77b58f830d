"""Whether Monte Carlo runs can go on from their checkpoints, before anything is written."""

from pathlib import Path

from deeppseudopot_jax.eigensolvers.interface import FOR_ENERGIES
from deeppseudopot_jax.initialise import initial_params
from deeppseudopot_jax.montecarlo.chain import Chain, Running
from deeppseudopot_jax.observables.evaluation import carried, shapes_of_states
from deeppseudopot_jax.observables.hamiltonians import prepared as hamiltonians_of
from deeppseudopot_jax.run.outputs import Outputs
from deeppseudopot_jax.run.preparation import Prepared
from deeppseudopot_jax.run.stages.sampling.files import files_of


def check_checkpoints(prepared: Prepared, outputs: Outputs, folder: Path) -> None:
    """Refuse to go on from the checkpoints in a folder, where there are any that do not fit.

    Args:
        prepared: what would go on.
        outputs: of that run.
        folder: with the checkpoints.

    Raises:
        ResultsError: if one of them or its tables belong to another run.
    """
    for chain in prepared.chains:
        files = files_of(prepared.plan, outputs, chain, len(prepared.chains))
        if files.saved:
            files.check(folder, _shapes(prepared, chain))


def _shapes(prepared: Prepared, chain: Chain) -> Running:
    """The state of a chain, as shapes alone."""
    params = initial_params(prepared.plan.bundle, prepared.problem)
    states = shapes_of_states(hamiltonians_of(prepared.problem, params), FOR_ENERGIES)
    _, state = chain.shapes(params, states)
    return Running(state, carried(states).preconditioners)
