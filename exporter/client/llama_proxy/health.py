"""What `client.monitoring` answers to the question how the sidecar is."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from exporter.client.llama_proxy.documents import Document


@dataclass(frozen=True, slots=True)
class ProxyHealth(Document):
    """The sidecar."""

    status: str | None
    uptime: float | None
    """Seconds."""
    version: str | None


@dataclass(frozen=True, slots=True)
class LlamaServerHealth(Document):
    """What serves the models."""

    name: str | None
    """Of the upstream."""
    status: str | None
    """`unknown`: the sidecar does not look at it."""
    host: str | None
    port: int | None
    models_loaded: int | None
    last_health_check: datetime | None
    error: str | None
    """Why it is not healthy."""


@dataclass(frozen=True, slots=True)
class DatabaseHealth(Document):
    """The store."""

    status: str | None
    connections: int | None
    response_time: float | None
    """Milliseconds."""


@dataclass(frozen=True, slots=True)
class Services(Document):
    """How each is; all None for one that there is not."""

    proxy: ProxyHealth
    llama_server: LlamaServerHealth
    """The first; its status and number of models are those of all together."""
    llama_servers: tuple[LlamaServerHealth, ...]
    """Each of them."""
    database: DatabaseHealth


@dataclass(frozen=True, slots=True)
class Load(Document):
    """The machine, in per cent."""

    cpu_usage: float | None
    memory_usage: float | None
    disk_usage: float | None


@dataclass(frozen=True, slots=True)
class Health(Document):
    """Whether all is well."""

    status: str
    timestamp: datetime | None
    services: Services
    system: Load

    @property
    def is_healthy(self) -> bool:
        """Whether every service is."""
        return self.status == "healthy"


@dataclass(frozen=True, slots=True)
class Application(Document):
    """The sidecar's process."""

    name: str | None
    version: str | None
    environment: str | None
    uptime: float | None
    """Seconds."""
    start_time: datetime | None


@dataclass(frozen=True, slots=True)
class Server(Document):
    """Where it listens."""

    port: int | None
    host: str | None
    ssl: bool | None
    cors_enabled: bool | None


@dataclass(frozen=True, slots=True)
class Websocket(Document):
    """Who listens to live events."""

    connected_clients: int | None
    active_connections: int | None
    messages_per_second: float | None


@dataclass(frozen=True, slots=True)
class ModelStates(Document):
    """How many models are in which state."""

    registered: int | None
    loaded: int | None
    loading: int | None
    failed: int | None


@dataclass(frozen=True, slots=True)
class Performance(Document):
    """Traffic."""

    requests_total: int | None
    requests_active: int | None
    average_response_time: float | None
    """Milliseconds."""
    error_rate: float | None
    """0 to 1."""


@dataclass(frozen=True, slots=True)
class Status(Document):
    """The application, its connections and its traffic."""

    application: Application
    server: Server
    websocket: Websocket
    models: ModelStates
    performance: Performance
