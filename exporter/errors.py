"""The few error classes that cross a room's border."""

from __future__ import annotations


class LlamaExporterError(Exception):
    """Base of all errors that the package raises on purpose."""


class StartupError(LlamaExporterError):
    """Something the operator must put right before we can start; its message is the one line that they are shown."""


class ConfigError(StartupError):
    """A setting is unknown, malformed, or contradicts another."""


class CollectorError(LlamaExporterError):
    """A collector could not sample. Its message says why, without addresses or secrets."""


class StoreError(LlamaExporterError):
    """The store cannot be read or written now. Its message says why, without secrets."""


class RoutingError(LlamaExporterError):
    """A request cannot be sent to any upstream. Its message is for the client, in whose form `proxy` answers."""

    status = 400
    type = "invalid_request_error"
    retry_seconds: int | None = None
    """When it may be worth a try again; None when it will never be."""
