"""What the fit will need is compiled while the initial potential is evaluated and written."""

from deeppseudopot_jax.eigensolvers.interface import FOR_ENERGIES, FOR_GRADIENTS
from deeppseudopot_jax.observables.evaluation import shapes_of_states
from deeppseudopot_jax.observables.hamiltonians import prepared
from deeppseudopot_jax.parameters import Parameters
from deeppseudopot_jax.run.session import Session
from deeppseudopot_jax.run.stages.sampling.stage import first_chunk
from deeppseudopot_jax.training.loop import optimiser_of
from deeppseudopot_jax.training.trainable import split


def compile_ahead(session: Session, params: Parameters) -> None:
    """Begin to compile gradient, Jacobian or chunk; on several devices this is left to the fit."""
    work = {"gradient": _compile_gradient, "monte_carlo": _compile_chunk}.get(session.plan.mode)
    if work is not None and session.problem.mesh is None:
        session.ahead.begin(work, session, params)


def finish_ahead(session: Session) -> None:
    """Wait for it, and say so."""
    if session.plan.fits:
        with session.report.first_time("what the fit needs"):
            session.ahead.finish()


def _compile_gradient(session: Session, params: Parameters) -> None:
    problem, settings = session.problem, session.plan.settings
    trainable, frozen = split(params, session.plan.trained_channels)
    states = shapes_of_states(prepared(problem, params), FOR_GRADIENTS)
    optimiser = optimiser_of(settings, problem, session.cost, trainable)
    optimiser.compile(problem, frozen, trainable, states)


def _compile_chunk(session: Session, params: Parameters) -> None:
    chain = session.chains[0]
    states = shapes_of_states(prepared(session.problem, params), FOR_ENERGIES)
    chain.compile(params, states, first_chunk(chain))
