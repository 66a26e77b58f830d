"""A run that resumes is one of the same inputs: whatever its numbers follow from is compared."""

from dataclasses import dataclass, fields, replace
from pathlib import Path

import bundle_samples
import numpy as np
import pytest

from deeppseudopot_jax.files.bundle import read_bundle
from deeppseudopot_jax.run import facts
from deeppseudopot_jax.run.checks.plan import plan_of
from deeppseudopot_jax.types import Bundle, Crystal, SystemInput

CHAIN = "mc_bool = 1\nmc_iter = 30\nmc_percentage = 0.02\nmc_beta = 50\n"
NETWORK = CHAIN + "nSystem = 1\nPPmodel = Net_celu_HeInit\nhiddenLayers = 4\n"
ZERO = CHAIN + "nSystem = 1\nPPmodel = ZeroFunction\n"
OPTIONS = "betas = 100 1\nstepsAtTemp = 4 3\ntempStepSizeMod = 1 0.5\ntotalIter = 30\n"
INPUT = bundle_samples.GOOD["input_0.par"]
EVERYTHING = {
    "NN_config": NETWORK + "mc_beta_schedule = betas.par\n",
    "betas": "5 20\n9 30\n",
    "input_0": INPUT + "fit_eph = 1\n",
    "expCoupling_0": bundle_samples.COUPLINGS,
    "qpoints_0": "0.5 0 0 1\n0 0 0 1\n",
    "expDefPot_0": "-3\n-8\n",
}


def chain_facts(folder: Path, **changes: str | None) -> dict[str, str]:
    """Those of the only chain of a bundle."""
    bundle = read_bundle(bundle_samples.write(folder, **(EVERYTHING | changes)))
    options = bundle.monte_carlo_options if bundle.settings.trains_coefficients else ()
    return facts.chain_facts(plan_of(bundle), options[-1] if options else None, "float64")


def changed(one: dict[str, str], two: dict[str, str]) -> set[str]:
    return {name for name in one | two if one.get(name) != two.get(name)}


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({"input_0": INPUT}, {"systems 0 fit couplings"}),
        ({"input_0": INPUT + "fit_eph = 1\nfit_defPot = 1\n"}, {"systems 0 fit deformation"}),
        ({"input_0": INPUT + "fit_eph = 1\nfit_eff_masses = 1\n"}, {"systems 0 fit masses"}),
        (
            {"input_0": INPUT.replace("idxVB = 1", "idxVB = 0") + "fit_eph = 1\n"},
            {"systems 0 valence band"},
        ),
        (
            {"input_0": INPUT.replace("idxCB = 2", "idxCB = 3") + "fit_eph = 1\n"},
            {"systems 0 conduction band"},
        ),
        (
            {"input_0": INPUT.replace("idxGap = 0", "idxGap = 1") + "fit_eph = 1\n"},
            {"systems 0 gap k point"},
        ),
        ({"input_0": INPUT + "fit_eph = 1\nrelE_bIdx = 1\n"}, {"systems 0 relative band"}),
        ({"betas": "5 20\n9 31\n"}, {"beta schedule"}),
        (
            {"expCoupling_0": bundle_samples.COUPLINGS.replace("0.1 0.2", "0.1 0.3")},
            {f"systems 0 coupling targets {i} values" for i in (0, 6)},
        ),
        (
            {
                "expCoupling_0": bundle_samples.COUPLINGS.replace("vb-vb", "xx-xx")
                .replace("cb-cb", "vb-vb")
                .replace("xx-xx", "cb-cb")
            },
            {f"systems 0 coupling targets {i} band" for i in range(12)},
        ),
        ({"expDefPot_0": "-3\n-7\n"}, {"systems 0 deformation targets conduction"}),
        ({"bandWeights_0": "1\n1\n1\n1\n"}, {"systems 0 band weights"}),
        ({"NN_config": EVERYTHING["NN_config"] + "seed = 3\n"}, {"seed"}),
        # What only outputs depend on, and what does not act, may differ; a chain may be longer.
        ({"NN_config": EVERYTHING["NN_config"] + "qmax = 9\nplotEvery = 3\nmemory_flag = 1\n"}, ()),
        ({"NN_config": EVERYTHING["NN_config"].replace("mc_iter = 30", "mc_iter = 60")}, ()),
        ({"input_0": INPUT + "fit_eph = 1\nBS_plot_center = 3\n"}, ()),
    ],
)
def test_what_has_changed_is_named(tmp_path, changes, names):
    found = changed(chain_facts(tmp_path / "one"), chain_facts(tmp_path / "two", **changes))
    assert found == set(names)


def test_chains_start_where_the_one_before_has_ended(tmp_path):
    files = {"NN_config": ZERO, "mcOpts1": OPTIONS, "mcOpts2": OPTIONS}
    first = chain_facts(tmp_path / "a", **files)
    longer = OPTIONS.replace("= 30", "= 60")
    assert not changed(first, chain_facts(tmp_path / "b", **(files | {"mcOpts2": longer})))
    found = changed(first, chain_facts(tmp_path / "c", **(files | {"mcOpts1": longer})))
    assert found == {"mcOpts1.par total iterations"}
    hotter = OPTIONS.replace("100 1", "100 2")
    found = changed(first, chain_facts(tmp_path / "d", **(files | {"mcOpts2": hotter})))
    assert found == {"mcOpts2.par betas"}


def test_every_field_is_a_fact_unless_outputs_alone_need_it(tmp_path):
    names = chain_facts(tmp_path)

    def beside(record: type, prefix: str) -> set[str]:
        found = {field.name: prefix + field.name.replace("_", " ") for field in fields(record)}
        return {key for key, text in found.items() if not any(n.startswith(text) for n in names)}

    assert beside(SystemInput, "systems 0 ") == {"name", "path_length", "plot_range", "labels"}
    assert beside(Crystal, "systems 0 crystal ") == set()
    told_by_themselves = {"settings", "monte_carlo_options"}
    moments = {"optimizer_state"}  # those of gradient training
    assert beside(Bundle, "") == {"folder", "notes", "sources"} | told_by_themselves | moments


def test_weights_and_moments_are_facts(tmp_path):
    bundle = read_bundle(bundle_samples.write(tmp_path, NN_config=NETWORK.replace(CHAIN, "")))
    plan = plan_of(replace(bundle, model_state={"weight": np.ones(3)}))
    other = plan_of(replace(bundle, model_state={"weight": np.array([1.0, 1.0, 1.1])}))
    assert changed(facts.input_facts(plan), facts.input_facts(other)) == {"model state"}
    moments = [{"state": {0: {"exp_avg": np.ones(i)}}, "lr": 0.1, "fused": None} for i in (2, 3)]
    plans = [
        replace(plan, restores_moments=True, bundle=replace(bundle, optimizer_state=state))
        for state in moments
    ]
    assert changed(*map(facts.input_facts, plans)) == {"optimizer state"}


def test_nothing_passes_unseen(tmp_path):
    @dataclass(frozen=True, eq=False)
    class Wider(Bundle):
        surprise: object = None

    bundle = read_bundle(bundle_samples.write(tmp_path, NN_config=NETWORK))
    wider = {field.name: getattr(bundle, field.name) for field in fields(bundle)}
    told = facts.input_facts(plan_of(Wider(**wider, surprise=0.5)))
    assert told["surprise"] == "0.5"
    with pytest.raises(TypeError, match="no fact can be made of a set"):
        facts.input_facts(plan_of(Wider(**wider, surprise={1})))
