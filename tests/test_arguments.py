"""What public functions refuse before they compute: wrong kinds, shapes, values and indices."""

import inspect
from copy import copy
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from samples import bundle_of, random_system

import deeppseudopot_jax as dp

ROW = dp.DeformationTarget((0, 2), (1, 4), 1.02, -2.0, 1.0)
NAN = jnp.full(3, jnp.nan)


def made(**settings):
    rng = np.random.default_rng(2)
    edges = {"gap_k_point": 0, "valence_band": 3, "conduction_band": 4}
    bundle = bundle_of(rng, random_system(rng, **edges), **settings)
    problem = dp.build_problem(bundle, solver=dp.dense)
    return bundle, problem, dp.initial_params(bundle, problem)


@pytest.fixture(scope="module")
def legal():
    """Legal arguments of all public functions by their names."""
    bundle, problem, params = made()
    (system,) = bundle.systems
    q_points = np.array([[0.3, 0.1, 0.0]])
    return {
        "folder": "inputs", "purpose": "run", "models": {}, "potential": None,
        "bundle": bundle, "local": "zunger",
        "precision": "float64", "solver": dp.dense, "problem": problem, "replicas": 1,
        "params": params, "system_index": 0, "k_point": 1, "bands": (0, 3), "rows": (ROW,),
        "direction": jnp.array([1.0, 0.0, 0.0]), "tolerance": 1e-5, "q": jnp.arange(3.0),
        "k_points": jnp.zeros((2, 3)), "strain": jnp.zeros((3, 3)), "undeformed": jnp.zeros((2, 6)),
        "settings": bundle.settings, "system": system, "q_points": q_points,
        "tables": dp.coupling_tables(problem, bundle.settings, system, q_points),
    }  # fmt: skip


def altered(record, **changes):
    """The record with other fields, which its annotations may not allow."""
    changed = copy(record)
    for field, value in changes.items():
        object.__setattr__(changed, field, value)
    return changed


def call(function, legal, **changes):
    names = inspect.signature(function).parameters
    assert changes.keys() <= names.keys()
    return function(**{name: legal[name] for name in names} | changes)


FUNCTIONS = [name for name in dp.__all__ if inspect.isfunction(getattr(dp, name))]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_argument_of_every_function_is_looked_at(legal, name):
    function = getattr(dp, name)
    for argument in inspect.signature(function).parameters:
        with pytest.raises(dp.InputError, match=rf"^{argument}: found .*; legal: "):
            call(function, legal, **{argument: object()})


def test_these_are_functions():
    assert len(FUNCTIONS) == 15
    assert {"energies_at", "read_bundle", "loss"} < {*FUNCTIONS}


@pytest.mark.parametrize(
    "function, argument, value, message",
    [
        (dp.read_bundle, "purpose", "evl", "found 'evl'; legal: 'run' or 'eval'"),
        (dp.build_problem, "local", "networks", "'network' or 'zunger'"),
        (dp.build_problem, "precision", "float16", "'float64' or 'float32'"),
        (dp.distribute, "replicas", 0, "a whole number >= 1"),
        (dp.energies_at, "k_points", jnp.array([0.1, 0.2, 0.3]), r"found shape \(3,\).*\(kpt, 3\)"),
        (dp.energies_at, "k_points", jnp.zeros((0, 3)), r"found shape \(0, 3\)"),
        (dp.energies_at, "k_points", NAN[None], "found nan; legal: finite"),
        (dp.energies_at, "k_points", [[0.0, 0.0], [0.0]], "ragged"),
        (dp.energies_at, "k_points", jnp.ones((1, 3), complex), "complex128.*real numbers"),
        (dp.energies_at, "strain", 0.01, r"found shape \(\).*\(3, 3\)"),
        (dp.energies_at, "strain", 0.01 * jnp.ones(3), r"found shape \(3,\)"),
        (dp.energies_at, "strain", jnp.full((3, 3), jnp.inf), "found inf"),
        (dp.energies_at, "strain", -2.0 * jnp.eye(3), r"found det\(1 \+ strain\) = -1"),
        (dp.energies_at, "system_index", 0.0, "found 0.0; legal: a whole number"),
        (dp.energies_at, "system_index", False, "found False"),
        (dp.form_factors, "q", 0.5, r"found shape \(\)"),
        (dp.form_factors, "q", jnp.array([0.0, -1.0]), "found -1; legal: numbers >= 0"),
        (dp.effective_masses, "direction", jnp.zeros(3), "found the zero vector"),
        (dp.effective_masses, "direction", NAN, "found nan"),
        (dp.effective_masses, "direction", jnp.ones((1, 3)), r"found shape \(1, 3\)"),
        (dp.effective_masses, "bands", 3, "found 3; legal: a tuple"),
        (dp.effective_masses, "bands", (), "found none"),
        (dp.effective_masses, "tolerance", 0.0, "found 0; legal: a number > 0"),
        (dp.deformation_potentials, "rows", ROW, "a list of DeformationTarget"),
        (dp.deformation_potentials, "undeformed", jnp.zeros((2, 5)), r"\(2, 5\).*\(2, 6\)"),
        (dp.couplings, "tolerance", float("nan"), "found nan"),
        (dp.coupling_tables, "q_points", np.zeros(3), r"found shape \(3,\)"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(legal, function, argument, value, message):
    with pytest.raises(dp.InputError, match=f"^{argument}: .*{message}"):
        call(function, legal, **{argument: value})


@pytest.mark.parametrize("ratio", [1.0, 1, -1.0, 0.0, float("inf"), float("nan")])
def test_ratios_that_change_no_volume(legal, ratio):
    with pytest.raises(dp.InputError, match=r"^rows\[1\].ratio: .* a number > 0 other than 1"):
        call(dp.deformation_potentials, legal, rows=[ROW, altered(ROW, ratio=ratio)])


@pytest.mark.parametrize(
    "function, changes, message",
    [
        (dp.energies_at, {"system_index": 1}, "system_index: found 1; legal: 0 to 0"),
        (dp.energies_at, {"system_index": -1}, "system_index: found -1"),
        (dp.gap, {"k_point": 2}, "k_point: found 2; legal: 0 to 1, of system 0"),
        (dp.effective_masses, {"bands": (0, 6)}, "bands: found 6; legal: 0 to 5"),
        (dp.effective_masses, {"k_point": -1}, "k_point: found -1"),
        (
            dp.deformation_potentials,
            {"rows": (replace(ROW, valence=(0, 6)),)},
            "band of rows",
        ),
        (dp.deformation_potentials, {"rows": (replace(ROW, conduction=(2, 0)),)}, "k-point of"),
    ],
)
def test_indices_out_of_range(legal, function, changes, message):
    with pytest.raises(IndexError, match=message):
        call(function, legal, **changes)


@pytest.mark.parametrize(
    "channel, value, message",
    [
        ("local", jnp.ones((1, 4)), r'params\["local"\]: found shape \(1, 4\).*\(2, 4\)'),
        ("local", {"a0": jnp.ones(2)}, r"params\[\"local\"\]: found .*'a0'"),
        ("long_range", jnp.ones(3), r'params\["long_range"\]: found shape \(3,\).*\(2,\)'),
        ("nonlocal", jnp.ones(2), r'params\["nonlocal"\]: found shape \(2,\).*\(2, 2\)'),
        ("strain", None, r'params\["strain"\]: found None'),
    ],
)
def test_parameters_of_another_shape(legal, channel, value, message):
    for function in (dp.energies, dp.cost, dp.gap, dp.couplings):
        with pytest.raises(dp.InputError, match=message):
            call(function, legal, params=legal["params"].updated({channel: value}))


def test_parameters_of_another_network():
    _, problem, params = made(model="Net_celu_HeInit", hidden_layers=(3,))
    wider = jax.tree.map(lambda leaf: jnp.concatenate([leaf, leaf]), params.local)
    with pytest.raises(dp.InputError, match=r"linear_0'\]\['bias'\]: found shape \(6,\).*\(3,\)"):
        dp.energies(problem, params.updated({"local": wider}))
    fewer = {"params": {"linear_0": params.local["params"]["linear_0"]}}
    with pytest.raises(dp.InputError, match=r'^params\["local"\].*legal: .*linear_1'):
        dp.energies(problem, params.updated({"local": fewer}))


def test_checks_come_before_tracing_and_see_shapes_in_it(legal):
    with pytest.raises(dp.InputError, match="k_points"):
        jax.jit(dp.energies_at)(legal["problem"], legal["params"], 0, jnp.zeros(3))
    batch = jax.tree.map(lambda leaf: leaf[None], legal["params"])
    jax.eval_shape(jax.vmap(dp.energies, (None, 0)), legal["problem"], batch)
    with pytest.raises(dp.InputError, match="params"):
        jax.eval_shape(dp.energies, legal["problem"], batch)


def test_what_belongs_to_another_problem(legal):
    rng = np.random.default_rng(3)
    other = bundle_of(rng, random_system(rng, ("In", "P")))
    longer = bundle_of(rng, random_system(rng, n_k=3))
    for function in (dp.initial_params, dp.training_cost):
        with pytest.raises(dp.InputError, match="a problem of As Ga; legal: one of In P"):
            call(function, legal, bundle=other)
        with pytest.raises(dp.InputError, match=r"\[\(2, 6\)\]; legal: \[\(3, 6\)\]"):
            call(function, legal, bundle=longer)
    with pytest.raises(dp.InputError, match="atoms In P; legal: those of the problem, As Ga"):
        call(dp.coupling_tables, legal, system=other.systems[0])
    with_spin = legal["settings"].model_copy(update={"spin_orbit": True})
    with pytest.raises(dp.InputError, match="SObool = 1, basis_sphere = G_full"):
        call(dp.coupling_tables, legal, settings=with_spin)


def test_a_cost_looks_at_the_bands(legal):
    cost = dp.training_cost(legal["bundle"], legal["problem"])
    for bands, message in (
        ([], r"evaluated.bands: found 0 arrays"),
        ([jnp.zeros((1, 6))], r"evaluated.bands\[0\]: found shape \(1, 6\).*\(2, 6\)"),
    ):
        for function in (cost, cost.values):
            with pytest.raises(dp.InputError, match=message):
                function(legal["problem"], legal["params"], dp.Evaluated(bands))
    with pytest.raises(dp.InputError, match="params: found a dict"):
        cost.values(legal["problem"], {}, dp.Evaluated([jnp.zeros((2, 6))]))


def test_the_arrays_of_a_bundle_belong_together(legal):
    bundle = legal["bundle"]
    (system,) = bundle.systems

    def refused(message, **changes):
        with pytest.raises((dp.InputError, IndexError), match=message):
            dp.build_problem(altered(bundle, **changes))

    for field, value in {
        "k_points": np.zeros(3),
        "k_weights": np.ones(1),
        "band_weights": np.array([1.0, 1.0, 1.0, 1.0, 1.0, -1.0]),
        "reference_energies": np.zeros((1, 6)),
        "band_order": np.zeros((2, 5), int),
        "n_bands": 0,
        "max_kinetic_energy": float("nan"),
        "valence_band": 6,
    }.items():
        refused(rf"^bundle.systems\[0\].{field}: ", systems=(altered(system, **{field: value}),))
    flat = altered(system.crystal, lattice=np.ones((3, 3)))
    refused("crystal.lattice: found rows of a plane", systems=(altered(system, crystal=flat),))
    few = altered(system.crystal, fractional_positions=np.zeros((1, 3)))
    refused("fractional_positions", systems=(altered(system, crystal=few),))
    refused(r"bundle.coefficients: found shape \(1, 9\)", coefficients=np.zeros((1, 9)))
    for species in (("Ga", "As"), ("As",), ("As", "As", "Ga")):
        refused(f"bundle.species: found {' '.join(species)}; legal", species=species)
    refused("bundle.systems: found none", systems=())
