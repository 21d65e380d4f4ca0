"""The words of the room: a model as it was registered, as it is now, what happens to it, and why something cannot be
done. `api.nextjs` shows them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

from exporter.errors import LlamaExporterError

Value = bool | int | float | str
"""Of a parameter (`parameters`)."""
Options = Mapping[str, Value]
"""By parameter name, as `parameters` spells it."""


class Status(StrEnum):
    """What a model is doing; the words that real clients of the contract know, and one that the document has."""

    STOPPED = "stopped"
    LOADING = "loading"
    RUNNING = "running"
    IDLE = "idle"
    """Loaded, and asleep: its next request wakes it."""
    UNLOADING = "unloading"
    ERROR = "error"
    """Its last load failed, or its process has died."""


LOADED = frozenset((Status.RUNNING, Status.IDLE, Status.UNLOADING))
"""What holds memory, and would be cut off by a reload."""
ACTIVE = LOADED | {Status.LOADING}


@dataclass(frozen=True, slots=True)
class Registered:
    """A model as it stands in the registry."""

    name: str
    """Unique; also what clients put into `model`, and the section of the preset file."""
    path: str | None = None
    """Of its file, absolute; None for one that the router knows by itself."""
    description: str = ""
    family: str | None = None
    version: str | None = None
    size_bytes: int | None = None
    quantization: str | None = None
    format: str | None = None
    """`gguf`."""
    training_context_size: int | None = None
    """Tokens."""
    options: Options = field(default_factory=dict)
    """Of its own; what is not said here, the parameters of all models say."""
    created_at: float = 0.0
    """UTC seconds since the epoch."""
    updated_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Model:
    """A model as it is now: registered, or served by a llama-server without being registered."""

    name: str
    status: Status
    registered: Registered | None = None
    upstream: str | None = None
    """The llama-server that has it, or would load it."""
    file_name: str | None = None
    """Last part of its path."""
    size_bytes: int | None = None
    quantization: str | None = None
    context_size: int | None = None
    """Tokens of a slot while it is loaded; else what it was registered or trained with."""
    loaded_at: float | None = None
    """UTC seconds since the epoch; None while it is not loaded, or where it was before the sidecar was started."""
    last_used_at: float | None = None
    """When its last request through the sidecar ended, or now while there is one; None when there was none."""
    memory_bytes: int | None = None
    """What it takes while it is loaded, as far as that is known: the size of its tensors."""
    progress: float | None = None
    """0 to 1, while it is loading."""
    stage: str | None = None
    """What of it is being loaded (`text_model`), in the router's words."""
    load_seconds: float | None = None
    """How long its last load took; None where none was seen."""
    remaining_seconds: float | None = None
    """Of a load that is under way, going by what the last one took; None where that is not known."""
    error: str | None = None
    """Why its last load failed, in llama-server's words as far as they are known."""
    outdated: bool = False
    """Whether it runs with other options than its next load would use."""


class Kind(StrEnum):
    """What can happen to a model."""

    LOADING = "loading"
    """It has begun to load, or has come further."""
    LOADED = "loaded"
    FAILED = "failed"
    UNLOADED = "unloaded"
    CHANGED = "changed"
    """Anything else that lists show: registered, removed, updated, asleep."""


class Event(NamedTuple):
    """Something has happened to a model."""

    kind: Kind
    name: str
    model: Model | None
    """As it is now; None when it is gone."""


class File(NamedTuple):
    """A model file that was found."""

    name: str
    """Proposed: the file's, without its ending and part number, and unique among those found together."""
    path: str
    """Absolute."""
    size_bytes: int
    """Of all parts together."""
    description: str
    format: str
    """`gguf`."""
    family: str | None
    """The architecture (`llama`, `qwen3`), as the header says."""
    version: str | None
    quantization: str | None
    training_context_size: int | None


class Search(NamedTuple):
    """What to look for."""

    paths: tuple[str, ...] = ()
    """Folders within the roots; empty: the models folder in force."""
    recursive: bool = True
    include: tuple[str, ...] = ("*.gguf",)
    """Patterns (`fnmatch`) of file names."""
    exclude: tuple[str, ...] = ()


class Discovered(NamedTuple):
    """What a search has found."""

    files: list[File]
    """By path."""
    scanned: list[str]
    """The folders of the search, as they were given."""
    errors: list[tuple[str, str]]
    """Path, and why it could not be read; at most `discovery.ERROR_LIMIT`."""
    total: int
    """Files that matched, readable or not."""


class ModelsError(LlamaExporterError):
    """Something cannot be done. `status` is that of HTTP; the message is for whoever asked."""

    status = 400

    def __init__(self, message: str, fields: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.fields = dict(fields or {})
        """By field of the request, what is wrong with it."""


class InvalidError(ModelsError):
    """The request makes no sense; `fields` says which parts of it."""


class OutsideError(ModelsError):
    """A path leads out of the configured folders."""

    status = 403


class UnknownModelError(ModelsError):
    """There is no such model."""

    status = 404


class ConflictError(ModelsError):
    """Not in the state that it is in."""

    status = 409


class FailedError(ModelsError):
    """The file system, the store, or the router has failed."""

    status = 500


class UnavailableError(ModelsError):
    """What it needs is away now."""

    status = 503


Document = dict[str, Any]
"""As the store keeps it."""
