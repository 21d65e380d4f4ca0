"""What clients may send: the bodies of the contract, strictly. Every field that is wrong is named, and an unknown one
with what was probably meant."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Annotated, Any, TypeVar, get_args

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from exporter.models.model import InvalidError, ModelsError, Value
from exporter.models.runtime import LogLevel
from exporter.settings.variables import nearest

WRONG = "the body is not as it should be"
LONGEST_NAME = 200
"""For longer ones, no other is proposed."""
MISTAKES = 100
"""That many are named."""
MOST_MISTAKES = 1000
"""Beyond that none is: to put them into words takes longer than streams can wait."""
VALUE_KINDS = frozenset(("bool", "int", "float", "str"))
Paths = Annotated[list[str], Field(max_length=1000)]
Patterns = Annotated[list[str], Field(max_length=100)]
Options = dict[str, Value]
INFORMATIVE = frozenset(
    {
        *("id", "status", "size", "format", "quantization", "contextSize", "loadedAt", "lastUsed", "registered"),
        *("upstream", "progress", "error", "outdated", "createdAt", "updatedAt", "type", "available", "template"),
    }
)
"""Keys that answers have and registrations need not: they may be sent back."""


class Asked(BaseModel):
    """A body, or a part of one."""

    model_config = ConfigDict(
        strict=True,
        extra="forbid",
        frozen=True,
        use_attribute_docstrings=True,
        alias_generator=to_camel,
        populate_by_name=True,
    )


A = TypeVar("A", bound=Asked)


class Entry(Asked):
    """A model to be registered."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"name": "mistral-7b", "path": "/srv/models/mistral-7b.gguf"}]}
    )

    name: str
    """What clients put into `model`: 1 to 200 printable characters."""
    path: str | None = None
    """Of its file, within the configured folders (`models.dir`)."""
    description: str | None = None
    family: str | None = None
    """As the file's header says, where this does not."""
    version: str | None = None
    parameters: Annotated[Options | None, Field(validation_alias=AliasChoices("parameters", "options"))] = None
    """That it is loaded with, by name (`n_ctx`)."""


class Entries(Asked):
    """Models to be registered, all or none."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "models": [
                        {
                            "name": "mistral-7b",
                            "description": "Mistral model",
                            "path": "/srv/models/mistral-7b.gguf",
                            "family": "mistral",
                            "version": "1.0",
                        }
                    ]
                }
            ]
        }
    )

    models: Annotated[list[Entry], Field(min_length=1, max_length=10_000)]


class Changes(Asked):
    """What is to be registered of a model from now on; what is not named stays."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"description": "for the night shift"}]})

    path: str | None = None
    description: str | None = None
    family: str | None = None
    version: str | None = None
    parameters: Annotated[Options | None, Field(validation_alias=AliasChoices("parameters", "options"))] = None
    """All of them, in place of those that it has."""


class DiscoverRequest(Asked):
    """What to look for."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"paths": [], "recursive": True, "includePatterns": ["*.gguf"]}]}
    )

    paths: Paths | None = None
    """Folders within the configured ones (`models.dir`); none: `model_paths.modelsDir` where that was set, else all
    of them."""
    recursive: bool = True
    include_patterns: Patterns | None = None
    """Of file names; `*.gguf` where nothing is said. Only GGUF files are models, whatever they are called."""
    exclude_patterns: Patterns | None = None


class LoadRequest(Asked):
    """How to load it."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"config": {"n_ctx": 4096, "temperature": 0.7}}]})

    config: Options | None = None
    """Parameters by name, for this load and later ones."""


class UnloadRequest(Asked):
    """How to unload it."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"force": False}]})

    force: bool = False
    """Also while it is answering requests, which are cut off."""
    config: dict[str, Any] | None = None
    """Of no meaning here."""


class ParametersRequest(Asked):
    """New values of parameters."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"parameters": {"temperature": 0.8, "top_p": 0.95}}]})

    parameters: Annotated[dict[str, Value | None], Field(min_length=1)]
    """By name; null: its default."""


class LoggerRequest(BaseModel):
    """What front ends set of a log. Only the level is ours to set."""

    model_config = ConfigDict(
        strict=True,
        extra="allow",
        use_attribute_docstrings=True,
        alias_generator=to_camel,
        json_schema_extra={"examples": [{"consoleLevel": "debug"}]},
    )

    console_level: LogLevel | None = None
    level: LogLevel | None = None
    """The same, where there is no `consoleLevel`."""


def read(kind: type[A], body: Any, at: str = "") -> A:
    """The body as `kind`; `at` stands before the names of its fields. Raises InvalidError."""
    try:
        return kind.model_validate(body)
    except ValidationError as error:
        raise InvalidError(WRONG, reasons(kind, error, at)) from None


@contextlib.contextmanager
def naming(rename: Callable[[str], str]) -> Iterator[None]:
    """Have errors within name fields as the client has sent them."""
    try:
        yield
    except InvalidError as error:
        fields = {rename(name): reason for name, reason in error.fields.items()}
        raise InvalidError(WRONG if fields else str(error), fields) from None
    except ModelsError as error:
        error.fields = {rename(name): reason for name, reason in error.fields.items()}
        raise


def reasons(kind: type[BaseModel], error: ValidationError, at: str = "") -> dict[str, str]:
    """By field, what is wrong with it; `body` stands for the whole."""
    if error.error_count() > MOST_MISTAKES:
        return {"body": f"has {error.error_count()} mistakes; /openapi.json says what it should be"}
    found: dict[str, str] = {}
    for each in error.errors(include_url=False, include_context=False, include_input=False)[:MISTAKES]:
        path = [str(part) for part in each["loc"]]
        reason = each["msg"].removeprefix("Value error, ")
        if len(path) > 2 and path[-1] in VALUE_KINDS:  # pydantic names the types that it tried
            path.pop()
            reason = "must be true, false, a number or a text"
        elif each["type"] == "extra_forbidden":
            reason = unknown(path[-1], _keys(kind, path[:-1]))
        elif each["type"] in ("model_type", "dict_type"):
            reason = "must be an object"
        found.setdefault((at + ".".join(path)).rstrip(".")[:500] or "body", reason)
    return found


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


def unknown(name: str, known: Sequence[str]) -> str:
    """What to say of a name that nobody knows."""
    meant = nearest(name, known) if len(name) <= LONGEST_NAME else None
    return f"unknown; did you mean {meant!r}?" if meant is not None else "unknown"
