"""Answers of unknown length to HTTP/1.0 clients, which know no chunks (RFC 9112, 6.1): `admin` puts this around its
rooms. The proxy does as llama-server does."""

from __future__ import annotations

from exporter.asgi import ASGIApp, Message, Receive, Scope, Send

BEFORE_CHUNKS = ("0.9", "1.0")


class Framing:
    """Lets such answers end with their connections. Needs the server of `listeners`."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "http" and scope["http_version"] in BEFORE_CHUNKS and scope["method"] != "HEAD":
            send = _Plain(scope, send).send
        await self._app(scope, receive, send)


class _Plain:
    """The answer to one request."""

    def __init__(self, scope: Scope, send: Send) -> None:
        self._scope = scope
        self._send = send
        self._framed = True

    async def send(self, message: Message) -> None:
        """Send a part of it."""
        if message["type"] == "http.response.start":
            self._framed = any(name == b"content-length" for name, _ in message["headers"])
            if not self._framed:
                self._scope["unframe"]()
        elif not self._framed and message.get("body"):
            self._scope["write"](message["body"])
            message = {**message, "body": b""}
        await self._send(message)
