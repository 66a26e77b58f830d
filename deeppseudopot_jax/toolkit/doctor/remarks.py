"""What the doctor says of a bundle."""

from dataclasses import dataclass
from typing import Literal

Severity = Literal["problem", "warning", "note"]
"""A run refuses a problem; a warning is probably a mistake; a note is worth knowing."""


@dataclass(frozen=True)
class Remark:
    """One thing about a bundle.

    Attributes:
        name: of the check, in two or three words.
        severity: how bad it is.
        message: what was found, and where.
        remedy: what to do; empty where there is nothing.
    """

    name: str
    severity: Severity
    message: str
    remedy: str = ""
