"""Files of `key = value` lines, read into a pydantic model whose aliases are the keys.

The model's own schema says how a value is spelled and what is legal, so a message never disagrees
with the check. Reading goes on after a problem, to tell all of them at once.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ValidationError

from deeppseudopot_jax.files.bundle.folder import nearest
from deeppseudopot_jax.files.bundle.text import (
    LARGEST_NUMBER,
    Document,
    Line,
    is_too_large,
    parse_integer,
    parse_number,
)
from deeppseudopot_jax.settings import LARGEST_COUNT

Model = TypeVar("Model", bound=BaseModel)

ZERO_OR_ONE = {"0": False, "1": True}
TRUE_OR_FALSE = {"True": True, "False": False}


@dataclass(frozen=True)
class KeyFile(Generic[Model]):
    """What a `key = value` file says.

    Where the file has problems, `values` is only good for finding further ones: the keys whose
    fields are in `faulty` are at their defaults, or None where they have none.
    """

    document: Document
    values: Model
    lines: dict[str, int]
    faulty: frozenset[str]

    def problem(
        self,
        message: str,
        *fields: str,
        found: str | None = None,
        legal: str | None = None,
        suggestion: str | None = None,
    ) -> None:
        """Record a problem of the key of the last of `fields`, at the first that the file gives."""
        line = next((self.lines[name] for name in fields if name in self.lines), None)
        key = self.key(fields[-1])
        self.document.problem(
            line, message, key=key, found=found, legal=legal, suggestion=suggestion
        )

    def key(self, field: str) -> str:
        """The key, as users write it, of a field of the model."""
        return type(self.values).model_fields[field].alias or field


def read_keys(
    document: Document, model: type[Model], switches: Mapping[str, bool] = ZERO_OR_ONE
) -> KeyFile[Model]:
    """The file as a `model`; `switches` is how this kind of file spells a bool."""
    schema = _schema_by_key(model)
    fields = {info.alias or name: name for name, info in model.model_fields.items()}
    given = _pairs(document, schema)
    values = {key: _convert(line.text, schema[key], switches) for key, line in given.items()}
    lines = {fields[key]: line.number for key, line in given.items()}
    try:
        return KeyFile(document, model.model_validate(values, strict=True), lines, frozenset())
    except ValidationError as error:
        # Errors without a location are rules between keys: the caller tells them with lines.
        faulty = dict.fromkeys(str(item["loc"][0]) for item in error.errors() if item["loc"])
    for key in faulty:
        _report(document, key, given.get(key), _legal(schema[key], switches))
    required = {key: None for key in faulty if model.model_fields[fields[key]].is_required()}
    sound = {key: value for key, value in values.items() if key not in faulty}
    partial = model.model_construct(None, **required, **sound)
    return KeyFile(document, partial, lines, frozenset(fields[key] for key in faulty))


def legal_values(
    model: type[BaseModel], switches: Mapping[str, bool] = ZERO_OR_ONE
) -> dict[str, str]:
    """What the value of every key may be, in the words of the messages."""
    return {key: _legal(schema, switches) for key, schema in _schema_by_key(model).items()}


def _report(document: Document, key: str, line: Line | None, legal: str) -> None:
    if line is None:
        document.problem(None, f"the key {key} is missing", key=key, legal=legal)
    else:
        for token in line.text.split():
            if is_too_large(token):
                legal += f", at most {LARGEST_NUMBER:g} in size"
            elif (parse_integer(token) or 0) > LARGEST_COUNT:
                legal += f", at most {LARGEST_COUNT}"
        document.problem(line.number, f"bad value of {key}", key=key, found=line.text, legal=legal)


def _pairs(document: Document, schema: Mapping[str, Any]) -> dict[str, Line]:
    """The text of the value of every legal key, with its line; problems for all other lines."""
    pairs: dict[str, Line] = {}
    for line in document.lines:
        key, equals, value = (part.strip() for part in line.text.partition("="))
        if not (key and equals and value):
            document.problem(
                line.number, "not a setting", found=line.text, legal="a line `key = value`"
            )
        elif key not in schema:
            similar = nearest(key, schema)
            document.problem(
                line.number,
                "unknown key",
                key=key,
                found=key,
                legal=None if similar else ", ".join(schema),
                suggestion=similar,
            )
        elif key in pairs:
            document.problem(
                line.number,
                f"{key} is given twice, first in line {pairs[key].number}",
                key=key,
                found=value,
                legal="one line per key",
            )
        else:
            pairs[key] = Line(line.number, value)
    return pairs


def _schema_by_key(model: type[BaseModel]) -> dict[str, dict[str, Any]]:
    """The JSON schema of every key; for an optional one, that of the value it may have."""
    properties = model.model_json_schema(by_alias=True)["properties"]
    return {key: entry.get("anyOf", [entry])[0] for key, entry in properties.items()}


def _convert(text: str, schema: Mapping[str, Any], switches: Mapping[str, bool]) -> Any:
    """The value that `text` spells; what is misspelt stays text, and pydantic refuses it."""
    match schema.get("type"):
        case "boolean":
            return switches.get(text, text)
        case "integer":
            integer = parse_integer(text)
            return text if integer is None else integer
        case "number":
            number = parse_number(text)
            return text if number is None else number
        case "array":
            items = schema["prefixItems"][0] if "prefixItems" in schema else schema["items"]
            return tuple(_convert(token, items, switches) for token in text.split())
    return Path(text) if schema.get("format") == "path" else text


_BOUNDS = {"exclusiveMinimum": ">", "minimum": ">=", "exclusiveMaximum": "<", "maximum": "<="}
_NOUNS = {"integer": "whole number", "number": "number"}


def _legal(schema: Mapping[str, Any], switches: Mapping[str, bool]) -> str:
    """What a value may be, in words."""
    kind = schema.get("type")
    if "enum" in schema:
        return ", ".join(schema["enum"])
    if kind == "boolean":
        return " or ".join(switches)
    if kind == "array":
        items = schema["prefixItems"][0] if "prefixItems" in schema else schema["items"]
        if "enum" in items:
            return f"words out of {', '.join(items['enum'])}, separated by spaces"
        count = f"{schema['minItems']} " if "prefixItems" in schema else ""
        return f"{count}{_NOUNS[items['type']]}s{_bounds(items)}, separated by spaces"
    if kind in _NOUNS:
        return f"a {_NOUNS[kind]}{_bounds(schema)}"
    return "a path" if schema.get("format") == "path" else "text"


def _bounds(schema: Mapping[str, Any]) -> str:
    limits = {word: schema[word] for word in _BOUNDS if word in schema}
    bounds = [
        f"{_BOUNDS[word]} {limit:g}" for word, limit in limits.items() if limit < LARGEST_COUNT
    ]  # what machines cannot count is told where it is found
    return f" {' and '.join(bounds)}" if bounds else ""
