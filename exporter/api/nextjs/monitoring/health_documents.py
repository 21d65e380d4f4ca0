"""What the contract says of health and status, as /openapi.json shows it. What is not known is null."""

from __future__ import annotations

from typing import Annotated, Literal, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

from exporter.api.documents import Amount, Count, Percent, Time, document
from exporter.api.nextjs.configuration.documents import Port
from exporter.models.server.managed import ServerStatus

Share = Annotated[float, Field(ge=0, le=1)]
Word = Literal["healthy", "unhealthy"]
ServerWord = Literal["healthy", "unhealthy", "unknown"]


@document
class ProxyHealth(TypedDict):
    """The sidecar, which answers."""

    status: Literal["healthy"]
    uptime: Count
    """Seconds."""
    version: str


@document
class LlamaServerHealth(TypedDict):
    """One llama-server."""

    name: str
    """Of the upstream."""
    status: ServerWord
    """`unknown`: llama-servers are not looked at (`sampling.llama_server`); that is no failure."""
    host: str
    port: Port
    models_loaded: Count
    last_health_check: Time | None
    """When it was last looked at; it need not have answered."""
    error: NotRequired[str]
    """Why it is not healthy."""
    managed: NotRequired[ServerStatus]
    """What the process that the sidecar runs itself is doing."""
    restarts: NotRequired[Count]
    """How often the sidecar has restarted it."""
    last_error: NotRequired[str | None]
    """Why it ended the last time."""


@document
class DatabaseHealth(TypedDict):
    """The store."""

    status: Literal["healthy", "unhealthy", "disabled"]
    """`disabled`: there is none (`store.url`); that is no failure."""
    connections: Count | None
    """That the sidecar keeps."""
    response_time: Amount | None
    """Milliseconds; measured in the last second."""


@document
class Services(TypedDict):
    """What has to work."""

    proxy: ProxyHealth
    llama_server: LlamaServerHealth
    """The first llama-server; its status, error and number of models are those of all together."""
    llama_servers: list[LlamaServerHealth]
    """Each of them."""
    database: DatabaseHealth


@document
class SystemLoad(TypedDict):
    """The machine, as sampled last."""

    cpu_usage: Percent | None
    memory_usage: Percent | None
    disk_usage: Percent | None


@document
class Health(TypedDict):
    """Whether everything works."""

    status: Word
    timestamp: Time
    services: Services
    system: SystemLoad


@document
class Application(TypedDict):
    """The sidecar."""

    name: str
    version: str
    environment: str
    uptime: Count
    """Seconds."""
    start_time: Time


@document
class Listener(TypedDict):
    """Where it listens."""

    port: Port
    host: str
    ssl: bool
    cors_enabled: bool


@document
class Sockets(TypedDict):
    """Live connections by Socket.IO."""

    connected_clients: Count
    active_connections: Count
    """Namespaces that they have joined, all together."""
    messages_per_second: Amount


@document
class ModelStates(TypedDict):
    """Models by what they are doing."""

    registered: Count
    loaded: Count
    loading: Count
    failed: Count


@document
class Performance(TypedDict):
    """Requests to models since the start."""

    requests_total: Count
    requests_active: Count
    average_response_time: Amount
    """Milliseconds."""
    error_rate: Share
    """0 to 1."""


@document
class Status(TypedDict):
    """The sidecar, its models and requests."""

    application: Application
    server: Listener
    websocket: Sockets
    models: ModelStates
    performance: Performance
