"""The names of all files that a run or an evaluation writes, so that old ones can be told."""

import re

_POTENTIAL = r"PPmodel\.pth|[A-Z][a-z]*Params\.(par|dat)"
_OF_STAGE = (
    rf"({_POTENTIAL}|AdamState\.pth|BS_sys\d+\.dat|plot(BS|PP)\.(pdf|png)"
    r"|qSpace_pot\.dat|pot_[A-Z][a-z]*\.dat)"
)
_CHAIN = r"(mcOpts.*_)?"
_GROWING = r"(final_mc_(cost|replicas)|iterations)\.dat|mc_checkpoint\.npz"
_RUN = re.compile(
    r"run\.log|handed_over\.npz|basisStates_\d+\.dat"
    rf"|(oldFunc|initZunger|epoch_\d+|final|member_\d+|ensemble|{_CHAIN}best)_{_OF_STAGE}"
    r"|init_train_cost\.(dat|pdf)|final_(training|validation)_cost\.dat|final_train_cost\.pdf"
    r"|final_observables\.(dat|json)|final_covariance\.npz|ensemble\.(dat|npz)"
    rf"|{_CHAIN}({_GROWING}|final_mc_(cost|replicas)\.(pdf|png))"
)
_CONTINUED = re.compile(rf"{_CHAIN}({_GROWING}|best_({_POTENTIAL}))")
_EVALUATION = re.compile(rf"eval\.log|eval_({_OF_STAGE}|observables\.(dat|json))")


def of_run(name: str) -> bool:
    """Whether a run writes a file of this name."""
    return _RUN.fullmatch(name) is not None


def continued(name: str) -> bool:
    """Whether a Monte Carlo run that is resumed goes on with a file of this name."""
    return _CONTINUED.fullmatch(name) is not None


def of_evaluation(name: str) -> bool:
    """Whether an evaluation writes a file of this name and a run does not."""
    return _EVALUATION.fullmatch(name) is not None
