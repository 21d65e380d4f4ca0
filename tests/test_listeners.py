"""Sockets: bound before anything runs, with one clear line when that fails; requests go by port."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from exporter import http_protocol, listeners
from exporter.asgi import Receive, Scope, Send
from exporter.errors import StartupError
from exporter.http_protocol import PIPELINE_LIMIT, TransparentProtocol
from exporter.settings import split_address
from tests.proxy.harness import ask
from tests.serving import HANDSHAKE, on_both_loops, serving, until


@contextmanager
def bound(address: str) -> Iterator[socket.socket]:
    listener = listeners.bind(address, "x.listen")
    try:
        yield listener
    finally:
        listener.close()


def test_url_and_reach() -> None:
    with bound("127.0.0.1:0") as here, bound(":0") as everywhere:
        assert listeners.url(here) == f"http://127.0.0.1:{here.getsockname()[1]}"
        assert listeners.is_loopback(here)
        assert not listeners.is_loopback(everywhere)


def test_ipv6() -> None:
    try:
        with bound("[::1]:0") as listener:
            assert listeners.url(listener).startswith("http://[::1]:")
            assert listeners.is_loopback(listener)
    except StartupError as exc:
        pytest.skip(f"this machine has no IPv6: {exc}")


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("192.0.2.7:80", "this machine has no such address"),
        ("no-such-host.invalid:80", "the host name is not known"),
    ],
)
def test_refusals_name_setting_and_address(address: str, reason: str) -> None:
    with pytest.raises(StartupError) as caught:
        listeners.bind(address, "proxy.listen")
    assert str(caught.value) == f"proxy.listen: {address}: {reason}"


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("127.0.0.1:80", ("127.0.0.1", 80)),
        (":80", ("0.0.0.0", 80)),
        ("[::1]:80", ("::1", 80)),
        ("host:0", ("host", 0)),
    ],
)
def test_addresses(address: str, expected: tuple[str, int]) -> None:
    assert split_address(address) == expected


@pytest.mark.parametrize("address", ["80", "host", "host:", "host:a", "host:70000", "::1:80", ""])
def test_what_is_no_address(address: str) -> None:
    with pytest.raises(ValueError, match=r"HOST:PORT|brackets"):
        split_address(address)


async def test_requests_go_by_port() -> None:
    seen: list[str] = []

    def app(name: str) -> Any:
        async def serve(*_: Any) -> None:
            seen.append(name)

        return serve

    dispatcher = listeners.Dispatcher({1: app("proxy"), 2: app("admin")})
    for port in (2, 1, 2):
        await dispatcher({"server": ("127.0.0.1", port)}, app(""), app(""))
    assert seen == ["admin", "proxy", "admin"]


async def answer(scope: Scope, receive: Receive, send: Send) -> None:
    """200, to HTTP alone."""
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})


async def accept(scope: Scope, receive: Receive, send: Send) -> None:
    """A WebSocket without a word."""
    if scope["type"] == "http":
        await answer(scope, receive, send)
        return
    await receive()
    await send({"type": "websocket.accept"})
    await receive()


class EventStream:
    """An endless answer, which ends when it is told to; `go` is that."""

    def __init__(self) -> None:
        self.scopes: list[Scope] = []
        self.go = asyncio.Event()
        self.drained = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        self.scopes.append(scope)
        await self.go.wait()
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    def note_drain(self) -> None:
        self.drained += 1

    def fill(self, number: int) -> int:
        """Write until that reader's buffer is full. Bytes written."""
        written = PIECE
        while self.scopes[number]["write"](bytes(PIECE)):
            written += PIECE
            assert written < 1 << 27
        return written


PIECE = 50_000


@on_both_loops
async def test_websockets_are_taken_on_their_ports_alone() -> None:
    handshake = ask("GET", "/", *HANDSHAKE)
    async with serving(answer, accept, websockets=(False, True)) as running:
        async with await running.connect(0) as client:
            for _ in range(2):
                assert (await client.exchange(handshake))[0] == 200
        async with await running.connect(1) as client:
            await client.send(handshake)
            assert (await client.head())[0] == 101


@on_both_loops
async def test_open_connections_are_counted_by_port() -> None:
    async with serving(answer, accept, websockets=(False, True)) as running:
        silent = await running.connect(0)
        kept_alive = await running.connect(0)
        assert (await kept_alive.exchange(ask("GET", "/")))[0] == 200
        websocket = await running.open_websocket(number=1)
        await running.until_open(2, 0)
        await running.until_open(1, 1)
        websocket.raw.reset()
        await silent.close()
        await running.until_open(0, 1)
        await running.until_open(1, 0)
        kept_alive.abort()
        await running.until_open(0, 0)
        assert running.connections.on(1) == 0


class Slow:
    """Answers once it is told to; `go` is that."""

    def __init__(self) -> None:
        self.begun = 0
        self.go = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.begun += 1
        await self.go.wait()
        await answer(scope, receive, send)


@on_both_loops
async def test_a_pipeline_that_is_full() -> None:
    """Each answer makes room for a further request."""
    app = Slow()
    async with serving(app) as running, await running.connect() as client:
        await client.send(ask("GET", "/") * PIPELINE_LIMIT)
        await until(lambda: app.begun)
        app.go.set()
        for _ in range(PIPELINE_LIMIT):
            assert (await client.head())[0] == 200
        await client.send(ask("GET", "/") * PIPELINE_LIMIT)
        for _ in range(PIPELINE_LIMIT):
            assert (await client.head())[0] == 200
        assert app.begun == 2 * PIPELINE_LIMIT


@pytest.mark.parametrize("offer", [(), (("Connection", "Upgrade"), ("Upgrade", "h2c"))])
@on_both_loops
async def test_a_pipeline_that_overflows(monkeypatch: pytest.MonkeyPatch, offer: tuple[tuple[str, str], ...]) -> None:
    """Nothing of the rest is even looked at; uvicorn would make a request of each head."""
    heads: list[bytes] = []
    on_url = TransparentProtocol.on_url

    def note_head(self: TransparentProtocol, url: bytes) -> None:
        heads.append(url)
        on_url(self, url)

    monkeypatch.setattr(TransparentProtocol, "on_url", note_head)
    app = Slow()
    async with serving(app) as running, await running.connect() as client:
        client.writer.write(ask("GET", "/", *offer) * 3000)
        await until(lambda: len(heads) == PIPELINE_LIMIT)
        await running.until_open(0)
        app.go.set()
    assert len(heads) == PIPELINE_LIMIT
    assert app.begun <= 1


@on_both_loops
async def test_a_pipeline_that_overflows_little_by_little(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_protocol, "PIPELINE_LIMIT", 2)
    app = Slow()
    async with serving(app) as running, await running.connect() as client:
        await client.send(ask("GET", "/"))
        await until(lambda: app.begun)
        await client.send(ask("GET", "/"))
        await client.send(ask("GET", "/"))
        await running.until_open(0)
        app.go.set()


@on_both_loops
async def test_the_stop_is_announced_before_it_waits() -> None:
    stream = EventStream()
    async with serving(stream, on_stop=stream.go.set) as running, await running.connect() as client:
        await client.send(ask("GET", "/events"))
        _, fields = await client.head()
        stopping = asyncio.get_running_loop().create_task(running.stop())
        assert await client.body(fields) == b""  # it ends properly, not by breaking off
        assert await client.rest() == b""
        assert await stopping < 1.0
        assert len(running.stopped) == 1


@on_both_loops
async def test_what_does_not_end_itself_has_the_grace() -> None:
    stream = EventStream()
    async with serving(stream, grace_seconds=1) as running, await running.connect() as client:
        await client.send(ask("GET", "/events"))
        await client.head()
        assert await running.stop() >= 1


@on_both_loops
async def test_a_slow_reader_of_a_response() -> None:
    """`write` says when to stop, `on_drain` when to go on."""
    stream = EventStream()
    async with serving(stream) as running, await running.connect(receive_buffer=16_384) as client:
        await client.send(ask("GET", "/events"))
        await client.head()
        stream.scopes[0]["on_drain"](stream.note_drain)
        for turn in (1, 2):
            left = stream.fill(0)
            async for chunk in client.chunks():
                left -= len(chunk)
                if not left:
                    break
            await until(lambda turn=turn: stream.drained == turn)  # type: ignore[misc]
        stream.scopes[0]["on_drain"](None)
        stream.fill(0)
        stream.scopes[0]["abort"]()
        await running.until_open(0)
        assert stream.drained == 2
        stream.go.set()


@on_both_loops
async def test_nobody_drains_by_leaving() -> None:
    stream = EventStream()
    gone = asyncio.Event()
    async with serving(stream) as running, await running.connect(receive_buffer=16_384) as client:
        await client.send(ask("GET", "/events"))
        await client.head()
        stream.scopes[0]["on_drain"](stream.note_drain)
        stream.scopes[0]["on_leave"](gone.set)
        stream.fill(0)
        client.reset()
        await asyncio.wait_for(gone.wait(), 5)
        assert stream.drained == 0
        stream.go.set()
