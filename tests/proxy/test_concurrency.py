"""Many at once."""

from __future__ import annotations

import asyncio
import hashlib
import random

from exporter.record import Outcome
from tests.fakes.answers import Answer, by_path, reply, request_received
from tests.fakes.llama_server import FakeServer
from tests.fakes.received import Request
from tests.proxy.harness import Proxy, ask, running_proxy

STREAMS = 300


def body_for(path: str) -> list[bytes]:
    """A stream of its own for each path: 12 frames of different sizes."""
    source = random.Random(path)
    return [b"data: " + source.randbytes(source.randrange(1, 400)).hex().encode() + b"\n\n" for _ in range(12)]


async def test_300_streams_at_once_are_complete_and_do_not_mix() -> None:
    together = asyncio.Event()
    seen = 0

    def script(request: Request) -> Answer:
        nonlocal seen
        seen += 1
        if seen == STREAMS:
            together.set()
        answer = reply(200, [("Content-Type", "text/event-stream")], body_for(request.path), framing="chunked")
        return Answer(answer.steps[0], answer.steps[1], together, *answer.steps[2:])

    async def stream(proxy: Proxy, number: int) -> None:
        path = f"/v1/chat/completions/{number}"
        async with await proxy.connect() as client:
            sent = b'{"stream":true,"n":%d}' % number
            status, _, body = await client.exchange(ask("POST", path, body=sent))
            assert status == 200
            assert hashlib.sha256(body).digest() == hashlib.sha256(b"".join(body_for(path))).digest()

    async with FakeServer(script) as server, running_proxy(server.url) as proxy:
        async with asyncio.timeout(10), asyncio.TaskGroup() as group:
            for number in range(STREAMS):
                group.create_task(stream(proxy, number))
        records = await proxy.until_records(STREAMS)
        assert {record.outcome for record in records} == {Outcome.COMPLETED}
        assert sorted(request.body for request in server.requests) == sorted(
            b'{"stream":true,"n":%d}' % number for number in range(STREAMS)
        )
        assert len(server.connections) == STREAMS
        assert len(proxy.active) == 0


async def test_a_stalled_stream_does_not_stop_the_others() -> None:
    never = asyncio.Event()
    script = by_path({"/stalled": Answer(request_received, never)}, reply(200, [], b"ok"))
    async with FakeServer(script) as server, running_proxy(server.url) as proxy:
        stalled = [await proxy.connect() for _ in range(20)]
        for client in stalled:
            await client.send(ask("POST", "/stalled", body=b"{}"))
        await server.until(lambda: len(server.requests) == 20)
        async with await proxy.connect() as client:
            for _ in range(20):
                assert (await client.exchange(ask("GET", "/other")))[0] == 200
        assert len(proxy.active) == 20
        for client in stalled:
            client.abort()
        await proxy.until_records(40)
