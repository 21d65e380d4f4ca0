"""WebSockets over real sockets: handshakes good and bad, frames that were encoded once, ends from either side."""

from __future__ import annotations

import asyncio
import io
import logging
import random
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosedError, InvalidStatus
from websockets.frames import Frame, Opcode
from websockets.protocol import Protocol

from exporter import http_protocol, listeners, logs
from exporter.asgi import Receive, Scope, Send
from exporter.http_protocol import ListenerConfig
from exporter.websocket_protocol import (
    ALLOWANCE_SECONDS,
    ALLOWED_BYTES,
    ALLOWED_FRAMES,
    MESSAGE_LIMIT_BYTES,
    SLICE_BYTES,
    Allowance,
    SharedFrameProtocol,
    text_frame,
)
from tests.proxy.harness import ask
from tests.serving import HANDSHAKE, Serving, on_both_loops, serving, until

CHUNK = text_frame(b"x" * 50_000)
LARGE = 20_000_000


class Room:
    """An application that accepts WebSockets, remembers what happened to them, and answers HTTP requests with 200."""

    def __init__(self, refuse: bool = False) -> None:
        self.refuse = refuse
        self.scopes: list[Scope] = []
        self.http: list[Scope] = []
        self.messages: list[Any] = []
        self.asked = 0
        self.ended = 0
        self.go = asyncio.Event()
        self.sends: list[Send] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            self.http.append(scope)
            size = LARGE if scope["path"] == "/large" else 2
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % size)]})
            if scope["path"] == "/large":
                await send({"type": "http.response.body", "body": bytes(size)})
                return
            if scope["path"] == "/wait":
                await self.go.wait()
            await send({"type": "http.response.body", "body": b"ok"})
            return
        assert (await receive())["type"] == "websocket.connect"
        self.asked += 1
        if self.refuse:
            await send({"type": "websocket.close"})
            return
        assert scope["write"](text_frame(b"too early")) is True
        await send({"type": "websocket.accept"})
        self.scopes.append(scope)
        self.sends.append(send)
        try:
            while True:
                message = await receive()
                self.messages.append(message)
                if message["type"] == "websocket.disconnect":
                    return
        finally:
            self.ended += 1

    @property
    def scope(self) -> Scope:
        """The scope of the only WebSocket."""
        (scope,) = self.scopes
        return scope


def dial(running: Serving, target: str = "/", **options: Any) -> connect:
    return connect(f"ws://127.0.0.1:{running.port}{target}", proxy=None, **options)


def complaints(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What was logged, but for our own words about the stop."""
    return [
        record.getMessage()
        for record in caplog.records
        if record.levelno >= logging.WARNING and record.name != "exporter.listeners"
    ]


def test_a_text_frame_is_one_unmasked_frame() -> None:
    assert text_frame(b'{"a":1}') == b'\x81\x07{"a":1}'
    assert text_frame(b"x" * 300)[:4] == b"\x81\x7e\x01\x2c"
    assert text_frame(b"x" * 70_000)[:10] == b"\x81\x7f" + (70_000).to_bytes(8)


@on_both_loops
async def test_shared_frames_reach_a_real_client() -> None:
    room = Room()
    frame = text_frame("ÄÖ€ ".encode() * 100)
    async with serving(room) as running, dial(running, "/a/b?c=d", compression="deflate") as client:
        await until(lambda: room.scopes)
        assert (room.scope["path"], room.scope["query_string"], room.scope["scheme"]) == ("/a/b", b"c=d", "ws")
        assert not client.protocol.extensions
        for _ in range(3):
            assert room.scope["write"](frame) is True
        assert [await client.recv() for _ in range(3)] == ["ÄÖ€ " * 100] * 3


@on_both_loops
async def test_what_the_client_says_and_pings() -> None:
    room = Room()
    async with serving(room) as running, dial(running) as client:
        assert await asyncio.wait_for(await client.ping(b"abc"), 5) >= 0
        await client.send("tëxt")
        await client.send([b"in ", b"parts"])
        await until(lambda: len(room.messages) == 2)
        assert room.messages == [
            {"type": "websocket.receive", "text": "tëxt"},
            {"type": "websocket.receive", "bytes": b"in parts"},
        ]


@on_both_loops
async def test_a_client_closes() -> None:
    room = Room()
    async with serving(room) as running:
        async with dial(running) as client:
            await client.close(4321, "enough")
            assert client.close_code == 4321
        await running.until_open(0)
        await until(lambda: room.ended == 1)
        assert room.messages == [{"type": "websocket.disconnect", "code": 4321, "reason": "enough"}]
        assert room.scope["write"](CHUNK) is True  # and nothing happens


@on_both_loops
async def test_the_application_closes() -> None:
    room = Room()
    async with serving(room) as running, dial(running) as client:
        await until(lambda: room.scopes)
        await room.sends[0]({"type": "websocket.close", "code": 4000, "reason": "full"})
        assert room.scope["write"](text_frame(b"behind the end")) is True
        await asyncio.wait_for(client.wait_closed(), 5)
        assert (client.close_code, client.close_reason) == (4000, "full")
        await running.until_open(0)


@on_both_loops
async def test_the_application_refuses() -> None:
    async with serving(Room(refuse=True)) as running:
        with pytest.raises(InvalidStatus) as caught:
            await dial(running)
        assert caught.value.response.status_code == 403
        await running.until_open(0)


@on_both_loops
async def test_a_client_vanishes(caplog: pytest.LogCaptureFixture) -> None:
    room = Room()
    async with serving(room) as running:
        for leave in ("reset", "abort"):
            client = await running.open_websocket()
            await until(lambda: len(room.scopes) > room.ended)
            getattr(client.raw, leave)()
            await until(lambda: len(room.scopes) == room.ended)
        await running.until_open(0)
        assert not complaints(caplog)


@on_both_loops
async def test_abort_ends_the_connection_at_once(caplog: pytest.LogCaptureFixture) -> None:
    room = Room()
    async with serving(room) as running:
        client = await running.open_websocket()
        await until(lambda: room.scopes)
        room.scope["abort"]()
        for _ in range(10):
            assert room.scope["write"](CHUNK) is True  # and nothing happens
        await until(lambda: room.ended == 1)
        await running.until_open(0)
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            await client.read()
        assert not complaints(caplog)


@on_both_loops
async def test_a_full_buffer_and_its_draining() -> None:
    """`write` says when to stop, `on_drain` when to go on, as often as it happens, and nothing is lost or mixed up."""
    room = Room()
    drained: list[int] = []
    async with serving(room) as running:
        client = await running.open_websocket(receive_buffer=16_384)
        await until(lambda: room.scopes)
        room.scope["on_drain"](lambda: drained.append(1))
        for turn in (1, 2, 3):
            written = 1
            while room.scope["write"](CHUNK):
                written += 1
                await asyncio.sleep(0)
                assert written < 2000
            for _ in range(written):
                assert len(await client.text()) == 50_000
            await until(lambda turn=turn: len(drained) == turn)  # type: ignore[misc]
        room.scope["on_drain"](None)
        while room.scope["write"](CHUNK):
            await asyncio.sleep(0)
        await client.text()
        client.raw.abort()
        await until(lambda: room.ended == 1)
        assert len(drained) == 3


BAD = {
    "no key": (ask("GET", "/", *HANDSHAKE[:3]), 400),
    "short key": (ask("GET", "/", *HANDSHAKE[:3], ("Sec-WebSocket-Key", "YWJj")), 400),
    "key that is none": (ask("GET", "/", *HANDSHAKE[:3], ("Sec-WebSocket-Key", "ä%?")), 400),
    "two keys": (ask("GET", "/", *HANDSHAKE, HANDSHAKE[3]), 400),
    "no version": (ask("GET", "/", *HANDSHAKE[:2], HANDSHAKE[3]), 400),
    "old version": (ask("GET", "/", *HANDSHAKE[:2], ("Sec-WebSocket-Version", "8"), HANDSHAKE[3]), 400),
    "protocols that are none": (ask("GET", "/", *HANDSHAKE, ("Sec-WebSocket-Protocol", "a b;,;")), 400),
    "two origins": (ask("GET", "/", *HANDSHAKE, ("Origin", "http://a"), ("Origin", "http://b")), 400),
    "POST": (ask("POST", "/", *HANDSHAKE), 405),
    "body": (ask("POST", "/", *HANDSHAKE, body=b"{}"), 400),
    "body later": (ask("GET", "/", *HANDSHAKE, ("Content-Length", "2")), 400),
    "chunked body later": (ask("GET", "/", *HANDSHAKE, ("Transfer-Encoding", "chunked")), 400),
    "frame at once": (ask("GET", "/", *HANDSHAKE) + b"\x81\x80abcd", 400),
    "long field": (ask("GET", "/", *HANDSHAKE, ("Cookie", "x" * 9000)), 431),
    "many fields": (ask("GET", "/", *HANDSHAKE, *[("A", "b")] * 200), 431),
    "long target": (ask("GET", "/" + "x" * 9000, *HANDSHAKE), 414),
    "more than any head may have": (ask("GET", "/", *HANDSHAKE, ("Cookie", "x" * 70_000)), 431),
    "target that is not ASCII": (ask("GET", "/ä", *HANDSHAKE), 400),
    "no target": (b"GET  HTTP/1.1\r\n\r\n", 400),
}


@on_both_loops
async def test_a_handshake_that_is_none_is_refused(caplog: pytest.LogCaptureFixture) -> None:
    room = Room()
    async with serving(room) as running:
        for name, (request, expected) in BAD.items():
            async with await running.connect() as client:
                await client.send(request)
                status, fields = await client.head()
                assert (name, status) == (name, expected)
                assert len(await client.body(fields)) < 500
                assert await client.rest() == b""
                await running.until_open(0)
        assert not room.scopes
        assert not room.http
        assert not complaints(caplog)


@on_both_loops
async def test_damaged_handshakes_never_break_anything(caplog: pytest.LogCaptureFixture) -> None:
    room = Room()
    dice = random.Random(5)
    whole = ask("GET", "/a?b=c", *HANDSHAKE, ("Sec-WebSocket-Extensions", "permessage-deflate"), ("Origin", "http://a"))
    async with serving(room) as running:
        statuses = set()
        for _ in range(300):
            damaged = bytearray(whole)
            for _ in range(dice.randint(1, 3)):
                damaged[dice.randrange(len(damaged) - 4)] = dice.randrange(256)
            async with await running.connect() as client:
                await client.send(bytes(damaged) + b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
                statuses.add((await client.head())[0])
        assert statuses <= {101, 200, 400, 405, 414, 426, 431}
        assert {200, 400} <= statuses
        await running.until_open(0)
        await until(lambda: room.ended == len(room.scopes))
        assert not complaints(caplog)


@on_both_loops
async def test_frames_ahead_of_the_accept_end_the_connection(caplog: pytest.LogCaptureFixture) -> None:
    go = asyncio.Event()
    messages = []

    async def app(_: Scope, receive: Receive, send: Send) -> None:
        assert (await receive())["type"] == "websocket.connect"
        await go.wait()
        messages.append(await receive())

    async with serving(app) as running, await running.connect() as client:
        await client.send(ask("GET", "/", *HANDSHAKE))
        await running.until_open(1)
        await client.send(b"\x81\x80abcd" * 10)
        await running.until_open(0)
        go.set()
        await until(lambda: messages)
        assert messages == [{"type": "websocket.disconnect", "code": 1006}]
    assert not complaints(caplog)


OTHER_OFFERS: dict[str, bytes] = {
    "h2c": ask("GET", "/", ("Connection", "Upgrade, HTTP2-Settings"), ("Upgrade", "h2c"), ("HTTP2-Settings", "AA")),
    "h2c with a body": ask("POST", "/", ("Connection", "Upgrade"), ("Upgrade", "h2c"), body=b"{}"),
    "one of several": ask("GET", "/", HANDSHAKE[0], ("Upgrade", "h2c, websocket"), *HANDSHAKE[2:]),
    "without Connection": ask("GET", "/", *HANDSHAKE[1:]),
    "HTTP/1.0": ask("GET", "/", *HANDSHAKE).replace(b"HTTP/1.1", b"HTTP/1.0"),
}


@on_both_loops
async def test_other_offers_are_ordinary_requests() -> None:
    room = Room()
    async with serving(room) as running:
        for number, (name, offer) in enumerate(OTHER_OFFERS.items(), 1):
            async with await running.connect() as client:
                status, _, body = await client.exchange(offer)
                assert (name, status, body) == (name, 200, b"ok")
                assert len(room.http) == number
        assert not room.scopes


@on_both_loops
async def test_a_handshake_behind_an_unanswered_request_is_an_ordinary_request() -> None:
    room = Room()
    async with serving(room) as running, await running.connect() as client:
        await client.send(ask("GET", "/wait") + ask("GET", "/", *HANDSHAKE))
        await until(lambda: room.http)
        room.go.set()
        for _ in range(2):
            status, fields = await client.head()
            assert (status, await client.body(fields)) == (200, b"ok")


@on_both_loops
async def test_a_buffer_that_is_full_already_is_known_to_be() -> None:
    """The answer to the request before the handshake has not been read."""
    room = Room()
    async with serving(room) as running:
        client = await running.connect(receive_buffer=16_384)
        await client.send(ask("GET", "/large"))
        await client.head()
        await client.send(ask("GET", "/", *HANDSHAKE))
        await until(lambda: room.asked)
        assert not room.scopes
        assert len(await client.reader.readexactly(LARGE)) == LARGE
        assert (await client.head())[0] == 101


@on_both_loops
async def test_a_connection_counts_once_before_and_behind_the_handshake() -> None:
    room = Room()
    async with serving(room) as running:
        async with await running.connect() as client:
            assert (await client.exchange(ask("GET", "/")))[0] == 200
            assert running.connections.on(running.port) == 1
            await client.send(ask("GET", "/", *HANDSHAKE))
            assert (await client.head())[0] == 101
            assert running.connections.on(running.port) == 1
        await running.until_open(0)


@on_both_loops
async def test_the_timers_of_http_end_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_protocol, "HEAD_LIMIT_SECONDS", 0.1)
    room = Room()
    async with serving(room) as running:
        client = await running.open_websocket()
        silent = await running.connect()
        assert await silent.rest() == b""  # its time is over, and that of the other would be
        room.scope["write"](text_frame(b"still there"))
        assert await client.text() == b"still there"


@pytest.fixture
def quick_pings(monkeypatch: pytest.MonkeyPatch) -> None:
    quick: Callable[..., ListenerConfig] = partial(ListenerConfig, ws_ping_interval=0.05, ws_ping_timeout=0.1)
    monkeypatch.setattr(listeners, "ListenerConfig", quick)


@pytest.mark.usefixtures("quick_pings")
@on_both_loops
async def test_a_client_that_answers_pings_stays_and_others_go() -> None:
    room = Room()
    async with serving(room) as running, dial(running) as lively:
        dead = await running.open_websocket()
        assert (await dead.read())[0] is Opcode.PING
        assert await dead.close_code() == 1011
        await running.until_open(1)
        room.scopes[0]["write"](text_frame(b"hello"))
        assert await lively.recv() == "hello"


@pytest.mark.usefixtures("quick_pings")
@on_both_loops
async def test_a_client_that_takes_nothing_does_not_linger() -> None:
    """To close properly would be to wait until it has read what was sent before."""
    room = Room()
    async with serving(room) as running:
        client = await running.open_websocket(receive_buffer=16_384)
        await until(lambda: room.scopes)
        while room.scope["write"](CHUNK):
            await asyncio.sleep(0)
        await running.until_open(0)
        await until(lambda: room.ended == 1)
        client.raw.abort()


@on_both_loops
async def test_clients_that_break_the_rules(caplog: pytest.LogCaptureFixture) -> None:
    room = Room()
    breaks = [(Opcode.TEXT, b"\xff\xfe", 1007), (Opcode.CONT, b"x", 1002), (Opcode.CLOSE, b"x", 1002)]
    async with serving(room) as running:
        for opcode, payload, code in breaks:
            client = await running.open_websocket()
            await client.send(opcode, payload)
            assert await client.close_code() == code
            await running.until_open(0)
        await until(lambda: room.ended == len(breaks))
        assert not complaints(caplog)


@on_both_loops
async def test_text_that_is_none_ahead_of_the_end(caplog: pytest.LogCaptureFixture) -> None:
    """Both in one segment."""
    room = Room()
    async with serving(room) as running:
        client = await running.open_websocket()
        await client.raw.send(b"\x81\x81\0\0\0\0\xff" + b"\x88\x80\0\0\0\0")
        assert (await client.read())[0] is Opcode.CLOSE
        await running.until_open(0)
        assert not complaints(caplog)


@on_both_loops
async def test_the_size_of_a_message_is_limited() -> None:
    room = Room()
    async with serving(room) as running:
        client = await running.open_websocket()
        await client.send(Opcode.TEXT, b"x" * MESSAGE_LIMIT_BYTES)
        await until(lambda: room.messages)
        assert len(room.messages[0]["text"]) == MESSAGE_LIMIT_BYTES
        await client.send(Opcode.BINARY, b"x" * MESSAGE_LIMIT_BYTES, fin=False)
        await client.raw.send(b"\x80\x81")  # the next part has one byte: it need not come
        assert await client.close_code() == 1009


def protocol_of(room: Room) -> SharedFrameProtocol:
    """What serves the only WebSocket."""
    protocol = room.scope["write"].__self__
    assert isinstance(protocol, SharedFrameProtocol)
    return protocol


@pytest.fixture
def frames(monkeypatch: pytest.MonkeyPatch) -> list[Frame]:
    """Every frame that is taken out of what clients say."""
    taken: list[Frame] = []
    receive = Protocol.recv_frame

    def note(self: Protocol, frame: Frame) -> None:
        taken.append(frame)
        receive(self, frame)

    monkeypatch.setattr(Protocol, "recv_frame", note)
    return taken


def test_an_allowance() -> None:
    frames, size = Allowance(), Allowance()
    assert all(frames.take(1, 6, now=100.0) for _ in range(ALLOWED_FRAMES))
    assert not frames.take(1, 6, now=100.0 + ALLOWANCE_SECONDS / 2)
    assert frames.take(ALLOWED_FRAMES, 6, now=100.0 + ALLOWANCE_SECONDS)
    assert size.take(1, ALLOWED_BYTES, now=0.0)
    assert not size.take(0, 1, now=1.0)
    size.allow(frames=3, size_bytes=ALLOWED_BYTES + 2)
    assert size.take(1, 1, now=1.0)
    assert not size.take(2, 0, now=1.0)


@on_both_loops
async def test_a_client_that_uses_its_allowance_up() -> None:
    room = Room()
    async with serving(room) as running:
        client = await running.open_websocket()
        for number in range(ALLOWED_FRAMES - 1):
            await client.send(Opcode.PONG, b"%d" % number)
        await client.send(Opcode.PING, b"still there")
        assert await client.read() == (Opcode.PONG, b"still there")
        await client.send(Opcode.PONG)
        assert await client.close_code() == 1008
        await until(lambda: room.ended)
        assert room.messages == [{"type": "websocket.disconnect", "code": 1008, "reason": "too many frames"}]


@pytest.mark.parametrize("opcode", [Opcode.PONG, Opcode.PING, Opcode.TEXT])
@on_both_loops
async def test_a_flood_is_not_taken_apart(frames: list[Frame], opcode: Opcode) -> None:
    """A million bytes of the smallest frames, which come in segments of up to 256 KiB."""
    room = Room()
    async with serving(room) as running:
        client = await running.open_websocket()
        client.raw.writer.write(Frame(opcode, b"").serialize(mask=True) * 170_000)
        await running.until_open(0)
        await until(lambda: room.ended)
    assert ALLOWED_FRAMES < len(frames) <= ALLOWED_FRAMES + SLICE_BYTES // 6 + 1


@on_both_loops
async def test_many_bytes_in_few_frames_are_too_much_as_well(frames: list[Frame]) -> None:
    room = Room()
    async with serving(room) as running:
        client = await running.open_websocket()
        client.raw.writer.write(Frame(Opcode.TEXT, b"x" * 65_000).serialize(mask=True) * 20)
        await running.until_open(0)
        await until(lambda: room.ended)
    assert len(frames) == ALLOWED_BYTES // 65_000


@on_both_loops
async def test_parts_of_a_message_do_not_pile_up() -> None:
    room = Room()
    async with serving(room) as running:
        client = await running.open_websocket()
        await until(lambda: room.scopes)
        await client.send(Opcode.TEXT, b"a", fin=False)
        for part in (b"", b"b", b"") * 30:
            await client.send(Opcode.CONT, part, fin=False)
        await client.send(Opcode.PING)
        assert await client.read() == (Opcode.PONG, b"")
        assert protocol_of(room).frames == [b"a" + b"b" * 30]
        await client.send(Opcode.CONT, b"c")
        await until(lambda: room.messages)
        assert room.messages == [{"type": "websocket.receive", "text": "a" + "b" * 30 + "c"}]
        assert protocol_of(room).frames == []


@on_both_loops
async def test_pongs_do_not_pile_up_for_a_client_that_takes_nothing() -> None:
    room = Room()
    async with serving(room) as running:
        client = await running.open_websocket(receive_buffer=16_384)
        await until(lambda: room.scopes)
        while room.scope["write"](CHUNK):
            await asyncio.sleep(0)
        transport = protocol_of(room).transport
        before = transport.get_write_buffer_size()
        ping = Frame(Opcode.PING, b"x" * 125).serialize(mask=True)
        for _ in range(ALLOWED_FRAMES):
            await client.raw.send(ping)
        await until(lambda: transport.get_write_buffer_size() > before)
        client.raw.writer.write(ping * 10_000)
        largest = 0
        while running.connections.on(running.port):
            largest = max(largest, transport.get_write_buffer_size())
            await asyncio.sleep(0)
        assert largest - before <= (ALLOWED_FRAMES + SLICE_BYTES // 131 + 2) * 127
        await until(lambda: room.ended)


@on_both_loops
async def test_the_stop_tells_clients_and_applications(caplog: pytest.LogCaptureFixture) -> None:
    room = Room()
    async with serving(room) as running:
        clients: list[ClientConnection] = [await dial(running) for _ in range(5)]
        await until(lambda: len(room.scopes) == 5)
        assert await running.stop() < 1.0
        for client in clients:
            with pytest.raises(ConnectionClosedError):
                await client.recv()
            assert client.close_code == 1012
        assert room.ended == 5
        assert room.messages == [{"type": "websocket.disconnect", "code": 1012}] * 5
    assert not complaints(caplog)


@on_both_loops
async def test_clients_that_take_nothing_do_not_hold_up_the_stop(caplog: pytest.LogCaptureFixture) -> None:
    """One has said goodbye already, and has not read the answer either."""
    room = Room()
    async with serving(room) as running:
        clients = [await running.open_websocket(receive_buffer=16_384) for _ in range(2)]
        await until(lambda: len(room.scopes) == 2)
        for scope in room.scopes:
            while scope["write"](CHUNK):
                await asyncio.sleep(0)
        await clients[0].send(Opcode.CLOSE)
        await until(lambda: room.messages)
        assert await running.stop() < 1.0
        assert room.ended == 2
        for client in clients:
            client.raw.abort()
    assert not complaints(caplog)


@pytest.fixture
def restored_logging() -> Iterator[None]:
    root = logging.getLogger()
    before = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = before[0], before[1]


@pytest.mark.usefixtures("restored_logging")
@pytest.mark.parametrize("level", ["debug", "info", "warning", "error"])
@on_both_loops
async def test_nothing_of_it_is_logged(level: str) -> None:
    """Paths have queries, and queries have secrets."""
    stream = io.StringIO()
    logs.configure(level, "json", stream)
    async with serving(Room()) as running:
        async with dial(running, "/live?token=secret", additional_headers={"X-Api-Key": "secret"}) as client:
            await client.send("secret")
            await (await client.ping(b"secret"))
        async with await running.connect() as bad:
            await bad.send(ask("POST", "/live?token=secret", *HANDSHAKE))
            await bad.rest()
        await running.until_open(0)
    # The client of this test writes to the same log.
    ours = [line for line in stream.getvalue().splitlines() if '"websockets.client"' not in line]
    assert all("secret" not in line and "WebSocket" not in line for line in ours)
    assert all('"logger": "exporter.' in line for line in ours)
