"""Asks a sidecar for what its model manager's API gives, over httpx; `exporter.client` loads it when it is wanted."""

from exporter.client.llama_proxy.client import LlamaProxyClient
from exporter.client.llama_proxy.errors import (
    AuthenticationError,
    ConflictError,
    ConnectFailedError,
    ForbiddenError,
    LlamaProxyError,
    NotFoundError,
    NotLoadedError,
    ProtocolError,
    RateLimitedError,
    ServerError,
    UnavailableError,
    ValidationError,
)
from exporter.client.llama_proxy.retries import Retries

__all__ = [
    "AuthenticationError",
    "ConflictError",
    "ConnectFailedError",
    "ForbiddenError",
    "LlamaProxyClient",
    "LlamaProxyError",
    "NotFoundError",
    "NotLoadedError",
    "ProtocolError",
    "RateLimitedError",
    "Retries",
    "ServerError",
    "UnavailableError",
    "ValidationError",
]
