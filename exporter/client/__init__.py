"""What applications import: nothing in the sidecar does, and nothing here imports the sidecar."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from exporter.client.collector import MetricsCollector, get_metrics_collector

if TYPE_CHECKING:
    from exporter.client.llama_proxy import (
        AuthenticationError,
        ConflictError,
        ConnectFailedError,
        ForbiddenError,
        LlamaProxyClient,
        LlamaProxyError,
        NotFoundError,
        NotLoadedError,
        ProtocolError,
        RateLimitedError,
        Retries,
        ServerError,
        UnavailableError,
        ValidationError,
    )

__all__ = [
    "AuthenticationError",
    "ConflictError",
    "ConnectFailedError",
    "ForbiddenError",
    "LlamaProxyClient",
    "LlamaProxyError",
    "MetricsCollector",
    "NotFoundError",
    "NotLoadedError",
    "ProtocolError",
    "RateLimitedError",
    "Retries",
    "ServerError",
    "UnavailableError",
    "ValidationError",
    "get_metrics_collector",
]


if not TYPE_CHECKING:  # a checker would take every name for one of ours

    def __getattr__(name: str) -> Any:
        """The rest, when it is first asked for: it needs httpx, which those that only record may not have."""
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from exporter.client import llama_proxy  # noqa: PLC0415 - loads httpx

        return getattr(llama_proxy, name)
