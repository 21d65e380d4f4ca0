"""What the traffic path needs to know of one llama-server."""

from __future__ import annotations

from dataclasses import dataclass

import httpx


@dataclass(frozen=True, slots=True)
class Upstream:
    """One configured llama-server."""

    name: str
    url: httpx.URL
    """Scheme, host and port; a path is put before every request's own."""
    tier: str = "unknown"
    provider: str = "llama_cpp"
    api_key: str | None = None
    """Sent as a bearer token with requests that carry no credentials of their own."""

    @property
    def path_prefix(self) -> bytes:
        """The path of the URL without its last slash; empty for most."""
        return self.url.raw_path.rstrip(b"/")
