"""docs/data/models.csv: random starts of every model, and what an initial fit makes of them.

docs/models.md draws the table when the pages are built.
"""

from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from deeppseudopot_jax.potentials.catalogue import CATALOGUE
from deeppseudopot_jax.potentials.networks import NetworkModel, network_model
from deeppseudopot_jax.potentials.zunger import zunger_form
from deeppseudopot_jax.settings import Settings
from deeppseudopot_jax.training.regression import analytic_curves, fit_curves, fit_many

NAMES = tuple(name for name, spec in CATALOGUE.items() if spec.layers)
SILICON = (73.2608, 2.1351, 3.0, 0.6609)
LARGEST_Q = 8.0  # Bohr^-1
N_DRAWS = 3
_EVERY = 2
"""Rows of the grid that is fitted for one of the table."""
_OPTIONS = {
    "hidden_layers": (20, 20), "decay_rate": 1.5, "decay_center": 4.0, "gaussian_std": 3.0,
    "scale": (10.0,), "n_frequencies": 8, "model_range": 8.0, "n_knots": 25,
}  # fmt: skip
_FIT = {
    "init_epochs": 2000, "init_learning_rate": 0.01, "init_scheduler_gamma": 0.7,
    "init_plot_every": 500,
}  # fmt: skip


def grid() -> tuple[jax.Array, jax.Array]:
    """q, and the curve of silicon that all models are fitted to."""
    q = jnp.linspace(0.0, LARGEST_Q, 161)
    return q, zunger_form(q, jnp.array([SILICON]))


def write_table(path: Path) -> None:
    """A row per curve: the model, which of its curves, and v(q) in Ha Bohr^3."""
    q, target = grid()
    rows = [("Zunger", "silicon", np.asarray(target)[:, 0])]
    for name in NAMES:
        starts, fitted = curves(name)
        rows += [(name, f"start {number}", v) for number, v in enumerate(starts)]
        rows.append((name, "fitted", fitted))
    lines = [",".join(["model", "curve", *(f"{x:g}" for x in q[::_EVERY])])]
    lines += [",".join([*names, *(f"{x:.3g}" for x in v[::_EVERY])]) for *names, v in rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def curves(name: str) -> tuple[np.ndarray, np.ndarray]:
    """v(q) of the random starts of a model, and of the best fit from them."""
    q, target = grid()
    settings = Settings(model=name, n_systems=1, **_OPTIONS, **_FIT)
    model = network_model(settings, 1, LARGEST_Q)
    starts = jax.vmap(model.init)(jax.random.split(jax.random.key(0), N_DRAWS))
    v = np.asarray(jax.vmap(partial(model.apply, q=q))(starts))[:, :, 0]
    return v, _fitted(model, starts, q, target, settings)


def _fitted(
    model: NetworkModel, starts: dict, q: jax.Array, target: jax.Array, settings: Settings
) -> np.ndarray:
    table = analytic_curves(q, target)
    if model.spec.linear:
        first = jax.tree.map(lambda leaf: leaf[0], starts)
        (stage,) = fit_curves(model, first, table, settings)
        return np.asarray(model.apply(stage.variables, q))[:, 0]
    found, _ = fit_many(model, starts, table, settings)
    v = np.asarray(jax.vmap(partial(model.apply, q=q))(found))[:, :, 0]
    # Batch norms are in another mode in the fit: what counts is the curve as it will be used.
    errors = np.nan_to_num(((v - np.asarray(target)[:, 0]) ** 2).sum(axis=1), nan=np.inf)
    return v[int(np.argmin(errors))]
