"""What the log says of a potential: errors, the cost by name and unit, gaps."""

from types import SimpleNamespace

import numpy as np
import pytest
from samples import bundle_of, random_system

from deeppseudopot_jax import initial_params
from deeppseudopot_jax.observables.band_numbers import gaps
from deeppseudopot_jax.run.checks.plan import plan_of
from deeppseudopot_jax.run.preparation import prepare, tables_of
from deeppseudopot_jax.run.session import Session, Solved

BANDS = np.array([[0.0, 2.0], [0.5, 3.0], [-1.0, 1.0]])  # the gap is indirect, from 0.5 to 1.0
EDGES = {"valence_band": 0, "conduction_band": 1}
MONTE_CARLO = {"monte_carlo": True, "mc_iterations": 3, "mc_fraction": 0.1, "mc_beta": 1.0}


def system_with(**changes):
    rng = np.random.default_rng(0)
    reference = BANDS + np.array([[0.0, 0.25]])
    changes = {"reference_energies": reference} | changes
    return random_system(rng, n_k=3, n_bands=2, **changes)


def said(system, **settings) -> list[str]:
    """The lines about these bands."""
    lines: list[str] = []
    plan = plan_of(bundle_of(np.random.default_rng(0), system, **settings))
    _, problem, cost, chains = prepare(plan, tables_of(plan.bundle, "float64"))
    session = Session(plan, problem, None, SimpleNamespace(line=lines.append), cost, chains)
    session.report_errors("This", Solved(problem, initial_params(plan.bundle, problem), [BANDS]))
    return lines


def test_gaps_of_bands():
    def told(bands=BANDS, **changes):
        return {gap.name: gap.value for gap in gaps(system_with(**changes), bands)}

    assert told() == told(conduction_band=1) == {}
    assert told(**EDGES) == {"gap": 0.5, "direct gap": 2.0}
    assert told(BANDS[:1], **EDGES, reference_energies=None) == {"gap": 2.0}
    assert told(**EDGES, gap_k_point=1) == {"gap at k-point 1": 2.5}


def test_gaps_are_told_with_their_reference():
    system = system_with(**EDGES, name="here")
    line = "This: here gap 0.500 eV (reference 0.750 eV), direct gap 2.000 eV (reference 2.250 eV)"
    assert said(system)[1:] == [line]
    alone = system_with(**EDGES, gap_k_point=0, name="here", reference_energies=None)
    assert said(alone) == ["This: here gap at k-point 0 2.000 eV"]


@pytest.mark.parametrize(("settings", "name"), [({}, "cost"), (MONTE_CARLO, "sum of squares")])
def test_what_is_not_the_cost_of_a_run_has_another_name(settings, name):
    (line,) = said(system_with(), **settings)
    assert f", {name} " in line and " eV^2" in line and line.count("cost") == (name == "cost")
