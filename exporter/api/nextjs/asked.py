"""What clients may send: the bodies of the contract, strictly. Every field that is wrong is named, and an unknown one
with what was probably meant."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Annotated, Any, TypeVar

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from exporter.api.nextjs.mistakes import reasons
from exporter.models.model import InvalidError, ModelsError, Value
from exporter.models.runtime import LogLevel

WRONG = "the body is not as it should be"
MOST_MODELS = 1000
"""In one request."""
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

    models: Annotated[list[Entry], Field(min_length=1, max_length=MOST_MODELS)]


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

    config: dict[str, Value | None] | None = None
    """Parameters by name, for this load and later ones; null: no value of its own any more."""


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
