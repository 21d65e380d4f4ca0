"""What the traffic path needs to know of one llama-server."""

from __future__ import annotations

from dataclasses import dataclass, field

import httpx


@dataclass(frozen=True, slots=True)
class Upstream:
    """One configured llama-server."""

    name: str
    url: httpx.URL
    """Scheme, host and port; a path is put before every request's own."""
    tier: str | None = None
    """As configured; None: that of each of its models."""
    provider: str = "llama_cpp"
    models: frozenset[str] = frozenset()
    """Names that it was configured to answer to, beside those that it lists."""
    weight: float = 1.0
    """Its share of the load within its tier."""
    api_key: str | None = field(default=None, repr=False)
    """Sent as a bearer token with requests that carry no credentials of their own."""

    @property
    def path_prefix(self) -> bytes:
        """The path of the URL without its last slash; empty for most."""
        return self.url.raw_path.rstrip(b"/")
