"""What the contract says of models, as /openapi.json shows it. What is not known is null."""

from __future__ import annotations

from typing import Annotated, Literal, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

from exporter.api.documents import Amount, Count, Percent, Time, document
from exporter.models.model import Status, Value

Name = Annotated[str, Field(min_length=1)]


@document
class ModelItem(TypedDict):
    """One model as it is now."""

    id: Name
    """Its name."""
    name: Name
    """What clients put into `model`."""
    description: str
    status: Status
    """`idle`: loaded and asleep. `error`: its last load failed, or its process has died."""
    version: str | None
    path: str | None
    """Of its file; null for one that a llama-server knows by itself."""
    size: Count | None
    """Bytes of the file."""
    family: str | None
    """Architecture: `llama`, `qwen3`."""
    contextSize: Count | None
    """Tokens: of a slot while it is loaded, else what it was registered or trained with."""
    loadedAt: Time | None
    lastUsed: Time | None
    """When its last request through the sidecar ended; now while there is one."""
    format: str | None
    """`gguf`."""
    quantization: str | None
    registered: bool
    """false: a llama-server has it, without its being registered."""
    upstream: str | None
    """The llama-server that has it, or would load it."""
    progress: NotRequired[Percent]
    """While it is loading: how far it has come."""
    error: str | None
    """Why its last load failed."""
    outdated: bool
    """It runs with other parameters than its next load would use."""
    parameters: dict[str, Value]
    """Of its own; the others are those of all models (`/api/parameters`)."""
    createdAt: Time | None
    updatedAt: Time | None
    type: str
    """The family; `other` where it is not known."""
    available: Literal[True]


@document
class ModelList(TypedDict):
    """Registered models in the order of registration, then those that llama-servers have beside them."""

    count: Count
    models: list[ModelItem]
    success: Literal[True]
    data: list[ModelItem]
    """The same as `models`."""
    timestamp: Time


class OneModel(ModelItem):
    """One model."""

    success: Literal[True]
    data: ModelItem
    """The same once more."""
    timestamp: Time


@document
class Registered(TypedDict):
    """A model that has just been registered."""

    id: Name
    name: Name
    status: Literal["registered"]


@document
class Registration(TypedDict):
    """What was registered."""

    message: str
    registered: Count
    models: list[Registered]
    success: Literal[True]
    data: list[ModelItem] | ModelItem
    """The models; where one was sent without `models` around it, that one."""
    timestamp: Time


@document
class Updated(TypedDict):
    """What is registered of a model now."""

    message: str
    requiresRestart: bool
    """Whether it is loaded, and goes on as before."""
    restart: list[str]
    """What to do then."""
    success: Literal[True]
    data: ModelItem
    timestamp: Time


@document
class DiscoveredFile(TypedDict):
    """A model file that was found, and what its header says. It can be registered as it is."""

    name: Name
    """Proposed: the file's, without its ending."""
    description: str
    version: str | None
    path: str
    family: str | None
    size: Count
    """Bytes, of all parts together."""
    format: str
    quantization: str | None
    contextSize: Count | None
    """Tokens that it was trained with."""


@document
class Unreadable(TypedDict):
    """A file or folder that could not be read."""

    path: str
    error: str


@document
class Found(TypedDict):
    """The files once more."""

    discovered: list[DiscoveredFile]


@document
class Discovery(TypedDict):
    """What a search has found."""

    discovered: list[DiscoveredFile]
    scannedPaths: list[str]
    totalFound: Count
    """Files that match, readable or not."""
    errors: list[Unreadable]
    success: Literal[True]
    data: Found
    timestamp: Time


@document
class Removed(TypedDict):
    """A model was taken out of the registry; its file stays."""

    message: str
    modelId: Name
    success: Literal[True]
    timestamp: Time


@document
class Loading(TypedDict):
    """A load is under way, or the model is loaded already."""

    message: str
    modelId: Name
    status: Status
    estimatedTime: Amount | None
    """Seconds, going by its last load; null where none was seen, 0 for a model that is loaded."""
    success: Literal[True]
    timestamp: Time


@document
class Unloading(TypedDict):
    """The model is being unloaded."""

    message: str
    modelId: Name
    status: Status
    success: Literal[True]
    timestamp: Time


@document
class Started(TypedDict):
    """The answer to a start or a stop, for the clients that show it."""

    model: Name
    status: Literal["loaded", "loading", "stopped", "unloading"]
    message: str
    success: Literal[True]
    data: ModelItem
    timestamp: Time
