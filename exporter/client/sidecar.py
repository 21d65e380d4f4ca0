"""One connection to the sidecar that is kept open from request to request; `outbox` posts through it.

The standard library's HTTP client: this runs inside somebody else's application, where httpx would write a line into
its log and a span into its traces for every record, and takes four times the CPU time.
"""

from __future__ import annotations

import encodings.idna  # noqa: F401 - to connect needs it, and at the end of a process it can no longer be imported
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from typing import NamedTuple
from urllib.parse import urlsplit

TIMEOUT_SECONDS = 5.0
"""Longest silence of the sidecar that is waited for."""
ANSWER_LIMIT_BYTES = 64 * 1024

NO_ANSWER = (OSError, HTTPException)
"""What `Sidecar.post` raises when no answer came."""


class Answer(NamedTuple):
    """What the sidecar said."""

    status: int
    retry_seconds: float | None
    """Its `Retry-After`, where that is a number of seconds."""
    body: bytes


class Sidecar:
    """Where records go. Raises ValueError where `base_url` is not http://host[:port][/path] or https://."""

    def __init__(self, base_url: str, api_key: str | None) -> None:
        parts = urlsplit(base_url)
        is_plain = base_url.isascii() and base_url.isprintable() and " " not in base_url
        if not is_plain or parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError("it must look like http://127.0.0.1:9464")
        self.address = f"{parts.hostname}:{parts.port}" if parts.port else parts.hostname
        self.api_key = api_key
        self._is_tls = parts.scheme == "https"
        self._host, self._port, self._prefix = parts.hostname, parts.port, parts.path.rstrip("/")
        self._connection: HTTPConnection | None = None

    def post(self, path: str, body: bytes) -> Answer:
        """Send a JSON body. Raises what is in NO_ANSWER, and then begins with a new connection the next time."""
        try:
            connection = self._connection = self._connection or self._connect()
            connection.request("POST", self._prefix + path, body, self._headers())
            with connection.getresponse() as response:
                answer = Answer(response.status, _retry_seconds(response), response.read(ANSWER_LIMIT_BYTES))
                if response.read(1):
                    self.close()
                return answer
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the connection; a later `post` opens another."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def forget(self) -> None:
        """Leave the connection to the process that we were forked from: two must not write into it."""
        if self._connection is not None and self._connection.sock is not None:
            # Our end alone: closing the rest could wait for a lock that the parent's thread holds.
            self._connection.sock.close()
        self._connection = None

    def _connect(self) -> HTTPConnection:
        kind = HTTPSConnection if self._is_tls else HTTPConnection
        return kind(self._host, self._port, timeout=TIMEOUT_SECONDS)

    def _headers(self) -> dict[str, str]:
        headers = {"Content-Type": "application/json"}
        if self.api_key is not None:
            headers["X-Api-Key"] = self.api_key
        return headers


def _retry_seconds(response: HTTPResponse) -> float | None:
    text = response.getheader("Retry-After", "")
    return float(text) if text.isascii() and text.isdigit() and len(text) < 10 else None
