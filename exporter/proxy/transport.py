"""The HTTP/1.1 client of the traffic path: an httpx transport with a pool that knows how llama-server retires
connections.

`forward.Forwarder` calls it through httpx's one-method seam (`handle_async_request`), where the OpenTelemetry
instrumentation of httpx hooks in as well. It relays: the raw request target and the header fields go out as given, the
body comes back undecoded. docs/architecture.md says why this is not a general-purpose client.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self, cast

import httpx

from exporter.proxy.connection import Connection, Push
from exporter.tasks import spawn

MAX_IDLE = 512
"""Idle connections kept per upstream; what comes back beyond is closed."""

Origin = tuple[bytes, bytes, int | None]


class ConnectError(httpx.ConnectError):
    """No connection could be made; the message says why, in words and without the address."""


@dataclass(slots=True)
class Exchange:
    """What a call is told, and tells, beside request and response; passed as `request.extensions["exchange"]`."""

    target: bytes
    """The request target as the client sent it: path and query."""
    body: bytes | None = None
    """The whole request body; None when it is streamed from `request.stream`."""
    fresh: bool = False
    """Asks for a new connection instead of a pooled one."""
    wait_for_continue: bool = False
    """The request carries `Expect: 100-continue`: its body waits for the upstream's consent."""
    reused: bool = False
    """Set: the connection had served an exchange before."""
    connect_seconds: float = 0.0
    """Set: time spent on making the connection."""
    written_at: float | None = None
    """Set: monotonic time at which the head was handed to the socket."""


class AnswerStream(httpx.AsyncByteStream):
    """The body of an answer; gives its connection back to the pool, or closes it, when it is closed."""

    __slots__ = ("_connection", "_release", "_timeout", "_upload")

    def __init__(
        self,
        connection: Connection,
        *,
        timeout: float | None,
        upload: asyncio.Task[None] | None,
        release: Callable[[Connection], None],
    ) -> None:
        self._connection = connection
        self._timeout = timeout
        self._upload = upload
        self._release = release

    @property
    def at_end(self) -> bool:
        """Whether everything has been read already, so that no further wait is needed to know it."""
        return self._connection.drained

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while piece := await self.read():
            yield piece

    async def read(self) -> bytes:
        """The next piece of the body; b"" at its end."""
        return await self._connection.read(self._timeout)

    async def pipe(self, push: Push) -> None:
        """Hand further pieces to `push` as they arrive; see `Connection.pipe`."""
        await self._connection.pipe(push, self._timeout)

    async def aclose(self) -> None:
        """End the exchange. An answer that was not read to its end closes the connection, which cancels the work
        upstream."""
        if self._upload is not None:
            self._upload.cancel()
        self._release(self._connection)


class UpstreamTransport(httpx.AsyncBaseTransport):
    """Sends requests to upstreams over pooled connections, newest first.

    Raises `httpx.ConnectTimeout`, `ConnectError`, `StaleConnectionError`, `httpx.RemoteProtocolError`,
    `httpx.ReadError`, `httpx.ReadTimeout`. `request.extensions` holds `exchange` (required) and httpx's `timeout`
    (`connect`, `read`).
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._idle: dict[Origin, deque[Connection]] = {}
        self._open: dict[Connection, Origin] = {}
        self._tls: ssl.SSLContext | None = None

    @property
    def open_connections(self) -> int:
        """Connections to upstreams, busy or idle."""
        return len(self._open)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request; returns when the head of the final answer is there. Its stream must be closed by the
        caller."""
        exchange: Exchange = request.extensions["exchange"]
        limits = request.extensions.get("timeout", {})
        connection = await self._acquire(request.url, exchange, limits.get("connect"))
        upload = None
        try:
            upload = self._write(connection, request, exchange, limits.get("read"))
            await connection.head(limits.get("read"))
        except BaseException:
            if upload is not None:
                upload.cancel()
            connection.close()
            raise
        return httpx.Response(
            connection.status,
            headers=connection.headers,
            stream=AnswerStream(connection, timeout=limits.get("read"), upload=upload, release=self._release),
            request=request,
        )

    async def aclose(self) -> None:
        """Close every connection, busy ones too."""
        for connection in list(self._open):
            connection.close()
        self._idle.clear()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        await self.aclose()

    def _write(
        self, connection: Connection, request: httpx.Request, exchange: Exchange, timeout: float | None
    ) -> asyncio.Task[None] | None:
        head, chunked = _request_head(request, exchange.target)
        body = exchange.body
        exchange.written_at = self._clock()
        if body is not None:
            if chunked:
                body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body) if body else b"0\r\n\r\n"
            connection.send(head, body, head_only=request.method == "HEAD", last=True)
            return None
        connection.send(head, b"", head_only=request.method == "HEAD", last=False)
        upload = connection.send_body(
            cast(httpx.AsyncByteStream, request.stream),
            chunked=chunked,
            wait_for_continue=exchange.wait_for_continue,
            timeout=timeout,
        )
        return spawn(upload, name="upload")

    async def _acquire(self, url: httpx.URL, exchange: Exchange, timeout: float | None) -> Connection:  # noqa: ASYNC109
        origin = (url.raw_scheme, url.raw_host, url.port)
        if not exchange.fresh:
            idle = self._idle.get(origin)
            now = self._clock()
            while idle:
                connection = idle.pop()
                if connection.alive and connection.expires_at > now:
                    exchange.reused = True
                    return connection
                connection.close()
        return await self._connect(origin, exchange, timeout)

    async def _connect(self, origin: Origin, exchange: Exchange, timeout: float | None) -> Connection:  # noqa: ASYNC109
        scheme, host, port = origin
        loop = asyncio.get_running_loop()
        tls = scheme == b"https"
        started = self._clock()
        try:
            async with asyncio.timeout(timeout):
                _, connection = await loop.create_connection(
                    lambda: Connection(loop, self._forget),
                    host.decode("ascii").strip("[]"),
                    port or (443 if tls else 80),
                    ssl=self._tls_context() if tls else None,
                )
        except TimeoutError:
            raise httpx.ConnectTimeout(f"no connection within {timeout:g} s") from None
        except OSError as exc:
            raise ConnectError(describe_connect_failure(exc)) from exc
        exchange.connect_seconds = self._clock() - started
        self._open[connection] = origin
        return connection

    def _tls_context(self) -> ssl.SSLContext:
        if self._tls is None:
            self._tls = ssl.create_default_context()
        return self._tls

    def _release(self, connection: Connection) -> None:
        origin = self._open.get(connection)
        if origin is None:
            return
        idle = self._idle.setdefault(origin, deque())
        if not (connection.drained and connection.reusable) or len(idle) >= MAX_IDLE:
            connection.close()
            return
        now = self._clock()
        connection.expires_at = now + connection.idle_seconds
        idle.append(connection)
        while idle and idle[0].expires_at <= now:
            idle.popleft().close()

    def _forget(self, connection: Connection) -> None:
        origin = self._open.pop(connection, None)
        if origin is not None and connection in (idle := self._idle.get(origin, deque())):
            idle.remove(connection)


def _request_head(request: httpx.Request, target: bytes) -> tuple[bytes, bool]:
    """The head as bytes, and whether the body must be sent in chunks (the client did, as it knew no length)."""
    lines = [request.method.encode("ascii"), b" ", target, b" HTTP/1.1\r\n"]
    if "host" not in request.headers:  # an HTTP/1.0 client may do without
        lines += (b"host: ", request.url.netloc, b"\r\n")
    chunked = False
    for name, value in request.headers.raw:
        lines += (name, b": ", value, b"\r\n")
        if name == b"transfer-encoding":
            chunked = True
    lines.append(b"\r\n")
    return b"".join(lines), chunked


def describe_connect_failure(error: OSError) -> str:
    """Why a connection failed, in words that name no address: socket errors quote it."""
    if isinstance(error, ssl.SSLError):
        return f"TLS failed ({error.reason or 'unknown reason'})"
    if isinstance(error, ConnectionRefusedError):
        return "connection refused"
    if error.__class__.__name__ == "gaierror":
        return "host name not found"
    reason = error.strerror or ""
    # A host with several addresses fails with all reasons in one text, addresses included.
    return reason.lower() if reason and "(" not in reason else "connection failed"
