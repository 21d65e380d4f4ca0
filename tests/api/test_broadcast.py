"""One piece for all readers: in order, the last state for everybody, and nobody held up by anybody."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Callable
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter import listeners
from exporter.api import broadcast as broadcast_module
from exporter.api.broadcast import Broadcast, Subscription, stream_events, stream_frames
from exporter.asgi import Receive, Scope, Send
from exporter.http_protocol import ListenerConfig
from exporter.websocket_protocol import text_frame
from tests.proxy.harness import RawClient, ask
from tests.serving import Serving, on_both_loops, on_our_loop, serving, until


class Reader:
    """A connection whose buffer holds `room` pieces before it is full."""

    def __init__(self, room: int = 1_000_000) -> None:
        self.room = room
        self.got: list[bytes] = []
        self.waiting = 0
        self.callback: Callable[[], None] | None = None
        self.aborted = 0
        self.was_slow = False
        self.fails = False
        self.subscription: Subscription | None = None

    def write(self, piece: bytes) -> bool:
        if self.fails:
            raise OSError("no such connection")
        self.got.append(piece)
        self.waiting += 1
        self.was_slow |= self.waiting >= self.room
        return self.waiting < self.room

    def on_drain(self, callback: Callable[[], None] | None) -> None:
        self.callback = callback

    def abort(self) -> None:
        self.aborted += 1

    def drain(self) -> None:
        was_full, self.waiting = self.waiting >= self.room, 0
        if was_full and self.callback is not None:
            self.callback()

    def join(self, broadcast: Broadcast, first: bytes | None = None) -> Subscription:
        self.subscription = broadcast.join(self.write, self.on_drain, self.abort, first)
        assert self.subscription is not None
        return self.subscription


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


async def test_everybody_gets_everything_from_when_they_joined() -> None:
    broadcast = Broadcast(10)
    early, late = Reader(), Reader()
    early.join(broadcast)
    await broadcast.publish(b"1")
    late.join(broadcast, b"first")
    await broadcast.publish(b"2")
    await broadcast.publish(b"3", keep=False)
    assert early.got == [b"1", b"2", b"3"]
    assert late.got == [b"first", b"2", b"3"]
    assert len(broadcast) == 2


async def test_a_slow_reader_is_passed_over_and_ends_at_the_last_state() -> None:
    broadcast = Broadcast(10)
    slow, fast = Reader(room=2), Reader()
    for reader in (slow, fast):
        reader.join(broadcast)
    for number in range(6):
        await broadcast.publish(b"%d" % number)
        await broadcast.publish(b"beat", keep=False)
    assert slow.got == [b"0", b"beat"]
    slow.drain()
    assert slow.got == [b"0", b"beat", b"5"]
    slow.drain()
    assert slow.got == [b"0", b"beat", b"5"]
    await broadcast.publish(b"6")
    slow.drain()
    assert slow.got == [b"0", b"beat", b"5", b"6"]
    assert len(fast.got) == 13


async def test_a_first_piece_can_be_too_much_already() -> None:
    broadcast = Broadcast(10)
    slow = Reader(room=1)
    slow.join(broadcast, b"first")
    await broadcast.publish(b"1")
    await broadcast.publish(b"2")
    assert slow.got == [b"first"]
    slow.drain()
    assert slow.got == [b"first", b"2"]


async def test_heartbeats_are_not_for_slow_readers() -> None:
    broadcast = Broadcast(10)
    slow = Reader(room=1)
    slow.join(broadcast)
    await broadcast.publish(b"1")
    await broadcast.publish(b"beat", keep=False)
    slow.drain()
    assert slow.got == [b"1"]


async def test_there_is_a_limit() -> None:
    broadcast = Broadcast(2)
    readers = [Reader() for _ in range(3)]
    subscriptions = [broadcast.join(each.write, each.on_drain, each.abort) for each in readers]
    assert [each is None for each in subscriptions] == [False, False, True]
    assert readers[2].callback is None
    assert broadcast.is_full
    assert subscriptions[0] is not None
    for _ in range(2):
        subscriptions[0].leave()
    assert (len(broadcast), broadcast.is_full) == (1, False)
    assert readers[0].callback is None
    await asyncio.wait_for(subscriptions[0].ended(), 1)
    readers[2].join(broadcast)
    await broadcast.publish(b"1")
    assert [each.got for each in readers] == [[], [b"1"], [b"1"]]


async def test_a_reader_that_stalls_is_cut_off() -> None:
    clock = Clock()
    broadcast = Broadcast(10, stall_seconds=60.0, clock=clock)
    stalled, lazy = Reader(room=1), Reader(room=1)
    subscription = stalled.join(broadcast)
    lazy.join(broadcast)
    await broadcast.publish(b"1")
    clock.now = 59.0
    lazy.drain()
    await broadcast.publish(b"2")
    assert (stalled.aborted, lazy.aborted, len(broadcast)) == (0, 0, 2)
    clock.now = 60.1
    await broadcast.publish(b"3", keep=False)
    assert (stalled.aborted, lazy.aborted, len(broadcast)) == (1, 0, 1)
    await asyncio.wait_for(subscription.ended(), 1)
    stalled.drain()
    assert stalled.got == [b"1"]


async def test_a_reader_that_fails_harms_nobody(caplog: pytest.LogCaptureFixture) -> None:
    broadcast = Broadcast(10)
    readers = [Reader() for _ in range(3)]
    for each in readers:
        each.join(broadcast)
    readers[0].fails = True
    await broadcast.publish(b"1")
    await broadcast.publish(b"2")
    assert [each.got for each in readers] == [[], [b"1", b"2"], [b"1", b"2"]]
    assert [each.aborted for each in readers] == [1, 0, 0]
    assert len(broadcast) == 2
    assert len(caplog.records) == 1


async def test_a_turn_of_the_loop_has_room_for_others() -> None:
    broadcast = Broadcast(1000)
    readers = [Reader() for _ in range(1000)]
    for each in readers:
        each.join(broadcast)
    publishing = asyncio.get_running_loop().create_task(broadcast.publish(b"1"))
    before, largest = 0, 0
    while not publishing.done():
        await asyncio.sleep(0)
        served = sum(len(each.got) for each in readers)
        largest, before = max(largest, served - before), served
    assert before == 1000
    assert largest == broadcast_module.READERS_PER_TURN


async def test_publishing_waits_for_readers() -> None:
    broadcast = Broadcast(10)
    waiting = asyncio.get_running_loop().create_task(broadcast.wanted())
    await asyncio.sleep(0)
    assert not waiting.done()
    subscription = Reader().join(broadcast)
    await asyncio.wait_for(waiting, 1)
    await asyncio.wait_for(broadcast.wanted(), 1)
    subscription.leave()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(broadcast.wanted(), 0.01)


async def test_a_reader_that_came_and_went_is_not_wanted_for() -> None:
    broadcast = Broadcast(10)
    waiting = asyncio.get_running_loop().create_task(broadcast.wanted())
    await asyncio.sleep(0)
    Reader().join(broadcast).leave()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not waiting.done()
    Reader().join(broadcast)
    await asyncio.wait_for(waiting, 1)


async def test_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(broadcast_module, "LAST_PIECE_SECONDS", 0.01)
    broadcast = Broadcast(10)
    readers = [Reader(), Reader(room=1)]
    subscriptions = [each.join(broadcast) for each in readers]
    await broadcast.publish(b"1")
    broadcast.close()
    for each in subscriptions:
        await asyncio.wait_for(each.ended(), 1)
        each.leave()
    await broadcast.publish(b"2")
    readers[1].drain()
    assert [each.got for each in readers] == [[b"1"], [b"1"]]
    assert (len(broadcast), broadcast.is_full) == (0, True)
    assert broadcast.join(readers[0].write, readers[0].on_drain, readers[0].abort) is None
    assert [each.aborted for each in readers] == [0, 0]
    await until(lambda: [each.aborted for each in readers] == [1, 1])


async def test_older_pieces_on_their_way_are_not_for_who_joins_now() -> None:
    """What it was given first may be newer."""
    broadcast = Broadcast(1000)
    for _ in range(100):
        Reader().join(broadcast)
    loop = asyncio.get_running_loop()
    publishing = [loop.create_task(broadcast.publish(piece)) for piece in (b"1", b"2")]
    await asyncio.sleep(0)
    late = Reader(room=1)
    late.join(broadcast, b"first")
    late.drain()
    await asyncio.gather(*publishing)
    await broadcast.publish(b"3")
    assert late.got == [b"first", b"3"]


async def test_a_piece_is_not_overtaken_where_many_leave() -> None:
    broadcast = Broadcast(1000)
    readers = [Reader() for _ in range(100)]
    for each in readers:
        each.join(broadcast)
    loop = asyncio.get_running_loop()
    publishing = [loop.create_task(broadcast.publish(b"1"))]
    await asyncio.sleep(0)
    leaving = readers[:40] + readers[50:90]
    for each in leaving:
        assert each.subscription is not None
        each.subscription.leave()
    publishing.append(loop.create_task(broadcast.publish(b"2")))
    await asyncio.gather(*publishing)
    stayed = [each for each in readers if each not in leaving]
    assert [each.got for each in stayed] == [[b"1", b"2"]] * 20
    assert [each.got for each in leaving] == [[b"1"]] * 32 + [[]] * 48


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("publish"), st.booleans()),
        st.tuples(st.just("join"), st.integers(1, 4)),
        st.tuples(st.sampled_from(["leave", "drain", "fail"]), st.integers(0, 20)),
        st.tuples(st.just("turn"), st.integers(1, 3)),
    ),
    max_size=60,
)


@settings(max_examples=400, deadline=None)
@given(steps=STEPS)
def test_whatever_happens_in_whatever_order(steps: list[tuple[str, int]]) -> None:
    with asyncio.Runner() as runner, pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(broadcast_module, "READERS_PER_TURN", 2)
        monkeypatch.setattr(broadcast_module.log, "disabled", True)
        runner.run(play(steps))


async def play(steps: list[tuple[str, int]]) -> None:
    """Do all this, publications among them overtaking one another; nobody may see time go backwards, who keeps up sees
    everything, and everybody ends at the last state."""
    broadcast = Broadcast(1000)
    readers: list[Reader] = []
    joined: dict[Reader, int] = {}
    kept: list[int] = []
    left: set[Reader] = set()
    publishing: list[asyncio.Task[None]] = []
    loop = asyncio.get_running_loop()
    published = 0
    for step, value in [("join", 1000), *steps]:
        if step == "publish":
            published += 1
            if value:
                kept.append(published)
            publishing.append(loop.create_task(broadcast.publish(b"%d" % published, keep=bool(value))))
            await asyncio.sleep(0)  # it has begun
        elif step == "join":
            readers.append(Reader(room=value if value < 4 else 1000))
            joined[readers[-1]] = published
            readers[-1].join(broadcast)
        elif step == "turn":
            for _ in range(value):
                await asyncio.sleep(0)
        elif step == "drain":
            readers[value % len(readers)].drain()
        else:
            reader = readers[value % len(readers)]
            left.add(reader)
            if step == "fail":
                reader.fails = True
            elif reader.subscription is not None:
                reader.subscription.leave()
    await asyncio.gather(*publishing)
    for _ in range(2):
        for reader in readers:
            reader.drain()
    for reader in readers:
        check(reader, joined[reader], published, kept, stayed=reader not in left)


def check(reader: Reader, joined: int, published: int, kept: list[int], *, stayed: bool) -> None:
    got = [int(piece) for piece in reader.got]
    assert got == sorted(set(got))
    assert all(number > joined for number in got)
    if not reader.was_slow:
        complete = list(range(joined + 1, published + 1))
        assert got == (complete if stayed else complete[: len(got)])
    last = max(kept, default=0)
    if stayed and last > joined:
        assert max(set(got) & set(kept)) == last


# Over real sockets


class Rooms:
    """Two broadcasts: frames for WebSockets, events for everybody else; 503 where there is no place."""

    def __init__(self, limit: int = 1000) -> None:
        self.frames = Broadcast(limit)
        self.events = Broadcast(limit)
        self.ended: Counter[str] = Counter()
        self.scopes: list[Scope] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scopes.append(scope)
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.accept"})
            await stream_frames(self.frames, scope, receive, text_frame(b"hello"))
        elif self.events.is_full:
            await send({"type": "http.response.start", "status": 503, "headers": [(b"content-length", b"0")]})
            await send({"type": "http.response.body", "body": b""})
        else:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await stream_events(self.events, scope, send, b"hello")
        self.ended[scope["type"]] += 1

    def close(self) -> None:
        self.frames.close()
        self.events.close()

    async def publish(self, text: bytes) -> None:
        await self.frames.publish(text_frame(text))
        await self.events.publish(text)

    async def until_readers(self, count: int) -> None:
        await until(lambda: len(self.frames) + len(self.events) == count)


async def listen(running: Serving, receive_buffer: int | None = None) -> RawClient:
    """A reader of the event stream that has read the first piece."""
    client = await running.connect(receive_buffer=receive_buffer)
    await client.send(ask("GET", "/events"))
    assert (await client.head())[0] == 200
    assert await client.reader.readexactly(10) == b"5\r\nhello\r\n"
    return client


@on_both_loops
async def test_both_kinds_of_readers() -> None:
    rooms = Rooms()
    async with serving(rooms, on_stop=rooms.close) as running:
        events = await listen(running)
        frames = await running.open_websocket()
        assert await frames.text() == b"hello"
        await rooms.publish(b"1")
        await rooms.publish(b"2")
        assert [await frames.text() for _ in range(2)] == [b"1", b"2"]
        assert await events.reader.readexactly(12) == b"1\r\n1\r\n1\r\n2\r\n"
        events.abort()
        await rooms.until_readers(1)
        frames.raw.reset()
        await rooms.until_readers(0)
        assert rooms.ended == {"http": 1, "websocket": 1}


@on_both_loops
async def test_there_is_no_place() -> None:
    rooms = Rooms(limit=2)
    async with serving(rooms) as running:
        clients = [await listen(running) for _ in range(2)]
        late = await running.connect()
        assert (await late.exchange(ask("GET", "/events")))[0] == 503
        clients[0].abort()
        await rooms.until_readers(1)
        await listen(running)
        frames = [await running.open_websocket() for _ in range(3)]
        assert await frames[2].raw.rest() == b""
        await rooms.until_readers(4)


BLOCK = 40_000


@on_both_loops
async def test_a_reader_that_stops_reads_the_newest_when_it_goes_on() -> None:
    rooms = Rooms()
    numbers = range(1, 401)
    async with serving(rooms, send_buffer=65_536) as running:
        websocket = await running.open_websocket(receive_buffer=16_384)
        stopped = await listen(running, receive_buffer=16_384)
        lively = await running.open_websocket()
        assert await lively.text() == b"hello"
        for number in numbers:
            await rooms.publish(b"%*d" % (BLOCK, number))
            assert int(await lively.text()) == number
            assert max(buffered(each) for each in rooms.scopes) < 65_536 + BLOCK

        assert await websocket.text() == b"hello"
        got = [int(await websocket.text())]
        while got[-1] < numbers[-1]:
            got.append(int(await websocket.text()))
        assert got[:-1] == list(numbers[: len(got) - 1])
        assert len(got) < 100
        of_events: list[int] = []
        async for chunk in stopped.chunks():
            of_events.append(int(chunk))
            if of_events[-1] == numbers[-1]:
                break
        assert of_events == sorted(set(of_events))
        assert len(of_events) < 100
        assert len(rooms.frames) + len(rooms.events) == 3


def buffered(scope: Scope) -> int:
    """Bytes that wait for a reader in our memory."""
    owner = scope["write"].__self__
    transport = getattr(owner, "transport", None) or owner._transport
    size: int = transport.get_write_buffer_size()
    return size


@on_both_loops
async def test_a_stalled_reader_is_cut_off() -> None:
    rooms = Rooms()
    clock = Clock()
    rooms.events = Broadcast(10, clock=clock)
    async with serving(rooms, send_buffer=65_536) as running:
        await listen(running, receive_buffer=16_384)
        while buffered(rooms.scopes[0]) == 0:
            await rooms.publish(bytes(BLOCK))
        for _ in range(3):
            await rooms.publish(bytes(BLOCK))
        clock.now = 61.0
        await rooms.publish(b"")
        assert len(rooms.events) == 0
        await until(lambda: rooms.ended["http"] == 1)
        await running.until_open(0)


@on_both_loops
async def test_the_stop_ends_every_stream(caplog: pytest.LogCaptureFixture) -> None:
    """Also those of clients that read nothing any more, however full their buffers are."""
    rooms = Rooms()
    async with serving(rooms, on_stop=rooms.close, send_buffer=65_536, grace_seconds=10) as running:
        for _ in range(2):  # the first will be full to the brim, the second has just begun to lag behind
            await listen(running, 16_384)
            await running.open_websocket(receive_buffer=16_384)
            while not all(buffered(each) for each in rooms.scopes):
                await rooms.publish(bytes(8000))
        events = [await listen(running) for _ in range(10)]
        frames = [await running.open_websocket() for _ in range(10)]
        await rooms.until_readers(24)
        assert await running.stop() < 1.0
        assert rooms.ended == {"http": 12, "websocket": 12}
        for client in events:
            assert await client.rest() == b"0\r\n\r\n"
        for each in frames:
            assert await each.text() == b"hello"
            assert await each.close_code() == 1012
    assert not [record for record in caplog.records if record.name not in ("exporter.listeners", "uvicorn.error")]


PIECES = 10_000
SIZE = 200


@on_our_loop
async def test_many_pieces_for_readers_of_many_speeds(monkeypatch: pytest.MonkeyPatch) -> None:
    """10,000 in bursts; half of the 50 readers are WebSockets, which answer no pings."""
    monkeypatch.setattr(listeners, "ListenerConfig", partial(ListenerConfig, ws_ping_interval=None))
    rooms = Rooms()
    async with serving(rooms, send_buffer=32_768) as running:
        loop = asyncio.get_running_loop()
        reading = []
        for number in range(50):
            if number % 2:
                websocket = await running.open_websocket(receive_buffer=16_384)
                assert await websocket.text() == b"hello"
                client = websocket.raw
            else:
                client = await listen(running, receive_buffer=16_384)
            reading.append(loop.create_task(read_slowly(client, pause_seconds=(number // 2) ** 2 * 0.0001)))
        for number in range(PIECES):
            await rooms.publish(b"%0*d" % (SIZE, number))
            if number % 100 == 99:
                await asyncio.sleep(0.005)
        missed = []
        for task in reading:
            got = await asyncio.wait_for(task, 60)
            assert got == sorted(set(got))
            assert got[-1] == PIECES - 1
            missed.append(PIECES - len(got))
        assert missed[:4] == [0] * 4
        assert min(missed[-4:]) > 0


async def read_slowly(client: RawClient, pause_seconds: float) -> list[int]:
    """The numbers that arrive, up to the last one."""
    last = b"%0*d" % (SIZE, PIECES - 1)
    received = bytearray()
    piece = b""
    while last not in received[-len(piece) - SIZE :]:
        piece = await client.reader.read(4096 if pause_seconds else 65_536)
        assert piece, "the connection has ended"
        received += piece
        if pause_seconds:
            await asyncio.sleep(pause_seconds)
    return [int(digits) for digits in re.findall(rb"[0-9]{%d}" % SIZE, received)]
