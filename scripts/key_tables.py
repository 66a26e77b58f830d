"""The tables of keys in docs/bundle.md, from the schema that checks them."""

import re
from collections.abc import Iterator, Mapping
from inspect import cleandoc

from key_effects import acting
from pydantic import BaseModel

from deeppseudopot_jax.files.bundle.input_keys import InputKeys
from deeppseudopot_jax.files.bundle.key_value import TRUE_OR_FALSE, ZERO_OR_ONE, legal_values
from deeppseudopot_jax.files.bundle.monte_carlo import OptionKeys
from deeppseudopot_jax.settings.schema import Keys


def examples(page: str) -> Iterator[tuple[str, str]]:
    """File name and text of every example on the page; a name comes again with another form."""
    for found in re.finditer(r"```par (\S+)\n(.*?)```", page, re.DOTALL):
        yield found[1], found[2]


def key_tables(page: str) -> dict[str, str]:
    """The generated sections of docs/bundle.md; its examples, which `page` holds, are tried."""
    first_forms = dict(reversed(list(examples(page))))
    acts = acting(first_forms)
    return {
        "NN_config.par": "\n\n".join(_section(group, acts) for group in reversed(Keys.__bases__)),
        "input_X.par": _table(InputKeys, acts),
        "mcOpts*.par": _table(OptionKeys),
    }


def _section(group: type[BaseModel], acts: Mapping[str, str]) -> str:
    """A heading, what else the docstring of the group says, and its table."""
    heading, _, text = cleandoc(str(group.__doc__)).partition("\n\n")
    return "\n\n".join(filter(None, [f"### {heading.rstrip('.')}", text, _table(group, acts)]))


def _table(model: type[BaseModel], acts: Mapping[str, str] | None = None) -> str:
    """One row per key; with the runs in which it acts, where these are known."""
    switches = TRUE_OR_FALSE if model is OptionKeys else ZERO_OR_ONE
    legal = legal_values(model, switches)
    head = ["key", "value", "default", "effect", *(["acts in"] if acts else [])]
    rows = [head, ["---"] * len(head)]
    for info in model.model_fields.values():
        key, effect = str(info.alias), " ".join(str(info.description).split())
        default = "required" if info.is_required() else _spelled(info.default, switches)
        value = "a name of [the catalogue](models.md)" if key == "PPmodel" else legal[key]
        rows.append([f"`{key}`", value, default, effect, *([acts[key]] if acts else [])])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _spelled(value: object, switches: Mapping[str, bool]) -> str:
    """A default as files spell it."""
    if value is None or value == ():
        return "none"
    if isinstance(value, bool):
        return next(text for text, meaning in switches.items() if meaning == value)
    return f"{value:g}" if isinstance(value, float) else str(value)
