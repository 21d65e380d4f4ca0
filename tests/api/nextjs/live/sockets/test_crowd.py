"""Many clients at once, and those that do not keep up."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from dataclasses import replace
from typing import Any

import pytest
from websockets.frames import Opcode

from exporter.api.nextjs.live.pages import questions
from exporter.api.nextjs.live.sockets import clients, library, server, stream
from exporter.models.model import Kind, Model, Status
from tests.api.nextjs.live.stage import BESIDE, Stage
from tests.api.nextjs.live.talker import HANDSHAKE, Talker, packet, polling, talking
from tests.serving import on_our_loop, until
from tests.turns import counted

CROWD = 500
ENDS = 2
"""What may stand behind all packets: that nothing comes any more."""
LARGE = tuple(Model(f"{number:0200}", Status.STOPPED) for number in range(500))
"""Some 150 KB a list."""


class Measured(clients.Outbox):
    """Remembers how long any of them was."""

    longest = 0

    def put_nowait(self, item: Any) -> None:
        super().put_nowait(item)
        Measured.longest = max(Measured.longest, self.qsize())


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that lets go of slow clients soon."""
    monkeypatch.setattr(server, "STALL_SECONDS", 0.5)
    monkeypatch.setattr(server, "WATCH_SECONDS", 0.05)
    monkeypatch.setattr(clients, "OUTBOX_LIMIT", 8)
    monkeypatch.setattr(stream, "GAP_SECONDS", 0.01)
    monkeypatch.setattr(questions, "PAUSE_SECONDS", 0.0)
    monkeypatch.setattr(library, "Outbox", Measured)
    monkeypatch.setattr(Measured, "longest", 0)


@on_our_loop
async def test_a_crowd() -> None:
    """Everybody hears of every change, from one list that is made once."""
    stage = Stage()
    async with stage.open() as running, contextlib.AsyncExitStack() as stack:

        async def enter(number: int) -> Talker:
            namespace, path = (("/models", "/socket.io/"), ("/", "/llamaproxws"))[number % 2]
            return await stack.enter_async_context(talking(running, namespace, path))

        clients: list[Talker] = []
        for start in range(0, CROWD, 50):
            clients += await asyncio.gather(*(enter(number) for number in range(start, start + 50)))
        assert stage.live.readers() == CROWD
        looks = stage.models.looks
        stage.models.move(Kind.CHANGED, Model("changed", Status.RUNNING))
        await asyncio.gather(*(hear_of(client, "changed") for client in clients))
        assert stage.models.looks - looks <= 2
        assert stage.live.figures().messages_per_second > CROWD / 60
        assert await running.stop() < 10
    assert stage.live.readers() == 0


async def hear_of(client: Talker, name: str) -> None:
    """Wait until the client is told of a model."""
    while f'"{name}"' not in await client.text():
        pass


@on_our_loop
async def test_the_end_is_told_to_all() -> None:
    stage = Stage()
    async with stage.open() as running, contextlib.AsyncExitStack() as stack:
        sockets = [await stack.enter_async_context(talking(running)) for _ in range(100)]
        polls = [await stack.enter_async_context(polling(running)) for _ in range(10)]
        waiting = [asyncio.get_running_loop().create_task(each.get()) for each in polls]
        silent = [await running.open_websocket(f"/socket.io/{HANDSHAKE}") for _ in range(5)]
        await until(lambda: stage.live.readers() == 115)
        assert await running.stop() < 4
        for client in sockets:
            event, told = await client.next()
            assert (event, told["code"], told["reconnect"], told["retryIn"]) == ("error", "CONNECTION_LOST", True, 5000)
            assert await client.closed() == 1012
        for answer in await asyncio.gather(*waiting):
            assert "CONNECTION_LOST" in answer[0]
            assert answer[-1] == "1"
        for each in silent:
            assert (await each.read())[0] is Opcode.TEXT
            assert await each.close_code() == 1012


async def test_nobody_comes_in_when_it_is_about_to_stop() -> None:
    stage = Stage()
    async with stage.open() as running:
        stage.live.close()
        with pytest.raises(AssertionError):
            await running.open_websocket(f"/llamaproxws{HANDSHAKE}")
        assert stage.live.readers() == 0


@pytest.mark.usefixtures("impatient")
@on_our_loop
async def test_a_client_that_reads_nothing_costs_little_and_is_let_go() -> None:
    stage = Stage()
    stage.models.found |= {each.name: each for each in LARGE}
    async with stage.open(send_buffer=65_536) as running, talking(running, "/models") as brisk:
        await brisk.next()
        slow = await running.open_websocket(f"/socket.io/{HANDSHAKE}", receive_buffer=16_384)
        await slow.send(Opcode.TEXT, b"40/models,")
        await until(lambda: stage.live.figures().connections == 2)
        for size in itertools.count():
            if stage.live.readers() < 2:
                break
            stage.models.move(Kind.CHANGED, replace(BESIDE, memory_bytes=size << 20))
            assert (await brisk.next())[0] == "models:update"
        assert Measured.longest <= clients.OUTBOX_LIMIT + ENDS
        assert (await brisk.socket.ping()) is not None


@pytest.mark.usefixtures("impatient")
@on_our_loop
async def test_a_client_that_asks_and_reads_nothing() -> None:
    """Its questions are answered as far as there is room."""
    stage = Stage()
    stage.models.found |= {each.name: each for each in LARGE}
    async with stage.open(send_buffer=65_536) as running:
        rude = await running.open_websocket(f"/llamaproxws{HANDSHAKE}", receive_buffer=16_384)
        await rude.send(Opcode.TEXT, b"40")
        question = packet("request_models").encode()
        async with asyncio.timeout(30):
            with contextlib.suppress(OSError):
                while stage.live.readers() or not stage.models.looks:
                    await rude.send(Opcode.TEXT, question)
                    await asyncio.sleep(0.002)
        await until(lambda: stage.live.readers() == 0)
    assert clients.OUTBOX_LIMIT <= Measured.longest <= clients.OUTBOX_LIMIT + ENDS


@pytest.mark.parametrize("over", ["websocket", "polling"])
async def test_a_client_that_does_not_answer_pings_is_let_go(over: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library, "PING_SECONDS", 0.1)
    monkeypatch.setattr(library, "PONG_SECONDS", 0.2)
    monkeypatch.setattr(server, "WATCH_SECONDS", 0.05)
    stage = Stage()
    async with stage.open() as running:
        if over == "websocket":
            silent = await running.open_websocket(f"/socket.io/{HANDSHAKE}")
            await silent.send(Opcode.TEXT, b"40")
            await until(lambda: stage.live.figures()[:2] == (1, 1))
            await until(lambda: stage.live.readers() == 0)
            while (await silent.read())[0] is not Opcode.CLOSE:
                pass
        else:
            async with polling(running):
                assert stage.live.figures()[:2] == (1, 1)
                await until(lambda: stage.live.readers() == 0)


async def test_clients_that_vanish() -> None:
    stage = Stage()
    async with stage.open() as running:
        for _ in range(20):
            socket = await running.open_websocket(f"/llamaproxws{HANDSHAKE}")
            await socket.send(Opcode.TEXT, b"40")
            socket.raw.reset()
        await until(lambda: stage.live.readers() == 0)
        async with polling(running) as client:
            await client.post("1")
        await until(lambda: stage.live.readers() == 0)


async def test_the_loop_is_not_held_up() -> None:
    """What is handed out to many is handed out in turns."""
    stage = Stage()
    async with stage.open() as running, contextlib.AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(talking(running, "/models")) for _ in range(50)]
        for client in clients:
            await client.next()
        async with counted() as turns:
            stage.models.move(Kind.CHANGED, replace(BESIDE, status=Status.RUNNING))
            for client in clients:
                await client.next()
        assert turns.count >= 50 // 8
