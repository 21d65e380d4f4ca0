"""What the contract's documents tell of the sidecar itself, and of its live connections; `app` knows it."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from exporter.models.runtime import LogLevel


class Place(NamedTuple):
    """Where a llama-server is."""

    name: str
    """Of the upstream."""
    host: str
    port: int


class SocketFigures(NamedTuple):
    """Live connections by Socket.IO."""

    clients: int = 0
    connections: int = 0
    """Namespaces that they have joined, all together."""
    messages_per_second: float = 0.0
    """To and from all of them, lately."""


class Facts(NamedTuple):
    """As configured."""

    host: str
    """Of the admin listener."""
    port: int
    llama_servers: tuple[Place, ...]
    """In configured order; at least one."""
    managed_path: str | None = None
    """Of the llama-server that the sidecar runs itself, at the first of these places."""
    roots: tuple[str, ...] = ()
    """Folders outside of which no model is looked for; absolute."""
    max_loaded: int = 4
    """Models that the managed llama-server keeps loaded; 0: any number."""
    log_level: LogLevel = "info"
    cors_enabled: bool = True
    """Whether pages of other origins may read."""
    store_connections: Callable[[], int | None] = lambda: None
    """Connections to the database that are open now."""
    name: str = "llama-exporter"
    environment: str = "production"
