"""Files that would start a stage from something else than the outcome of the one before it."""

from deeppseudopot_jax.files.bundle.folder import InputsFolder
from deeppseudopot_jax.files.bundle.key_value import KeyFile
from deeppseudopot_jax.settings import Settings
from deeppseudopot_jax.stages import hand_over_a_curve, spelled


def check_starts(config: KeyFile[Settings], inputs: InputsFolder) -> None:
    """A network that comes after the coefficients starts from their curve, and from no file."""
    settings = config.values
    if not hand_over_a_curve(settings.stages, settings.model):
        return
    stages = f"{spelled(settings.stages)} hands a curve over"
    if "init_PPmodel.pth" in inputs.names and not settings.force_retrain:
        inputs.findings.problem(
            "init_PPmodel.pth",
            f"would start the network, but {stages}",
            legal="no such file, or force_retrain = 1 to fit its weights to that curve",
        )
    if "init_qSpace_pot.par" in inputs.names:
        inputs.findings.problem(
            "init_qSpace_pot.par",
            f"would be what the network is fitted to first, but {stages}",
            legal="no such file",
        )


def note_unused_moments(config: KeyFile[Settings]) -> bool:
    """Whether other stages come before the training that init_AdamState.pth belongs to; a note."""
    stages = config.values.stages
    if not stages or stages[0] == "network":
        return False
    config.document.findings.note(
        f"init_AdamState.pth is not used: {spelled(stages)} begins with {stages[0]}."
    )
    return True
