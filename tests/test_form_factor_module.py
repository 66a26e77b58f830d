"""form_factors.py of `export`: imported where there is no JAX, it gives what this code gives."""

import os
import subprocess
import sys
from dataclasses import replace
from datetime import date
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from samples import GAMMA, bundle_of, zinc_blende

from deeppseudopot_jax import build_problem
from deeppseudopot_jax.errors import UnsupportedError
from deeppseudopot_jax.initialise import initial_params
from deeppseudopot_jax.potentials.catalogue import CATALOGUE
from deeppseudopot_jax.potentials.compose import v_of_q
from deeppseudopot_jax.potentials.networks import NetworkModel, network_model
from deeppseudopot_jax.potentials.strain import strain_factor
from deeppseudopot_jax.problem import with_local
from deeppseudopot_jax.settings import Settings
from deeppseudopot_jax.toolkit.export import LoadedPotential, form_factor_module

OPTIONS = {
    "hidden_layers": (7, 5),
    "decay_rate": 1.3,
    "decay_center": 5.1,
    "gaussian_std": 2.7,
    "scale": (0.7, -1.9),
    "n_frequencies": 6,
    "model_range": 8.3,
    "n_knots": 11,
}
TOLERANCE = 1e-12  # of the largest |v(q)|
LAST_KNOT = 7.3
Q = np.concatenate(
    [
        [0.0, 1e-5, 1e-4, 1.0001e-4, LAST_KNOT, 10.0, np.nextafter(10.0, 11.0), 100.0, 1e4],
        np.random.default_rng(5).uniform(0.0, 20.0, 200),
    ]
)

WITHOUT_JAX = """
import importlib.util, sys
import numpy as np

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("jax", "jaxlib", "flax", "scipy", "deeppseudopot_jax"):
            raise ImportError(f"{name} is not here")

sys.meta_path.insert(0, Refuse())
q, found = np.load(sys.argv[1]), {}
for path in sys.argv[2:]:
    spec = importlib.util.spec_from_file_location("form_factors", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for symbol in module.SPECIES:
        found[f"{path} {symbol}"] = [
            module.form_factor(symbol, q),
            module.short_range(symbol, q),
            module.form_factor(symbol, q, volume_ratio=1.1),
        ]
assert not {"jax", "flax", "scipy", "deeppseudopot_jax"} & set(sys.modules)
np.savez("found.npz", **found)
"""


@pytest.fixture(scope="module")
def zunger() -> LoadedPotential:
    """Coefficients a0 to a8 of two species, none of them 0."""
    rng = np.random.default_rng(3)
    system = zinc_blende(("Zn", "S"), [[0.0, 0.0, 0.0]])
    bundle = bundle_of(rng, system, strain=True)
    problem = build_problem(bundle)  # without the tables of the spin-orbit term
    settings = bundle.settings.model_copy(update={"spin_orbit": True})
    bundle = replace(bundle, settings=settings)
    return LoadedPotential(bundle, problem, initial_params(bundle, problem), Path("bundle"))


def network(zunger: LoadedPotential, name: str, number: int) -> LoadedPotential:
    """A model of the catalogue with random parameters, batch norms included."""
    model = network_model(Settings(model=name, n_systems=1, **OPTIONS), 2, LAST_KNOT)
    rng = np.random.default_rng(number)

    def drawn(path, leaf):
        values = rng.normal(size=leaf.shape)
        return jnp.asarray(np.abs(values) + 0.1 if "var" in str(path) else values)

    variables = jax.tree_util.tree_map_with_path(drawn, model.parameter_shapes())
    problem = with_local(zunger.problem, model)
    return replace(zunger, problem=problem, params=zunger.params.updated({"local": variables}))


def text_of(potential: LoadedPotential) -> str:
    return form_factor_module(potential, date(2026, 2, 3))


NETWORKS = [name for name, spec in CATALOGUE.items() if spec.layers]


@pytest.fixture(scope="module")
def potentials(zunger) -> dict[str, LoadedPotential]:
    found = {name: network(zunger, name, i) for i, name in enumerate(NETWORKS)}
    return found | {"ZeroFunction": zunger}


@pytest.fixture(scope="module")
def found(potentials, tmp_path_factory) -> dict[str, np.ndarray]:
    """What all modules give in a process without JAX: form factor, short range, strained."""
    folder = tmp_path_factory.mktemp("modules")
    np.save(folder / "q.npy", Q)
    for name, potential in potentials.items():
        (folder / f"{name}.py").write_text(text_of(potential))
    files = [f"{name}.py" for name in potentials]
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    process = subprocess.run(
        [sys.executable, "-W", "error", "-c", WITHOUT_JAX, "q.npy", *files],
        cwd=folder, env=environment, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert process.returncode == 0, process.stderr
    return dict(np.load(folder / "found.npz"))


def test_every_model_of_the_catalogue_is_tried(potentials):
    assert set(potentials) == set(CATALOGUE)


@pytest.mark.parametrize("name", CATALOGUE)
def test_form_factors_are_those_of_this_code(name, potentials, found):
    potential = potentials[name]
    params, model = potential.params, potential.model
    q = jnp.asarray(Q)
    short = np.asarray(model.apply(params.local, q))
    whole = np.asarray(v_of_q(model, params, q, GAMMA))
    strained = whole * np.asarray(strain_factor(params.strain, jnp.asarray(1.1)))
    size = np.abs(short).max()
    assert size > 1e-3
    for i, symbol in enumerate(potential.species):
        of_module = found[f"{name}.py {symbol}"]
        for values, expected in zip(of_module, (whole, short, strained), strict=True):
            largest = np.abs(expected[:, i]).max()
            assert np.abs(values - expected[:, i]).max() <= TOLERANCE * largest


def test_scalars_arrays_and_mistakes(zunger):
    module: dict = {}
    exec(text_of(zunger), module)
    form_factor = module["form_factor"]
    assert np.ndim(form_factor("S", 1.0)) == 0 and isinstance(float(form_factor("S", 1.0)), float)
    grid = form_factor("Zn", np.ones((2, 3)))
    assert grid.shape == (2, 3) and np.all(grid == form_factor("Zn", 1.0))
    assert form_factor("Zn", [0, 1]).shape == (2,)
    with pytest.raises(ValueError, match="no potential of 'Ga'; there are those of S, Zn"):
        form_factor("Ga", 1.0)
    for bad in (-1.0, np.nan):
        with pytest.raises(ValueError, match="numbers >= 0"):
            form_factor("S", bad)


def test_coefficients_are_lossless_and_0_where_a_channel_is_off(zunger):
    module: dict = {}
    exec(text_of(zunger), module)
    for symbol, row in zip(zunger.species, np.asarray(zunger.bundle.coefficients), strict=True):
        assert list(module["COEFFICIENTS"][symbol].values()) == row[4:].tolist()
    settings = Settings(model="ZeroFunction", n_systems=1)
    off = replace(zunger, bundle=replace(zunger.bundle, settings=settings))
    exec(text_of(off), module)
    for symbol, a4 in zip(zunger.species, np.asarray(zunger.params.long_range), strict=True):
        assert list(module["COEFFICIENTS"][symbol].values()) == [a4, 0, 0, 0, 0]


def test_the_docstring_tells_where_it_comes_from(zunger):
    hostile = replace(zunger, source=Path('x"""\\n'), bundle=replace(zunger.bundle))
    module: dict = {}
    exec(text_of(hostile), module)
    text = module["__doc__"]
    for part in ("2026-02-03", "in-memory", "maxKE = 1.7 Ha, basis_sphere = G_full", "of S and Zn"):
        assert part in text
    assert max(map(len, text.splitlines())) <= 110


def test_a_damaged_module_says_so(zunger):
    text = text_of(network(zunger, "Net_celu_HeInit", 1))
    start = text.index('"""\n', text.index("_LAYERS")) + 20
    damaged = text[:start] + ("A" if text[start] != "A" else "B") + text[start + 1 :]
    with pytest.raises(ValueError, match="is damaged: export the potential again"):
        exec(damaged, {"__file__": "form_factors.py"})


def test_a_model_without_numpy_code_is_refused(zunger, monkeypatch):
    odd = replace(CATALOGUE["Net_celu_HeInit"], activation=jnp.sin)
    monkeypatch.setitem(CATALOGUE, "Net_odd", odd)
    model = NetworkModel("Net_odd", (3,), 2)
    potential = replace(zunger, problem=with_local(zunger.problem, model))
    with pytest.raises(UnsupportedError, match="Net_odd: its activation"):
        form_factor_module(potential)
