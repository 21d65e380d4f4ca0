"""Sessions without a WebSocket, and how they come by one."""

from __future__ import annotations

import asyncio

import pytest
from websockets.asyncio.client import connect

from exporter.api.nextjs.live.sockets import guard
from tests.api.nextjs.live.sockets.test_guard import http, refused
from tests.api.nextjs.live.stage import Stage
from tests.api.nextjs.live.talker import HANDSHAKE, packet, polling
from tests.serving import until


async def test_one_request_of_a_session_waits_at_a_time() -> None:
    async with Stage().open() as running, polling(running) as client, http(running) as other:
        loop = asyncio.get_running_loop()
        both = {loop.create_task(other.get(client.query)) for _ in range(2)}
        done, waiting = await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED, timeout=20)
        assert [each.result().status_code for each in done] == [400]
        await client.post(packet("x"))
        assert ["NOT_FOUND" in (await each).text for each in waiting] == [True]


async def test_an_upgrade_that_comes_to_nothing() -> None:
    stage = Stage()
    async with stage.open() as running, polling(running, "/metrics") as client:
        address = f"ws://127.0.0.1:{running.port}/socket.io/{HANDSHAKE}&sid={client.session}"
        async with connect(address, proxy=None) as probe:
            await probe.send("2probe")
            assert await probe.recv() == "3probe"
        await until(lambda: running.connections.on(running.port) == 1)
        await client.post("40/models,")
        heard = ""
        while "42/models," not in heard:
            heard = "\x1e".join(await client.get())
        assert stage.live.readers() == 1


async def test_an_upgrade_that_takes_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "UPGRADE_SECONDS", 0.1)
    async with Stage().open() as running, polling(running) as client:
        address = f"ws://127.0.0.1:{running.port}/socket.io/{HANDSHAKE}&sid={client.session}"
        for first in ("2probe", "garbage"):
            async with connect(address, proxy=None) as probe:
                await probe.send(first)
                async with asyncio.timeout(10):
                    await probe.wait_closed()
        assert (await client.post(packet("x"))).is_success


async def test_an_upgrade() -> None:
    stage = Stage()
    async with stage.open() as running, polling(running) as client, http(running) as other:
        address = f"ws://127.0.0.1:{running.port}/socket.io/{HANDSHAKE}&sid={client.session}"
        async with connect(address, proxy=None) as upgraded:
            await upgraded.send("2probe")
            assert await upgraded.recv() == "3probe"
            for text in ("5", packet("x")):
                await upgraded.send(text)
            assert await upgraded.recv() == "6"
            assert "NOT_FOUND" in str(await upgraded.recv())
            assert (await other.get(client.query)).status_code == 400
            assert await refused(running, f"/socket.io/{HANDSHAKE}&sid={client.session}") in (400, 403)
        await until(lambda: stage.live.readers() == 0)
