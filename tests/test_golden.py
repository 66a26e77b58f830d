"""Energies, losses and gradients of real bundles as the PyTorch code computed them (shared/golden).

Band energies agree within 1e-8 eV; differences seen are below 1e-11 eV.
"""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose
from samples import bands, bands_at, cost_and_gradient

from deeppseudopot_jax import build_problem, initial_params, read_bundle
from deeppseudopot_jax.costs.bands import cost_of_bands
from deeppseudopot_jax.costs.interface import Evaluated
from deeppseudopot_jax.potentials.state_dict import to_state_dict

pytestmark = pytest.mark.as_compiled

TOLERANCE = 1e-8  # eV


def close(found, expected) -> None:
    """Energies agree within TOLERANCE; shapes must be equal."""
    assert found.shape == expected.shape
    assert_allclose(found, expected, rtol=0, atol=TOLERANCE)


def test_zunger_form_without_and_with_the_long_range_tail(reference_bundle, golden):
    bundle = read_bundle(reference_bundle("cdse_zunger"))
    problem = build_problem(bundle)
    params = initial_params(bundle, problem)
    reference = np.load(golden / "cdse_zunger.npz")
    assert problem.n_waves == (int(reference["N"]),)
    close(bands(problem, params)[0], reference["E"])
    assert bundle.species == ("Cd", "Se")
    with_tail = params.updated({"long_range": jnp.array([0.15, -0.15])})
    found = bands(problem, with_tail)[0]
    close(found, np.load(golden / "cdse_long_range.npz")["E"])
    assert np.abs(found - reference["E"]).max() > 1e-3


@pytest.fixture(scope="module")
def four_compounds(reference_bundle):
    """The bundle of InAs, InP, GaAs and GaP."""
    return read_bundle(reference_bundle("ingaasp_nn"))


def test_four_compounds(four_compounds, golden):
    reference = np.load(golden / "ingaasp_20.npz")
    problem = build_problem(four_compounds)
    params = initial_params(four_compounds, problem)
    found = bands(problem, params)
    for i in range(4):
        close(found[i], reference[f"E{i}"])
    total = float(cost_of_bands(problem)(problem, params, Evaluated(found)))
    assert f"{total:.4f}" == "328.5544"
    assert total == pytest.approx(float(reference["loss"]), rel=1e-10)
    analytic = build_problem(four_compounds, local="zunger")
    for i, levels in enumerate(bands(analytic, initial_params(four_compounds, analytic))):
        close(levels, reference[f"EZ{i}"])


def test_gradient_of_the_weights(four_compounds, golden):
    reference = np.load(golden / "ingaasp_20.npz")
    rows = reference["grad_k"]
    system = four_compounds.systems[0]
    chosen = dataclasses.replace(
        system,
        k_points=system.k_points[rows],
        k_weights=system.k_weights[rows],
        path_length=system.path_length[rows],
        reference_energies=system.reference_energies[rows],
    )
    bundle = dataclasses.replace(four_compounds, systems=(chosen,))
    problem = build_problem(bundle)
    params = initial_params(bundle, problem)
    cost, gradient = cost_and_gradient(problem, params)
    assert float(cost) == pytest.approx(float(reference["grad_loss"]), rel=1e-10)
    found = to_state_dict(problem.local, gradient["local"])
    names = {key.removeprefix("grad.") for key in reference if key.startswith("grad.")}
    assert set(found) == names
    for name in names:
        expected = reference[f"grad.{name}"]
        assert_allclose(found[name], expected, rtol=1e-7, atol=1e-7 * np.abs(expected).max())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("local", "key", "total"), [("zunger", "EZ", 0.1954), ("network", "E", 11.3064)]
)
def test_spin_orbit_crystal(reference_bundle, golden, local, key, total):
    bundle = read_bundle(reference_bundle("cspbi3_soc"))
    reference = np.load(golden / "cspbi3_soc.npz")
    problem = build_problem(bundle, local=local)
    params = initial_params(bundle, problem)
    found = bands(problem, params)
    close(found[0], reference[key])
    assert f"{float(cost_of_bands(problem)(problem, params, Evaluated(found))):.4f}" == str(total)
    if local == "zunger":
        strain = (float(reference["ratio"]) - 1.0) * jnp.eye(3)
        k_points = problem.groups[0].k_points[0, :1]
        deformed = bands_at(problem, params, system_index=0, k_points=k_points, strain=strain)
        close(deformed.ravel(), reference["EZ_def"].ravel())
        assert np.abs(deformed - found[0][:1]).max() > 1e-3
