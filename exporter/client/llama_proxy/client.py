"""`LlamaProxyClient`: the model manager's API as Python methods, for applications. The sidecar does not use it."""

from __future__ import annotations

from types import TracebackType
from typing import Self

import httpx

from exporter.client.llama_proxy.address import Address
from exporter.client.llama_proxy.config import Configuration
from exporter.client.llama_proxy.exchange import Exchange
from exporter.client.llama_proxy.metrics import MetricsStream
from exporter.client.llama_proxy.models import Models
from exporter.client.llama_proxy.monitoring import Monitor
from exporter.client.llama_proxy.parameters import Parameters
from exporter.client.llama_proxy.retries import Retries

DEFAULT_URL = "http://127.0.0.1:9464/api"
TIMEOUT_SECONDS = 30.0


class LlamaProxyClient:
    """Asks a sidecar's admin listener; `with LlamaProxyClient() as client: client.models.list()`.

    Threads may share one. Every method waits for its answer, and raises a LlamaProxyError where that is none.
    """

    def __init__(
        self,
        base_url: str = DEFAULT_URL,
        api_key: str | None = None,
        *,
        timeout: float = TIMEOUT_SECONDS,
        retries: int | Retries = 4,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        """`base_url` may have the `/api` or not; `api_key` is one of the sidecar's `auth.api_keys`. `timeout` is for a
        call with all its retries, in seconds; `retries` how often a call is tried again, `Retries(...)` how patiently.
        `transport` is httpx's, for certificates or a proxy of one's own: those of the environment are not used. Raises
        ValueError for what cannot be meant."""
        if not timeout > 0:
            raise ValueError("timeout must be above 0")
        patience = retries if isinstance(retries, Retries) else Retries(limit=retries)
        if patience.limit < 0:
            raise ValueError("retries must not be below 0")
        self._exchange = exchange = Exchange(Address(base_url), api_key, timeout, patience, transport)
        self.models = Models(exchange)
        self.config = Configuration(exchange)
        self.parameters = Parameters(exchange)
        self.monitoring = Monitor(exchange)
        self.metrics = MetricsStream(exchange)

    def __repr__(self) -> str:
        return f"LlamaProxyClient({self._exchange.address.api!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections; streams end with the next thing that would have come."""
        self._exchange.close()
