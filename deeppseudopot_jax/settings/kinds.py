"""The kinds of values that keys have, and what all groups of keys share."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

LARGEST_COUNT = 2**31 - 1
"""Of what is counted: counters of compiled programs have 32 bits."""

PositiveInt = Annotated[int, Field(gt=0, le=LARGEST_COUNT)]
NonNegativeInt = Annotated[int, Field(ge=0, le=LARGEST_COUNT)]
Seed = Annotated[int, Field(ge=0, lt=2**63)]
GridSize = Annotated[int, Field(ge=2, le=LARGEST_COUNT)]
GridEnd = Annotated[float, Field(gt=0, le=1e6)]
PositiveFloat = Annotated[float, Field(gt=0)]
NonNegativeFloat = Annotated[float, Field(ge=0)]
Fraction = Annotated[float, Field(ge=0, lt=1)]
# With fewer knots no spline of degree 3 ends smoothly.
NumberOfKnots = Annotated[int, Field(ge=3, le=LARGEST_COUNT)]

OptimizerName = Literal[
    "adam", "sgd", "lm", "asgd", "lbfgs", "adadelta", "adagrad", "adamw", "sparseadam", "adamax",
    "nadam", "radam", "rmsprop",
]  # fmt: skip


class KeyGroup(BaseModel):
    """Keys that belong together: a field's alias is the key, the text below it what it does.

    The class's own docstring heads the group in docs/bundle.md.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        populate_by_name=True,
        allow_inf_nan=False,
        use_attribute_docstrings=True,
    )
