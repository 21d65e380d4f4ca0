"""One HTTP/1.1 connection to an upstream, with at most one exchange on it at a time.

`transport.UpstreamTransport` opens, lends and retires connections; nobody else sees them. Framing is parsed by llhttp
(httptools); bodies pass through undecoded.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, Callable
from typing import cast

import httptools
import httpx

from exporter.proxy.headers import Headers

Push = Callable[[bytes], bool]

READ_HIGH_WATER = 256 * 1024
"""Bytes of an answer held for a slow client before we stop reading from the upstream."""
IDLE_SECONDS = 4.0
"""Idle life of a connection whose server states none; the shortest common default of servers is 5 s."""
IDLE_MARGIN_SECONDS = 1.0
"""We retire a connection this long before the server's own limit, so that the two do not cross on the wire."""
CONTINUE_SECONDS = 0.5
"""How long an upstream may take to answer `Expect: 100-continue` before the body is sent all the same (RFC 9110,
10.1.1)."""


STALE_SECONDS = 1.0
"""A server that retires a connection does so at once. One that closes it later may have worked on the request, which
then must not be sent a second time (RFC 9110, 9.2.2)."""


class StaleConnectionError(httpx.RemoteProtocolError):
    """A reused connection closed as the request went out, before any byte of an answer: the server had retired it."""


class DisconnectedError(httpx.RemoteProtocolError):
    """The connection closed before the head of the answer."""


class Connection(asyncio.Protocol):
    """A connection and the state of the exchange that is on it.

    The consumer side is `send`, `send_body`, `head`, `read`; what they raise are httpx exceptions.
    """

    __slots__ = (
        "_began_at",
        "_buffered",
        "_can_write",
        "_chunks",
        "_error",
        "_head_only",
        "_heard_at",
        "_interim",
        "_keep_alive",
        "_loop",
        "_parser",
        "_push",
        "_read_paused",
        "_reader",
        "_sent",
        "_started",
        "_transport",
        "_until_close",
        "_writer",
        "complete",
        "expires_at",
        "headers",
        "idle_seconds",
        "on_lost",
        "status",
        "uses",
        "uses_limit",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop, on_lost: Callable[[Connection], None]) -> None:
        self._loop = loop
        self._transport: asyncio.Transport | None = None
        self._can_write = True
        self._read_paused = False
        self.on_lost = on_lost
        self._began_at = 0.0
        self.uses = 0
        """Exchanges begun on this connection."""
        self.uses_limit: int | None = None
        """How many the server allows, from its `Keep-Alive: max=`."""
        self.idle_seconds = IDLE_SECONDS
        self.expires_at = 0.0
        """Monotonic time after which an idle connection is not used again; set when it goes back to the pool."""
        self._begin(head_only=False)

    def _begin(self, *, head_only: bool) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._head_only = head_only
        self._chunks: list[bytes] = []
        self._buffered = 0
        self._push: Push | None = None
        self._heard_at = 0.0
        self._reader: asyncio.Future[None] | None = None
        self._writer: asyncio.Future[None] | None = None
        self._error: Exception | None = None
        self._started = False
        self._sent = False
        self._interim = False
        self._keep_alive = True
        self._until_close = False
        self.status = 0
        """Final status of the answer; 0 until its head is complete."""
        self.headers: Headers = []
        """Header fields of the answer in order, names in lower case."""
        self.complete = False
        """Every byte of the answer has arrived (it may still lie here, unread)."""

    # The consumer's side

    @property
    def alive(self) -> bool:
        """Whether the socket is still open, as far as we know."""
        return self._transport is not None and not self._transport.is_closing()

    @property
    def drained(self) -> bool:
        """Whether the whole answer has been read."""
        return self.complete and not self._chunks

    @property
    def reusable(self) -> bool:
        """Whether another exchange may follow: this one ended well and the server does not mean to close."""
        return (
            self.complete
            and self._sent
            and self._keep_alive
            and self._transport is not None
            and not self._transport.is_closing()
            and self._transport.get_write_buffer_size() == 0  # an early answer can come before the request is out
            and (self.uses_limit is None or self.uses < self.uses_limit)
        )

    def send(self, head: bytes, body: bytes, *, head_only: bool, last: bool) -> None:
        """Begin an exchange: write the request's head and, when it is at hand, its whole body.

        `head_only` says that the answer has no body (HEAD); `last` that nothing of the request follows.
        """
        self._begin(head_only=head_only)
        self._began_at = self._loop.time()
        self.uses += 1
        self._sent = last
        if self._transport is None or self._transport.is_closing():
            self._fail_lost()
            return
        if len(body) > READ_HIGH_WATER:  # do not copy what is large
            self._transport.write(head)
            self._transport.write(body)
        else:
            self._transport.write(head + body)

    async def send_body(
        self,
        chunks: AsyncIterable[bytes],
        *,
        chunked: bool,
        wait_for_continue: bool,
        timeout: float | None,  # noqa: ASYNC109
    ) -> None:
        """Stream the rest of a request; with back-pressure. Ends early when the upstream closes or has answered in
        full."""
        if wait_for_continue and not await self._await_continue():
            return
        try:
            async for chunk in chunks:
                if not chunk:
                    continue
                await self._writable(timeout)
                if self._transport is None or self.complete:
                    return
                self._transport.write(b"%x\r\n%b\r\n" % (len(chunk), chunk) if chunked else chunk)
        except Exception as exc:
            self._fail(exc)  # the client's side broke off: wakes whoever waits for the answer
            self.close()
            return
        if chunked and self._transport is not None:
            self._transport.write(b"0\r\n\r\n")
        self._sent = True
        _wake(self._reader)  # from now on silence counts

    async def head(self, timeout: float | None) -> None:  # noqa: ASYNC109 - a timer per wait only where a limit is set
        """Wait for the head of the final answer.

        Raises StaleConnectionError, httpx.RemoteProtocolError, httpx.ReadError, httpx.ReadTimeout (`timeout` seconds of
        silence).
        """
        while not self.status:
            self._raise_failure()
            await self._readable(timeout if self._sent else None)  # while the request goes out it owes us nothing

    async def read(self, timeout: float | None) -> bytes:  # noqa: ASYNC109
        """What has arrived of the body, waiting for some when there is none; b"" at its end. Raises as `head` does."""
        while not self._chunks:
            if self.complete:
                return b""
            self._raise_failure()
            await self._readable(timeout)
        data = self._take()
        if self._read_paused and self._transport is not None:
            self._read_paused = False
            self._transport.resume_reading()
        return data

    async def pipe(self, push: Push, timeout: float | None) -> None:  # noqa: ASYNC109
        """Hand each further piece of the body to `push` in the very call in which it arrives.

        Returns when `push` returned False or failed, or when there is something to `read`: pieces, the failure, or the
        end of the answer, whose last piece is never pushed. Raises as `head` does.
        """
        if self._chunks or self.drained:
            return
        self._start_pushing(push)
        try:
            while self._push is not None and not self._chunks and not self.complete:
                self._raise_failure()
                await self._readable(timeout, since=self._heard_at)
        finally:
            self._push = None

    def _start_pushing(self, push: Push) -> None:
        self._push = push
        self._heard_at = self._loop.time()

    def _take(self) -> bytes:
        chunks = self._chunks
        data = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        self._chunks = []
        self._buffered = 0
        return data

    def close(self) -> None:
        """Close the socket at once, so that the upstream notices and stops working."""
        if self._transport is not None:
            self._transport.abort()

    # Waiting

    async def _readable(self, limit: float | None, since: float | None = None) -> None:
        """Wait until there is something to look at. The silence began `since` then (of the loop's clock), else now."""
        self._reader = self._loop.create_future()
        try:
            if limit is None:
                await self._reader
            else:
                async with asyncio.timeout_at((self._loop.time() if since is None else since) + limit):
                    await self._reader
        except TimeoutError:
            # Pieces that are pushed on do not wake the reader; they were no silence.
            if self._push is None or self._heard_at == since:
                raise httpx.ReadTimeout(f"was silent for {limit:g} s") from None
        finally:
            self._reader = None

    async def _writable(self, limit: float | None) -> None:
        while not self._can_write and self._transport is not None:
            self._writer = self._loop.create_future()
            try:
                async with asyncio.timeout(limit):
                    await self._writer
            except TimeoutError:
                raise httpx.WriteTimeout(f"took nothing more of the request for {limit:g} s") from None
            finally:
                self._writer = None

    async def _await_continue(self) -> bool:
        """Wait for `100 Continue`. False when a final answer came instead: then the body must not be sent."""
        deadline = self._loop.time() + CONTINUE_SECONDS
        while not self._interim and not self.status and self._error is None:
            left = deadline - self._loop.time()
            if left <= 0:
                break
            self._writer = self._loop.create_future()
            timer = self._loop.call_later(left, _wake, self._writer)
            try:
                await self._writer
            finally:
                timer.cancel()
                self._writer = None
        return not self.status and self._error is None

    def _raise_failure(self) -> None:
        if self._error is not None:
            raise self._error

    def _fail(self, error: Exception) -> None:
        if self._error is None and not self.complete:
            self._error = error
        _wake(self._reader)
        _wake(self._writer)

    def _fail_lost(self) -> None:
        if not self._started and self.uses > 1 and self._loop.time() - self._began_at < STALE_SECONDS:
            self._fail(StaleConnectionError("closed a kept-alive connection as it was used"))
        elif not self.status:
            self._fail(DisconnectedError("closed the connection without an answer"))
        else:
            self._fail(httpx.ReadError("broke off in the middle of its answer"))

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket is connected."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's does not inherit from asyncio's

    def data_received(self, data: bytes) -> None:
        """Bytes of the answer, cut anywhere."""
        if self.complete:  # nobody asked: a 408 to an idle connection, or a server that lost count
            self.close()
            return
        self._started = True
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._keep_alive = False
            self._fail(httpx.RemoteProtocolError("switched protocols without being asked"))
        except httptools.HttpParserError:
            self._keep_alive = False
            self._fail(httpx.RemoteProtocolError("sent what is not valid HTTP"))
        if self._push is not None and self._chunks and not self.complete:
            self._pass_on(self._push)
            return
        if self._buffered > READ_HIGH_WATER and not self._read_paused and self._transport is not None:
            self._read_paused = True
            self._transport.pause_reading()
        _wake(self._reader)

    def _pass_on(self, push: Push) -> None:
        self._heard_at = self._loop.time()
        try:
            if push(self._take()):
                return
        except Exception as exc:
            self._error = exc
        self._push = None
        _wake(self._reader)

    def eof_received(self) -> bool:
        """The upstream has sent everything; we close too, as half-open connections serve nobody here."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is closed, by either side."""
        self._transport = None
        if self._until_close and self.status and exc is None and self._error is None:
            self.complete = True  # a body without length ends with the connection (RFC 9112, 6.3)
        self._fail_lost()
        self.on_lost(self)

    def pause_writing(self) -> None:
        """The socket's send buffer is full."""
        self._can_write = False

    def resume_writing(self) -> None:
        """The socket's send buffer has room again."""
        self._can_write = True
        _wake(self._writer)

    # httptools callbacks

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header field; trailers arrive here as well and are dropped."""
        if not self.status:
            self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """The head is complete: an interim one (1xx) is swallowed, the final one is kept."""
        if self.complete:
            self._keep_alive = False  # an answer that nobody asked for
            return
        status = self._parser.get_status_code()
        if status == 101 or not 100 <= status <= 599:
            self._fail(httpx.RemoteProtocolError(f"answered with status {status}, which was not to be expected"))
            return
        if status < 200:
            self.headers = []
            if status == 100:
                self._interim = True
                _wake(self._writer)
            return
        self.status = status
        self._keep_alive = self._parser.should_keep_alive()
        self._read_head(status)
        _wake(self._writer)

    def _read_head(self, status: int) -> None:
        framed = False
        for name, value in self.headers:
            if name in (b"content-length", b"transfer-encoding"):
                framed = True
            elif name == b"keep-alive":
                self._read_keep_alive(value)
        if self._head_only:
            self.complete = True
            self._keep_alive = False  # llhttp cannot be told that no body follows
        elif not framed and status not in (204, 304):
            self._until_close = True
            self._keep_alive = False

    def _read_keep_alive(self, value: bytes) -> None:
        for item in value.split(b","):
            key, _, number = item.strip().partition(b"=")
            if not number.isdigit():
                continue
            if key == b"timeout":
                self.idle_seconds = max(0.0, int(number) - IDLE_MARGIN_SECONDS)
            elif key == b"max":
                # cpp-httplib states the same total in every answer; Apache counts down what is left.
                self.uses_limit = self.uses if int(number) <= 1 else int(number)

    def on_body(self, body: bytes) -> None:
        """A piece of the body, chunk framing removed."""
        if self.status and not self.complete:
            self._chunks.append(body)
            self._buffered += len(body)

    def on_message_complete(self) -> None:
        """The end of a message, of an interim one too."""
        if self.status:
            self.complete = True


def _wake(future: asyncio.Future[None] | None) -> None:
    if future is not None and not future.done():
        future.set_result(None)
