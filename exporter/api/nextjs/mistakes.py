"""What is wrong with a body, in words for whoever has sent it: those that pydantic has are for programmers. `asked`
calls it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from exporter.settings.variables import nearest

MISTAKES = 100
"""That many are named."""
MOST_MISTAKES = 1000
"""Beyond that none is: to put them into words takes longer than streams can wait."""
LONGEST_SHOWN = 100
"""Characters that are shown of a name that a client has sent."""
LONGEST_NAME = 200
"""For longer ones, no other is proposed."""
VALUE_KINDS = frozenset(("bool", "int", "float", "str"))
VALUE = "must be true, false, a number or a text"
WORDS: Mapping[str, str] = MappingProxyType(
    {
        "missing": "is required",
        "string_type": "must be a text",
        "string_unicode": "must be a text",
        "string_too_short": "must have at least {min_length} characters",
        "string_too_long": "must have at most {max_length} characters",
        "int_type": "must be a whole number",
        "int_from_float": "must be a whole number",
        "int_parsing_size": "must be a whole number, and not that long",
        "float_type": "must be a number",
        "finite_number": "must be a number",
        "bool_type": "must be true or false",
        "list_type": "must be a list",
        "dict_type": "must be an object",
        "model_type": "must be an object",
        "model_attributes_type": "must be an object",
        "literal_error": "must be one of {expected}",
        "enum": "must be one of {expected}",
        "too_short": "must have at least {min_length} of them",
        "too_long": "must have at most {max_length} of them",
        "greater_than": "must be more than {gt}",
        "greater_than_equal": "must be at least {ge}",
        "less_than": "must be less than {lt}",
        "less_than_equal": "must be at most {le}",
    }
)
"""By pydantic's type of a mistake."""


def reasons(kind: type[BaseModel], error: ValidationError, at: str = "") -> dict[str, str]:
    """By field, what is wrong with it; `body` stands for the whole. `at` stands before the names of fields."""
    if error.error_count() > MOST_MISTAKES:
        return {"body": f"has {error.error_count()} mistakes; /openapi.json says what it should be"}
    found: dict[str, str] = {}
    for each in error.errors(include_url=False, include_input=False)[:MISTAKES]:
        path = [str(part) for part in each["loc"]]
        if len(path) > 2 and path[-1] in VALUE_KINDS:  # pydantic names the types that it tried
            path.pop()
            reason = VALUE
        elif each["type"] == "extra_forbidden":
            reason = unknown(path[-1], _keys(kind, path[:-1]))
        else:
            reason = _words(each["type"], each["msg"], each.get("ctx", {}))
        found.setdefault((at + ".".join(map(shortened, path))).rstrip(".") or "body", reason)
    return found


def unknown(name: str, known: Sequence[str]) -> str:
    """What to say of a name that nobody knows."""
    meant = nearest(name, known) if len(name) <= LONGEST_NAME else None
    return f"unknown; did you mean {meant!r}?" if meant is not None else "unknown"


def shortened(text: str, longest: int = LONGEST_SHOWN) -> str:
    """As far as it is shown."""
    return text if len(text) <= longest else f"{text[:longest]}..."


def _words(kind: str, message: str, facts: Mapping[str, Any]) -> str:
    if kind in ("too_short", "string_too_short") and facts.get("min_length") == 1:
        return "must not be empty"
    words = WORDS.get(kind)
    return words.format_map(facts) if words is not None else message.removeprefix("Value error, ")


def _keys(kind: type[BaseModel], path: Sequence[str]) -> list[str]:
    """The names that can stand at a place within `kind`."""
    for part in path:
        field = next((each for name, each in kind.model_fields.items() if part in (name, each.alias)), None)
        inner = _model_in(field.annotation) if field is not None else None
        kind = inner if inner is not None else kind
    return [field.alias or name for name, field in kind.model_fields.items()]


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """That of `list[Entry]`, or of `Intervals | None`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for each in get_args(annotation) if (found := _model_in(each)) is not None), None)
