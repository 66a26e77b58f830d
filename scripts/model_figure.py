"""docs/models.png: random starts of every model, and what an initial fit makes of it."""

from functools import partial
from io import BytesIO
from pathlib import Path

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
from PIL import Image

from deeppseudopot_jax.potentials.catalogue import CATALOGUE
from deeppseudopot_jax.potentials.networks import NetworkModel, network_model
from deeppseudopot_jax.potentials.zunger import zunger_form
from deeppseudopot_jax.settings import Settings
from deeppseudopot_jax.training.regression import analytic_curves, fit_curves, fit_many

SILICON = (73.2608, 2.1351, 3.0, 0.6609)
LARGEST_Q = 8.0  # Bohr^-1
N_DRAWS = 3
_OPTIONS = {
    "hidden_layers": (20, 20), "decay_rate": 1.5, "decay_center": 4.0, "gaussian_std": 3.0,
    "scale": (10.0,), "n_frequencies": 8, "model_range": 8.0, "n_knots": 25,
}  # fmt: skip
_FIT = {
    "init_epochs": 2000, "init_learning_rate": 0.01, "init_scheduler_gamma": 0.7,
    "init_plot_every": 500,
}  # fmt: skip


def draw(path: Path) -> None:
    """A panel per model of the catalogue."""
    q = jnp.linspace(0.0, LARGEST_Q, 161)
    target = zunger_form(q, jnp.array([SILICON]))
    names = [name for name, spec in CATALOGUE.items() if spec.layers]
    columns = 4
    rows = -(-len(names) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(12, 1.5 * rows), sharex=True, sharey=True)
    low, high = float(target.min()), float(target.max())
    margin = 0.2 * (high - low)
    for axis, name in zip(axes.ravel(), names, strict=False):
        settings = Settings(model=name, n_systems=1, **_OPTIONS, **_FIT)
        model = network_model(settings, 1, LARGEST_Q)
        starts = jax.vmap(model.init)(jax.random.split(jax.random.key(0), N_DRAWS))
        for v in np.asarray(jax.vmap(partial(model.apply, q=q))(starts))[:, :, 0]:
            scale = 0.5 * (high - low) / np.abs(v).max()
            axis.plot(q, v * scale + 0.5 * (high + low), color="0.75", lw=0.8)
        axis.plot(q, fitted(model, starts, q, target, settings), color="C0", lw=2)
        axis.plot(q, target, "k--", lw=1)
        axis.set_title(name.removeprefix("Net_"), fontsize=8, pad=2)
        axis.set(ylim=(low - margin, high + margin), xlim=(0, LARGEST_Q))
        axis.tick_params(labelsize=7)
    for axis in axes.ravel()[len(names) :]:
        axis.set_visible(False)
    figure.tight_layout(pad=0.4)
    drawn = BytesIO()
    figure.savefig(drawn, dpi=75)
    Image.open(drawn).convert("RGB").quantize(32).save(path, optimize=True)  # a third of the size


def fitted(
    model: NetworkModel, starts: dict, q: jax.Array, target: jax.Array, settings: Settings
) -> np.ndarray:
    """v(q) of the best of the fits from all starts."""
    curves = analytic_curves(q, target)
    if model.spec.linear:
        first = jax.tree.map(lambda leaf: leaf[0], starts)
        (stage,) = fit_curves(model, first, curves, settings)
        return np.asarray(model.apply(stage.variables, q))[:, 0]
    found, _ = fit_many(model, starts, curves, settings)
    v = np.asarray(jax.vmap(partial(model.apply, q=q))(found))[:, :, 0]
    # Batch norms are in another mode in the fit: what counts is the curve as it will be used.
    errors = np.nan_to_num(((v - np.asarray(target)[:, 0]) ** 2).sum(axis=1), nan=np.inf)
    return v[int(np.argmin(errors))]
