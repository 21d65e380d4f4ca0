"""A client that leaves: the upstream stops working for it within a second, and one record says so."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from exporter.proxy.forward import Limits
from exporter.record import AttemptResult, Outcome, RequestRecord
from tests.fakes.answers import Answer, endless, hang, reply, request_received
from tests.fakes.llama_server import FakeServer
from tests.fakes.wire import CONTINUE, chunk, head
from tests.proxy.harness import Proxy, RawClient, ask, running_proxy
from tests.proxy.unreachable import full_listener

Leave = Callable[[RawClient], None]
MIB = 1 << 20
BLOCK = bytes(MIB)
SECOND = 1.0
CHUNKED = head(200, [("Content-Type", "text/event-stream"), ("Transfer-Encoding", "chunked")])
FRAME = chunk(b'data: {"choices":[{"delta":{"content":"x"}}]}\n\n')
CHAT = ask("POST", "/v1/chat/completions", body=b'{"stream":true}')
EXPECT = ask("POST", "/", ("Expect", "100-continue"), ("Content-Length", "4"))


def fin(client: RawClient) -> None:
    client.abort()


def rst(client: RawClient) -> None:
    client.reset()


leaving = pytest.mark.parametrize("leave", [fin, rst])


async def gone(proxy: Proxy, server: FakeServer) -> RequestRecord:
    """Within a second the upstream's connection is closed; the one record."""
    await server.until(lambda: server.live == 0, timeout_seconds=SECOND)
    await proxy.until_records(1, timeout_seconds=SECOND)
    record = await proxy.only_record()
    assert record.outcome is Outcome.CLIENT_GONE
    assert record.error_type == "client_gone"
    return record


def results(record: RequestRecord) -> list[AttemptResult]:
    return [attempt.result for attempt in record.attempts]


@leaving
@pytest.mark.parametrize("request_bytes", [CHAT, ask("GET", "/slots")], ids=["post", "get"])
async def test_before_the_first_byte_of_the_answer(leave: Leave, request_bytes: bytes) -> None:
    async with (
        FakeServer(Answer(request_received, hang)) as server,
        running_proxy(server.url) as proxy,
        await proxy.connect() as client,
    ):
        await client.send(request_bytes)
        await server.until(lambda: len(server.requests) == 1 and server.requests[0].complete)
        leave(client)
        record = await gone(proxy, server)
        assert results(record) == [AttemptResult.ABANDONED]
        assert record.status_code is None
        assert (record.upstream, record.tier, record.response_bytes) == ("u1", "Q4", 0)


@leaving
async def test_before_the_first_byte_on_a_reused_connection(leave: Leave) -> None:
    script = [reply(200, [], b"ok"), Answer(request_received, hang)]
    async with FakeServer(script) as server, running_proxy(server.url) as proxy, await proxy.connect() as client:
        await client.exchange(CHAT)
        await client.send(CHAT)
        await server.until(lambda: len(server.requests) == 2)
        leave(client)
        await server.until(lambda: server.live == 0, timeout_seconds=SECOND)
        record = (await proxy.until_records(2))[1]
        assert (record.outcome, results(record)) == (Outcome.CLIENT_GONE, [AttemptResult.ABANDONED])
        assert len(server.requests) == 2


@leaving
async def test_in_the_middle_of_a_stream(leave: Leave) -> None:
    """The upstream is silent at that moment: nothing is written that could fail."""
    script = Answer(request_received, CHUNKED, FRAME, FRAME, hang)
    async with FakeServer(script) as server, running_proxy(server.url) as proxy, await proxy.connect() as client:
        await client.send(CHAT)
        await client.head()
        chunks = client.chunks()
        received = b""
        while len(received) < 2 * len(b'data: {"choices":[{"delta":{"content":"x"}}]}\n\n'):
            received += await anext(chunks)
        leave(client)
        record = await gone(proxy, server)
        assert results(record) == [AttemptResult.ANSWERED]
        assert (record.status_code, record.response_bytes) == (200, len(received))


@leaving
async def test_between_the_head_and_the_body(leave: Leave) -> None:
    script = Answer(request_received, head(200, [("Content-Length", "5")]), hang)
    async with FakeServer(script) as server, running_proxy(server.url) as proxy, await proxy.connect() as client:
        await client.send(CHAT)
        await client.head()
        leave(client)
        record = await gone(proxy, server)
        assert (record.status_code, record.response_bytes) == (200, 0)


@leaving
async def test_in_the_middle_of_a_fast_stream(leave: Leave) -> None:
    script = Answer(request_received, CHUNKED, endless(FRAME))
    async with FakeServer(script) as server, running_proxy(server.url) as proxy, await proxy.connect() as client:
        await client.send(CHAT)
        await client.head()
        await client.reader.readexactly(100_000)
        leave(client)
        assert (await gone(proxy, server)).response_bytes > 0


@leaving
async def test_after_it_stopped_reading(leave: Leave) -> None:
    """The proxy waits for room in the client's buffers when the client goes."""
    script = Answer(request_received, CHUNKED, endless(chunk(bytes(65_536))))
    async with (
        FakeServer(script, buffer_bytes=16_384) as server,
        running_proxy(server.url) as proxy,
        await proxy.connect() as client,
    ):
        await client.send(CHAT)
        await client.head()
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await server.until(lambda: server.connections[0].blocked)
        leave(client)
        await gone(proxy, server)


@leaving
async def test_in_the_middle_of_a_small_upload(leave: Leave) -> None:
    """It is held until it is complete, so no upstream has heard of it."""
    async with FakeServer(Answer(hang)) as server, running_proxy(server.url) as proxy, await proxy.connect() as client:
        await client.send(ask("POST", "/", ("Content-Length", "100")) + b"only ten..")
        await until_active(proxy)
        leave(client)
        record = await gone(proxy, server)
        assert (record.attempts, record.status_code, record.upstream) == ((), None, None)
        assert not server.requests


async def until_active(proxy: Proxy) -> None:
    """Wait until a request's body has begun to arrive."""
    async with asyncio.timeout(5):
        while not any(observation.request_bytes for observation in proxy.active):
            await asyncio.sleep(0)


@leaving
@pytest.mark.parametrize("framing", ["length", "chunked"])
async def test_in_the_middle_of_a_large_upload(leave: Leave, framing: str) -> None:
    field = ("Content-Length", str(9 * MIB)) if framing == "length" else ("Transfer-Encoding", "chunked")
    async with (
        FakeServer(Answer(request_received, hang)) as server,
        running_proxy(server.url) as proxy,
        await proxy.connect() as client,
    ):
        await client.send(ask("POST", "/", field) + (BLOCK * 2 if framing == "length" else chunk(BLOCK) * 2))
        await server.until(lambda: bool(server.requests) and len(server.requests[0].body) == 2 * MIB)
        leave(client)
        record = await gone(proxy, server)
        assert results(record) == [AttemptResult.ABANDONED]
        assert record.request_bytes == 2 * MIB
        assert not server.requests[0].complete


@leaving
async def test_after_a_large_upload(leave: Leave) -> None:
    async with (
        FakeServer(Answer(request_received, hang)) as server,
        running_proxy(server.url) as proxy,
        await proxy.connect() as client,
    ):
        await client.send(ask("POST", "/", body=BLOCK * 3))
        await server.until(lambda: bool(server.requests) and server.requests[0].complete)
        leave(client)
        assert results(await gone(proxy, server)) == [AttemptResult.ABANDONED]


@leaving
async def test_in_the_middle_of_an_upload_while_the_answer_streams(leave: Leave) -> None:
    script = Answer(CHUNKED, FRAME, hang)
    async with FakeServer(script) as server, running_proxy(server.url) as proxy, await proxy.connect() as client:
        await client.send(ask("POST", "/", ("Content-Length", str(9 * MIB))) + BLOCK * 2)
        assert (await client.head())[0] == 200
        await anext(client.chunks())
        leave(client)
        record = await gone(proxy, server)
        assert results(record) == [AttemptResult.ANSWERED]
        assert record.status_code == 200


@leaving
async def test_while_it_waits_for_consent(leave: Leave) -> None:
    async with FakeServer(Answer(hang)) as server, running_proxy(server.url) as proxy, await proxy.connect() as client:
        await client.send(EXPECT)
        await server.until(lambda: len(server.requests) == 1)
        leave(client)
        record = await gone(proxy, server)
        assert results(record) == [AttemptResult.ABANDONED]


@leaving
async def test_after_it_has_had_consent(leave: Leave) -> None:
    script = Answer(CONTINUE, hang)
    async with FakeServer(script) as server, running_proxy(server.url) as proxy, await proxy.connect() as client:
        await client.send(EXPECT)
        assert (await client.head())[0] == 100
        await client.send(b"bo")
        leave(client)
        await gone(proxy, server)


@leaving
async def test_in_the_middle_of_a_stream_that_took_the_place_of_consent(leave: Leave) -> None:
    script = Answer(CHUNKED, FRAME, hang)
    async with FakeServer(script) as server, running_proxy(server.url) as proxy, await proxy.connect() as client:
        await client.send(EXPECT)
        assert (await client.head())[0] == 200
        await anext(client.chunks())
        leave(client)
        await gone(proxy, server)


@leaving
async def test_in_the_middle_of_a_fast_stream_that_took_the_place_of_consent(leave: Leave) -> None:
    script = Answer(CHUNKED, endless(FRAME))
    async with FakeServer(script) as server, running_proxy(server.url) as proxy, await proxy.connect() as client:
        await client.send(EXPECT)
        assert (await client.head())[0] == 200
        await client.reader.readexactly(50_000)
        leave(client)
        await gone(proxy, server)


@leaving
async def test_while_the_proxy_still_connects(leave: Leave) -> None:
    async with (
        full_listener() as url,
        running_proxy(url, limits=Limits(connect_seconds=30)) as proxy,
        await proxy.connect() as client,
    ):
        await client.send(CHAT)
        async with asyncio.timeout(5):
            while not any(observation.upstream for observation in proxy.active):
                await asyncio.sleep(0)
        leave(client)
        await proxy.until_records(1, timeout_seconds=SECOND)
        record = await proxy.only_record()
        assert (record.outcome, results(record)) == (Outcome.CLIENT_GONE, [AttemptResult.ABANDONED])
        assert record.overhead_seconds is None


@leaving
async def test_after_its_answer_is_complete_it_is_not_gone(leave: Leave) -> None:
    async with (
        FakeServer(reply(200, [], b"ok")) as server,
        running_proxy(server.url) as proxy,
        await proxy.connect() as client,
    ):
        await client.exchange(CHAT)
        leave(client)
        async with await proxy.connect() as other:
            await other.exchange(CHAT)
        assert [record.outcome for record in await proxy.until_records(2)] == [Outcome.COMPLETED] * 2
        assert len(server.connections) == 1


@leaving
async def test_one_of_many_leaves_alone(leave: Leave) -> None:
    gate = asyncio.Event()
    script = Answer(request_received, CHUNKED, FRAME, gate, FRAME, b"0\r\n\r\n")
    async with FakeServer(script) as server, running_proxy(server.url) as proxy:
        clients = [await proxy.connect() for _ in range(6)]
        streams = []
        for client in clients:
            await client.send(CHAT)
            await client.head()
            streams.append(client.chunks())
            await anext(streams[-1])
        for client in clients[::2]:
            leave(client)
        await server.until(lambda: server.live == 3, timeout_seconds=SECOND)
        gate.set()
        for stream in streams[1::2]:
            assert len([piece async for piece in stream]) == 1
        outcomes = [record.outcome for record in await proxy.until_records(6)]
        assert outcomes == [Outcome.CLIENT_GONE] * 3 + [Outcome.COMPLETED] * 3
        for client in clients:
            client.abort()


async def test_a_client_that_says_nothing_is_no_request() -> None:
    async with FakeServer(Answer(hang)) as server, running_proxy(server.url) as proxy:
        async with await proxy.connect() as client:
            await client.send(b"POST /v1/chat")
        async with await proxy.connect() as client:
            await client.send(b"")
        async with await proxy.connect() as client:
            await client.send(CHAT)
            await server.until(lambda: len(server.requests) == 1)
        await gone(proxy, server)
