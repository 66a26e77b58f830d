"""The settings of a run: every key of NN_config.par with its type, range, default and effect.

A field's alias is the key as users write it. `files.bundle.config` parses files into this schema;
the core reads attributes and never sees a file. docs/bundle.md is generated from it.
"""

from pydantic import model_validator

from deeppseudopot_jax.settings.kinds import (
    LARGEST_COUNT,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
)
from deeppseudopot_jax.settings.rules import Violation, rule_violations
from deeppseudopot_jax.settings.schema import Keys

__all__ = [
    "LARGEST_COUNT",
    "NonNegativeInt",
    "PositiveFloat",
    "PositiveInt",
    "Settings",
    "Violation",
    "rule_violations",
]


class Settings(Keys):
    """Every key of NN_config.par, in combinations that a run can honour."""

    @model_validator(mode="after")
    def _rules_between_keys(self) -> "Settings":
        """Refuse combinations that no stage could honour, all at once."""
        violations = rule_violations(self)
        if violations:
            raise ValueError("\n".join(violation.message for violation in violations))
        return self
