"""The WebSocket, over the real server."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from itertools import pairwise
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus
from websockets.frames import Opcode

from exporter.api.synapse import stream
from exporter.api.synapse.stream import next_turn
from exporter.record import Complexity
from exporter.system.availability import Availability
from exporter.tasks import Supervisor
from tests.api.synapse.desk import Desk, RealClock, decision
from tests.api.synapse.strict import check_error, check_update, read
from tests.proxy.harness import ask
from tests.serving import Serving, on_both_loops, serving, until

PATH = "/api/metrics/ws"
MESSAGES = 300
"""More than the buffers of one connection hold: 5 MB."""


class Counted:
    """How often the figures were looked at: once for each message that was made."""

    def __init__(self) -> None:
        self.looks = 0

    def __call__(self) -> int:
        self.looks += 1
        return self.looks


class CountedClock(RealClock):
    """How often the time was asked for: a loop that waits for a moment does that."""

    def __init__(self) -> None:
        super().__init__()
        self.looks = 0

    def __call__(self) -> float:
        self.looks += 1
        return super().__call__()


@contextlib.asynccontextmanager
async def streaming(desk: Desk) -> AsyncIterator[Serving]:
    """The room as the sidecar runs it."""
    supervisor = Supervisor()
    for name, work in desk.room.work.items():
        supervisor.start(name, work)
    try:
        async with serving(desk.app, on_stop=desk.room.close) as running:
            yield running
        assert supervisor.restarts == {"synapse_ticks": 0}
    finally:
        await supervisor.stop()


def client(running: Serving, path: str = PATH, **options: Any) -> connect:
    return connect(f"ws://127.0.0.1:{running.port}{path}", proxy=None, **options)


async def message(socket: ClientConnection) -> Any:
    text = await asyncio.wait_for(socket.recv(), 10)
    assert isinstance(text, str)
    return read(text)


async def refusal(running: Serving, **options: Any) -> Any:
    """The response to a handshake that fails."""
    with pytest.raises(InvalidStatus) as caught:
        await client(running, **options)
    return caught.value.response


@on_both_loops
async def test_one_at_once_and_one_a_second() -> None:
    clock = asyncio.get_running_loop().time
    async with streaming(Desk(clock=RealClock())) as running, client(running) as socket:
        began = clock()
        arrivals = []
        for _ in range(4):
            check_update(await message(socket))
            arrivals.append(clock() - began)
    assert arrivals == pytest.approx([0, 1, 2, 3], abs=0.4)


async def test_the_beat_does_not_drift() -> None:
    """Making a message takes time, which is no part of the period."""

    def work() -> Mapping[str, Availability]:
        until_then = clock() + 0.03
        while clock() < until_then:
            pass
        return {}

    clock = asyncio.get_running_loop().time
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stream, "PERIOD_SECONDS", 0.1)
        desk = Desk(clock=RealClock(), availability=work)
        async with streaming(desk) as running, client(running) as socket:
            await message(socket)
            began = clock()
            for _ in range(20):
                await message(socket)
            elapsed = clock() - began
    assert elapsed == pytest.approx(2.0, abs=0.45)  # with drift it would be 2.6


@pytest.mark.parametrize(
    ("turn", "periods", "following"), [(1, 1.0003, 2), (1, 0.9997, 2), (1, 1.97, 2), (1, 2.01, 3), (5, 9.5, 10)]
)
def test_turns(turn: int, periods: float, following: int) -> None:
    """Never twice the same, however early the timer; those that were missed are gone."""
    assert next_turn(turn, periods) == following


async def test_it_says_what_the_documents_say() -> None:
    desk = Desk()
    for tier in ("Q2", "Q2", "Q4", "Q8"):
        desk.serve(tier=tier)
        desk.live.record_decision(tier, decision(Complexity.SIMPLE, tier))
    desk.clock.now += 10
    async with streaming(desk) as running, client(running) as socket:
        first, second = await message(socket), await message(socket)
        for update in (first, second):
            for name in ("queries", "resources", "routing"):
                assert update[name] == await desk.read(name)
    assert first["queries"]["queryRate"][-1] == 0.4


async def test_many_readers_cost_one_message_a_second() -> None:
    counted = Counted()
    desk = Desk(clock=RealClock(), max_readers=100, connections=counted)
    async with streaming(desk) as running, contextlib.AsyncExitStack() as stack:
        clock = asyncio.get_running_loop().time
        began = clock()
        sockets = [await stack.enter_async_context(client(running)) for _ in range(100)]
        assert desk.room.readers() == 100
        firsts = await asyncio.gather(*(socket.recv() for socket in sockets))
        assert 1 <= len(set(firsts)) <= counted.looks
        heard: set[Any] = set()
        while len(heard) < 3:
            every = set(await asyncio.gather(*(asyncio.wait_for(socket.recv(), 10) for socket in sockets)))
            heard |= every
        assert counted.looks <= clock() - began + 2
        readers = [task for task in asyncio.all_tasks() if "run_asgi" in repr(task.get_coro())]
        assert len(readers) == 100
    assert desk.room.readers() == 0


async def test_who_comes_between_is_given_the_last_one() -> None:
    counted = Counted()
    desk = Desk(connections=counted)  # its clock stands still
    async with streaming(desk) as running, client(running) as early:
        first = await message(early)
        async with client(running) as late:
            assert await message(late) == first
        assert counted.looks == 1
        desk.clock.now += 1
        async with client(running) as later:
            assert (await message(later))["timestamp"] > first["timestamp"]


async def test_nothing_is_made_for_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "PERIOD_SECONDS", 0.01)
    counted = Counted()
    clock = CountedClock()
    desk = Desk(clock=clock, connections=counted)
    async with streaming(desk) as running:
        await asyncio.sleep(0.05)
        assert counted.looks == 0
        assert clock.looks <= 1  # when the read-models were made
        async with client(running) as socket:
            await message(socket)
            await until(lambda: counted.looks > 3)
        await until(lambda: desk.room.readers() == 0)
        await asyncio.sleep(0.05)
        looks = counted.looks, clock.looks
        await asyncio.sleep(0.1)
        assert (counted.looks, clock.looks) == looks
        async with client(running) as socket:
            for _ in range(3):
                await message(socket)


async def test_who_cannot_take_more_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """And hears the newest when it can; nobody else notices."""
    monkeypatch.setattr(stream, "PERIOD_SECONDS", 0.001)
    counted = Counted()
    tiers = tuple(f"{number:064}" for number in range(32))  # 18 KB each
    desk = Desk(clock=RealClock(), connections=counted, tiers=tiers)
    async with streaming(desk) as running, client(running, max_queue=None) as brisk:
        slow = await running.open_websocket(PATH, receive_buffer=16_384)
        heard = [number_of(await message(brisk))]
        while heard[-1] < MESSAGES:
            heard.append(number_of(await message(brisk)))
        missed = [0]
        while missed[-1] < MESSAGES:
            missed.append(number_of(read(await slow.text())))
    assert heard[1:] == list(range(heard[1], heard[1] + len(heard) - 1))
    steps = [after - before for before, after in pairwise(missed[1:])]
    assert min(steps) == 1
    assert max(steps) > MESSAGES / 4


def number_of(update: Any) -> int:
    """As `Counted` gives it."""
    number = update["resources"]["activeConnections"]
    assert type(number) is int
    return number


async def test_no_more_than_may() -> None:
    desk = Desk(max_readers=2)
    async with streaming(desk) as running, client(running) as one, client(running):
        response = await refusal(running, additional_headers={"X-Request-ID": "mine"})
        document = read(response.body)
        check_error(document)
        assert (response.status_code, document["error"]) == (503, "ServiceUnavailable")
        assert "live.max_readers" in document["message"]
        assert response.headers["X-Request-ID"] == "mine"
        await one.close()
        await until(lambda: desk.room.readers() == 1)
        async with client(running) as third:
            check_update(await message(third))


async def test_nobody_may() -> None:
    async with streaming(Desk(max_readers=0)) as running:
        assert (await refusal(running)).status_code == 503


async def test_those_who_are_gone_do_not_count() -> None:
    desk = Desk()
    async with streaming(desk) as running:
        async with client(running) as polite:
            await message(polite)
            rude = await running.open_websocket(PATH)
            await until(lambda: desk.room.readers() == 2)
            rude.raw.reset()
            await until(lambda: desk.room.readers() == 1)
        await until(lambda: desk.room.readers() == 0)


@on_both_loops
async def test_the_end() -> None:
    """1012, service restart: clients of the real pages come back after any code but 1000."""
    desk = Desk()
    async with streaming(desk) as running, client(running) as socket:
        await message(socket)
        silent = await running.open_websocket(PATH)
        await silent.text()
        assert await running.stop() < 2
        await asyncio.wait_for(socket.wait_closed(), 5)
        assert socket.close_code == 1012
        assert await silent.close_code() == 1012
        assert desk.room.readers() == 0


async def test_nobody_comes_in_when_it_is_about_to_stop() -> None:
    """The server stops listening a little later."""
    desk = Desk()
    async with streaming(desk) as running, client(running) as socket:
        await message(socket)
        desk.room.close()
        assert desk.room.readers() == 0
        assert (await refusal(running)).status_code == 503


async def test_what_clients_say_is_dropped() -> None:
    async with streaming(Desk(clock=RealClock())) as running, client(running) as socket:
        for said in ('{"type":"ping"}', b"\x00\xff", "x" * 60_000):
            await socket.send(said)
        await asyncio.wait_for(await socket.ping(), 5)
        for _ in range(2):
            check_update(await message(socket))


async def test_handshakes_without_a_key() -> None:
    async with streaming(Desk(keys=("k",))) as running:
        response = await refusal(running)
        check_error(read(response.body))
        assert (response.status_code, read(response.body)["error"]) == (401, "Unauthorized")
        async with client(running, additional_headers={"x-api-key": "k"}) as socket:
            check_update(await message(socket))


async def test_handshakes_of_foreign_pages() -> None:
    async with streaming(Desk(origins=())) as running:
        response = await refusal(running, origin="https://page.example")
        check_error(read(response.body))
        assert response.status_code == 403
        async with client(running, origin=f"http://127.0.0.1:{running.port}") as own:
            check_update(await message(own))


async def test_the_handshake_says_which_request_it_answers() -> None:
    async with streaming(Desk()) as running:
        async with client(running, additional_headers={"X-Request-ID": "mine"}) as socket:
            assert socket.response is not None
            assert socket.response.headers["X-Request-ID"] == "mine"
        async with client(running) as socket:
            assert socket.response is not None
            assert len(socket.response.headers["X-Request-ID"]) == 36


@pytest.mark.parametrize(("method", "status"), [("GET", 426), ("HEAD", 426), ("POST", 405), ("DELETE", 405)])
async def test_plain_requests(method: str, status: int) -> None:
    async with streaming(Desk()) as running, await running.connect() as raw:
        for _ in range(2):  # the connection lives on
            await raw.send(ask(method, PATH))
            answered, fields = await raw.head()
            assert answered == status
            headers = {name.lower().decode(): value.decode() for name, value in fields}
            assert headers["x-request-id"]
            assert (headers.get("upgrade") == "websocket") == (status == 426)
            assert headers.get("allow") == ("GET, HEAD" if status == 405 else None)
            if method != "HEAD":
                check_error(read(await raw.body(fields)))


async def test_figures_that_cannot_be_had(caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> int:
        raise RuntimeError("no figures")

    desk = Desk(connections=fail)
    async with streaming(desk) as running:
        assert (await refusal(running)).status_code == 500
        assert desk.room.readers() == 0
    assert "no figures" in caplog.text


async def test_a_socket_reads_frames_of_text() -> None:
    async with streaming(Desk()) as running:
        socket = await running.open_websocket(PATH)
        opcode, payload = await socket.read()
        assert opcode is Opcode.TEXT
        check_update(read(payload))
