"""The names of all files that a run or an evaluation writes, so that old ones can be told."""

import re
from pathlib import Path

CHECKPOINT = "training_checkpoint.npz"
"""Of a training, from which it can go on."""

_POTENTIAL = r"PPmodel\.pth|[A-Z][a-z]*Params\.(par|dat)"
_OF_STAGE = (
    rf"({_POTENTIAL}|AdamState\.pth|BS_sys\d+\.dat|plot(BS|PP)\.(pdf|png)"
    r"|qSpace_pot\.dat|pot_[A-Z][a-z]*\.dat)"
)
_CHAIN = r"(mcOpts.*_)?"
_ON_THE_WAY = r"initZunger|preEpoch_\d+|epoch_\d+"
_MC_FRAME = rf"{_CHAIN}mc_iter_\d+_(BS_sys\d+|qSpace_pot)\.dat"
_GROWING = rf"(final_mc_(cost|replicas)|iterations)\.dat|mc_checkpoint(\.npz|_({_POTENTIAL}))"
_RUN = re.compile(
    r"run(_interrupted)?\.log|run_timings\.json|report\.html|handed_over\.npz"
    r"|basisStates_\d+\.dat|movie_(BS|PP)\.(mp4|webp|gif)"
    rf"|(oldFunc|{_ON_THE_WAY}|final|member_\d+|ensemble|{_CHAIN}best)_{_OF_STAGE}|{_MC_FRAME}"
    r"|init_train_cost\.(dat|pdf)|final_(training|validation)_cost\.dat|final_train_cost\.pdf"
    r"|final_observables\.(dat|json)|final_covariance\.npz|ensemble\.(dat|npz)"
    r"|training_checkpoint\.npz"
    rf"|{_CHAIN}({_GROWING}|final_mc_(cost|replicas)\.(pdf|png))"
)
_CONTINUED = re.compile(rf"{_CHAIN}({_GROWING}|best_({_POTENTIAL}))|{_MC_FRAME}")
_TRAINED = re.compile(
    rf"(oldFunc|{_ON_THE_WAY}|best)_{_OF_STAGE}|basisStates_\d+\.dat"
    r"|run_interrupted\.log|training_checkpoint\.npz"
    r"|init_train_cost\.(dat|pdf)|final_(training|validation)_cost\.dat"
)
_EVALUATION = re.compile(
    rf"eval\.log|eval_timings\.json|eval_({_OF_STAGE}|observables\.(dat|json))"
    r"|eval_states_sys\d+\.npz|eval_spin_sys\d+\.dat"
)
_FRAME = re.compile(rf"({_CHAIN}mc_iter_\d+|{_ON_THE_WAY})_qSpace_pot\.dat")
_KINDS = ("initZunger", "preEpoch", "mc_iter", "epoch")


def of_run(name: str) -> bool:
    """Whether a run writes a file of this name."""
    return _RUN.fullmatch(name) is not None


def continued(name: str) -> bool:
    """Whether a Monte Carlo run that is resumed goes on with a file of this name."""
    return _CONTINUED.fullmatch(name) is not None


def trained(name: str) -> bool:
    """Whether a training that is resumed goes on with a file of this name."""
    return _TRAINED.fullmatch(name) is not None


def of_evaluation(name: str) -> bool:
    """Whether an evaluation writes a file of this name and a run does not."""
    return _EVALUATION.fullmatch(name) is not None


def frames(folder: Path) -> list[str]:
    """The prefixes of potentials on the way of a run, in the order in which movies show them.

    Start, moves before the first epoch, iterations of one chain after the other, epochs.
    """
    found = (_FRAME.fullmatch(path.name) for path in folder.iterdir())
    return sorted((match[1] for match in found if match), key=_place)


def _place(prefix: str) -> tuple:
    kind = next(number for number, kind in enumerate(_KINDS) if kind in prefix)
    parts = re.split(r"(\d+)", prefix)  # numbers at the odd places
    return kind, *(int(part) if place % 2 else part for place, part in enumerate(parts))
