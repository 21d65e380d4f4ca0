"""uvicorn's HTTP/1.1 protocol, taught three things that a transparent proxy needs; `listeners` gives it to uvicorn.

- The time at which a request's head was complete (`scope["arrived"]`, monotonic seconds): the application runs a turn
of
  the event loop later, and that turn may be busy.
- The request target reaches the application as it was sent (`scope["target"]`), an empty query included.
- A request that offers another protocol (`Upgrade: h2c`, as Java's HTTP client does with every first request) is an
  ordinary request: llhttp would stop at its head, and its body would never be read.
"""

from __future__ import annotations

import time
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

FRAMING = (b"content-length", b"transfer-encoding")


class TransparentProtocol(HttpToolsProtocol):
    """One client connection."""

    def on_headers_complete(self) -> None:
        """The head of a request is complete."""
        super().on_headers_complete()
        self.scope["arrived"] = time.monotonic()  # type: ignore[typeddict-unknown-key]
        self.scope["target"] = self.url  # type: ignore[typeddict-unknown-key]

    def on_message_complete(self) -> None:
        """The body of a request is complete, unless llhttp only believes so."""
        if not (self.parser.should_upgrade() and self._has_body()):
            super().on_message_complete()

    def data_received(self, data: bytes) -> None:
        """Bytes from the client."""
        self._unset_keepalive_if_required()
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as offer:
            self._go_on(data[offer.args[0] :])
        except httptools.HttpParserError:
            self.send_400_response("Invalid HTTP request received.")

    def _go_on(self, rest: bytes) -> None:
        """Read on behind a head that offered another protocol, with a parser that has not heard of the offer."""
        self.parser = httptools.HttpRequestParser(_Continued(self) if self._has_body() else self)
        if self._has_body():
            fields = b"".join(b"%b: %b\r\n" % field for field in self.headers if field[0] in FRAMING)
            self.parser.feed_data(b"POST / HTTP/1.1\r\n" + fields + b"\r\n")
        if rest:
            self.data_received(rest)

    def _has_body(self) -> bool:
        return any(name in FRAMING and value != b"0" for name, value in self.headers)


class _Continued:
    """Receives the callbacks of a parser that was told a request's head a second time: that head is kept from the
    protocol."""

    def __init__(self, protocol: TransparentProtocol) -> None:
        self._protocol: Any = protocol
        self._head = True

    def on_url(self, url: bytes) -> None:
        if not self._head:
            self._protocol.on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._head:
            self._protocol.on_header(name, value)

    def on_headers_complete(self) -> None:
        if not self._head:
            self._protocol.on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._protocol.on_body(body)

    def on_message_complete(self) -> None:
        self._head = False
        self._protocol.on_message_complete()

    def on_message_begin(self) -> None:
        if not self._head:
            self._protocol.on_message_begin()
