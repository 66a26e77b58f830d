"""How well the data determine a fit: final_covariance.npz, sigmas of observables and figures."""

import jax
import jax.numpy as jnp
import numpy as np

from deeppseudopot_jax.costs.bands import BandErrors
from deeppseudopot_jax.costs.interface import Evaluated
from deeppseudopot_jax.errors import InputError
from deeppseudopot_jax.files.results.transform import real_space_potential
from deeppseudopot_jax.observables.band_numbers import BandNumber, band_numbers
from deeppseudopot_jax.observables.deformation import deformation_rows
from deeppseudopot_jax.parallel import on_host
from deeppseudopot_jax.run.outputs import Spread
from deeppseudopot_jax.run.session import Session, Solved
from deeppseudopot_jax.training.interface import TrainingState
from deeppseudopot_jax.training.least_squares.coordinates import Coordinates
from deeppseudopot_jax.training.least_squares.levenberg_marquardt import least_squares
from deeppseudopot_jax.training.least_squares.spreads import (
    spread_of_deformation_potentials,
    spreads,
)
from deeppseudopot_jax.training.least_squares.uncertainty import (
    Uncertainty,
    independent_data,
    uncertainty,
)
from deeppseudopot_jax.training.trainable import Split, split

_POINTS = 512
"""Of the grids of q and r that error bars are computed on; between them they are interpolated."""


def error_bars(session: Session, solved: Solved) -> Spread | None:
    """One standard deviation of bands, potentials and numbers of a fit.

    None where the arithmetic fails, which is told.
    """
    problem, report, outputs = session.problem, session.report, session.outputs
    parts = split(solved.params, session.plan.trained_channels)
    optimiser = least_squares(problem, session.cost, parts.trainable)
    state = TrainingState(parts.trainable, optimiser.begin(parts.trainable), solved.carried)
    info, found = optimiser.look(problem, parts.frozen, state)
    of_data = [i for i, term in enumerate(session.cost.terms) if term.needs != "parameters"]
    squares = info.values[jnp.asarray(of_data)].sum()
    n_data = independent_data(problem) + _other_data(session, solved)
    coordinates = optimiser.coordinates
    known = coordinates.known_beforehand(parts.trainable)
    fit = uncertainty(found.near, squares, known, n_data)
    if not np.isfinite(on_host(fit.half)).all():
        report.line("Error bars: none, the normal equations at the minimum are singular")
        return None
    report.line(_summary(fit))
    numbers = [
        band_numbers(system, np.asarray(bands, np.float64))
        for system, bands in zip(session.bundle.systems, solved.bands, strict=True)
    ]
    q, r = (np.linspace(0.0, grid[-1], _POINTS) for grid in (outputs.q, outputs.r))
    transform = real_space_potential(q, np.eye(len(q)), r)
    arguments = (_slopes(session, numbers), jnp.asarray(q), jnp.asarray(transform))
    slopes, q_grid, matrix = jax.tree.map(lambda leaf: leaf.astype(problem.dtype), arguments)
    spread = on_host(
        spreads(
            problem, parts.frozen, parts.trainable, coordinates, found.states, fit.half, slopes,
            q_grid, matrix,
        )
    )  # fmt: skip
    each = iter(spread.numbers.tolist())
    result = Spread(
        spread.bands,
        _resampled(q, spread.v_q, outputs.q),
        _resampled(r, spread.v_r, outputs.r),
        [[next(each) for _ in of_system] for of_system in numbers],
        [
            _of_deformation_potentials(session, index, parts, coordinates, fit)
            for index in range(len(session.bundle.systems))
        ],
    )
    outputs.arrays("final_covariance", _arrays(session, fit, coordinates, parts.trainable, result))
    return result


def _of_deformation_potentials(
    session: Session, index: int, parts: Split, coordinates: Coordinates, fit: Uncertainty
) -> list[float]:
    """Those of the rows of expDefPot_X.par; none where there are no rows."""
    try:
        rows = deformation_rows(session.bundle.systems[index])
        if not rows:
            return []
        sigmas = on_host(
            spread_of_deformation_potentials(
                session.problem, parts.frozen, parts.trainable, coordinates, fit.half, index, rows
            )
        )
    except (InputError, IndexError):  # what is wrong with the rows stands among the observables
        return []
    if not np.isfinite(sigmas).all():
        name = session.bundle.systems[index].name
        session.report.line(f"Error bars: not all of the deformation potentials of {name} have one")
    found: list[float] = sigmas.tolist()
    return found


def _summary(fit: Uncertainty) -> str:
    determined = float(fit.determined)
    text = (
        f"Error bars: {fit.n_data} data determine {determined:.1f} of {fit.n_coordinates} numbers; "
        f"a datum of weight 1 scatters by {1000.0 * float(fit.sigma):.3g} meV"
    )
    if fit.n_data - determined < 1.0:
        text += ". Nothing is left over that would tell their scatter: these error bars mean little"
    elif fit.n_coordinates > fit.n_data:
        text += ". There are more numbers than data: the rest follows from priors and the start"
    return text


def _other_data(session: Session, solved: Solved) -> int:
    """The number of residuals of data beside the levels."""
    problem, params = session.problem, solved.params
    bands = [jnp.asarray(found) for found in solved.bands]
    terms = [
        term
        for term in session.cost.terms
        if term.needs != "parameters" and not isinstance(term, BandErrors)
    ]
    shapes = (jax.eval_shape(term.residuals, problem, params, Evaluated(bands)) for term in terms)
    return sum(shape.size for shape in shapes)


def _slopes(session: Session, numbers: list[list[BandNumber]]) -> list[jnp.ndarray]:
    """Derivatives of all numbers with respect to the bands of every system."""
    total = sum(map(len, numbers))
    found, first = [], 0
    for target, of_system in zip(session.problem.targets, numbers, strict=True):
        slopes = np.zeros((total, target.n_k, target.n_bands))
        for number in of_system:
            slopes[first] = number.slopes
            first += 1
        found.append(jnp.asarray(slopes))
    return found


def _resampled(x: np.ndarray, values: np.ndarray, grid: np.ndarray) -> np.ndarray:
    return np.stack([np.interp(grid, x, column) for column in values.T], axis=1)


def _arrays(
    session: Session,
    fit: Uncertainty,
    coordinates: Coordinates,
    trainable: dict,
    spread: Spread,
) -> dict[str, np.ndarray]:
    """What final_covariance.npz has; names are those of the trained numbers, in order."""
    half = on_host(fit.half)
    found = {
        "covariance": half @ half.T,
        "names": np.array(coordinates.names(trainable)),
        "values": on_host(coordinates.values(trainable)),
        "sigma_of_weight_1": on_host(fit.sigma),
        "n_data": np.array(fit.n_data),
        "determined": on_host(fit.determined),
        "q": session.outputs.q,
        "v_q_sigma": spread.v_q,
        "r": session.outputs.r,
        "v_r_sigma": spread.v_r,
    }
    for system, bands in zip(session.bundle.systems, spread.bands, strict=True):
        found[f"bands_sigma_sys{system.index}"] = bands
    return found
