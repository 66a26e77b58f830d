"""NN_config.par: the settings of a run, checked key by key and against each other."""

from collections.abc import Collection, Mapping

from deeppseudopot_jax.files.bundle.folder import nearest
from deeppseudopot_jax.files.bundle.key_value import KeyFile, read_keys
from deeppseudopot_jax.files.bundle.text import Document
from deeppseudopot_jax.potentials.catalogue import CATALOGUE
from deeppseudopot_jax.settings import Settings, rule_violations

# Model class -> the settings without which it is not defined.
MODEL_NEEDS: dict[str, tuple[str, ...]] = {name: spec.needs for name, spec in CATALOGUE.items()}


def read_config(
    document: Document, models: Mapping[str, Collection[str]] = MODEL_NEEDS
) -> KeyFile[Settings]:
    """The settings of NN_config.par; everything wrong with them goes to the findings.

    Args:
        document: the file.
        models: the legal values of PPmodel and, per model, the settings it needs.
    """
    config = read_keys(document, Settings)
    for violation in rule_violations(config.values):
        if config.faulty.isdisjoint(violation.fields):
            config.problem(violation.message, *violation.fields)
    if "model" not in config.faulty:
        _check_model(config, models)
    return config


def _check_model(config: KeyFile[Settings], models: Mapping[str, Collection[str]]) -> None:
    """The model must exist and have its options."""
    model = config.values.model
    if model not in models:
        config.problem(
            "unknown PPmodel",
            "model",
            found=model,
            legal=", ".join(sorted(models)),
            suggestion=nearest(model, models),
        )
        return
    for option in models[model]:
        if option not in config.lines:
            key = config.key(option)
            config.problem(f"PPmodel = {model} needs the key {key}", "model", option)
