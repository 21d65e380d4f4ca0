"""Connections to the upstream are reused, and an upstream that retires one is never seen by a client."""

from __future__ import annotations

import asyncio
import random

import pytest

from exporter.record import AttemptResult, Outcome, RequestRecord
from tests.fakes.answers import (
    Answer,
    Script,
    Step,
    close,
    json_reply,
    next_byte,
    replay,
    reply,
    request_received,
    reset,
)
from tests.fakes.captures import golden
from tests.fakes.connection import Connection
from tests.fakes.llama_server import FakeServer
from tests.fakes.received import Request
from tests.fakes.wire import chunk, head, keep_alive, last_chunk
from tests.proxy.harness import Proxy, RawClient, ask, running_proxy

OK = json_reply({"ok": True}, headers=[keep_alive()])
POST = ask("POST", "/v1/chat/completions", body=b'{"messages":[]}')
NOISE = random.Random(11).randbytes(900_000)


async def posts(client: RawClient, body: bytes = b"{}") -> int:
    return (await client.exchange(ask("POST", "/v1/completions", body=body)))[0]


def results(record: RequestRecord) -> list[AttemptResult]:
    return [attempt.result for attempt in record.attempts]


def answered(server: FakeServer) -> list[Request]:
    return [request for request in server.requests if request.answered_at is not None]


async def test_many_requests_use_one_connection() -> None:
    async with FakeServer(OK) as server, running_proxy(server.url) as proxy, await proxy.connect() as client:
        for _ in range(20):
            assert await posts(client) == 200
        assert len(server.connections) == 1
        records = await proxy.until_records(20)
        assert [[attempt.reused for attempt in record.attempts] for record in records] == [[False], *[[True]] * 19]
        assert {tuple(results(record)) for record in records} == {(AttemptResult.ANSWERED,)}


async def test_clients_share_the_connections_of_the_upstream() -> None:
    async with FakeServer(OK) as server, running_proxy(server.url) as proxy:
        for _ in range(10):
            async with await proxy.connect() as client:
                assert await posts(client) == 200
        assert len(server.connections) == 1


@pytest.mark.parametrize("framing", ["chunked", "length"])
async def test_streams_and_streamed_uploads_leave_connections_usable(framing: str) -> None:
    async with FakeServer(OK) as server, running_proxy(server.url) as proxy, await proxy.connect() as client:
        for _ in range(3):
            if framing == "length":
                assert await posts(client, NOISE * 2) == 200
            else:
                request = ask("POST", "/", ("Transfer-Encoding", "chunked")) + chunk(NOISE * 2) + last_chunk()
                assert (await client.exchange(request))[0] == 200
            assert await posts(client) == 200
        assert len(server.connections) <= 4
        assert [len(request.body) for request in server.requests] == [1_800_000, 2] * 3


@pytest.mark.parametrize("retire", [close, reset], ids=["fin", "rst"])
@pytest.mark.parametrize("size", [0, 2, 900_000])
@pytest.mark.parametrize("framing", ["length", "chunked"])
async def test_a_connection_that_dies_as_the_next_request_is_written(retire: Step, size: int, framing: str) -> None:
    body = NOISE[:size]
    if framing == "length":
        request = ask("POST", "/v1/completions", body=body)
    else:
        request = ask("POST", "/v1/completions", ("Transfer-Encoding", "chunked")) + chunk(body) + last_chunk()
    async with (
        FakeServer([OK.then(next_byte, retire), OK]) as server,
        running_proxy(server.url) as proxy,
        await proxy.connect() as client,
    ):
        assert await posts(client) == 200
        assert (await client.exchange(request))[0] == 200
        _, second = await proxy.until_records(2)
        assert results(second) == [AttemptResult.RESENT, AttemptResult.ANSWERED]
        assert [attempt.reused for attempt in second.attempts] == [True, False]
        assert [attempt.status_code for attempt in second.attempts] == [None, 200]
        assert second.outcome is Outcome.COMPLETED
        assert second.request_bytes == size
        assert [sent.body for sent in answered(server)][1:] == [body]
        again = answered(server)[-1]
        assert again.connection == 2
        assert (again.header("transfer-encoding") == "chunked") == (framing == "chunked")


async def test_a_request_that_was_swallowed_whole_is_sent_again_once() -> None:
    """The upstream read it all and then closed: it had timed the connection out already."""
    script = [OK, Answer(request_received, close), OK]
    async with FakeServer(script) as server, running_proxy(server.url) as proxy, await proxy.connect() as client:
        assert await posts(client) == 200
        assert await posts(client, b"twice") == 200
        assert [(sent.connection, sent.body) for sent in server.requests[1:]] == [(1, b"twice"), (2, b"twice")]
        assert results((await proxy.until_records(2))[1]) == [AttemptResult.RESENT, AttemptResult.ANSWERED]


async def test_the_resent_request_has_the_same_head() -> None:
    script = [OK, Answer(request_received, close), OK]
    request = ask("POST", "/a%2Fb?c", ("X-A", "1"), ("Cookie", "x"), ("x-a", "2"), body=b"body")
    async with FakeServer(script) as server, running_proxy(server.url) as proxy, await proxy.connect() as client:
        await posts(client)
        await client.exchange(request)
        assert server.requests[1].head == server.requests[2].head


async def test_all_pooled_connections_may_be_dead_at_once() -> None:
    """After a restart of the upstream each pooled connection is stale: a request tries one, not one after the other."""
    gate = asyncio.Event()
    async with FakeServer(Answer(request_received, gate, *OK.steps)) as server, running_proxy(server.url) as proxy:
        clients = [await proxy.connect() for _ in range(5)]
        for client in clients:
            await client.send(POST)
        await server.until(lambda: len(server.requests) == 5)
        gate.set()
        for client in clients:
            assert (await client.head())[0] == 200
            client.abort()
        await proxy.until_records(5)
        server.script = lambda request: Answer(request_received, close) if request.connection <= 5 else OK
        async with await proxy.connect() as client:
            assert await posts(client) == 200
            record = (await proxy.until_records(6))[5]
            assert results(record) == [AttemptResult.RESENT, AttemptResult.ANSWERED]


@pytest.mark.parametrize("answer", [OK, json_reply({"ok": True})], ids=["announced", "unannounced"])
@pytest.mark.parametrize("every", [1, 2, 3])
async def test_an_upstream_that_retires_connections_after_some_requests(answer: Answer, every: int) -> None:
    bodies = [b"%d " % n * 50 for n in range(30)]
    async with (
        FakeServer(answer, max_requests=every) as server,
        running_proxy(server.url) as proxy,
        await proxy.connect() as client,
    ):
        for body in bodies:
            assert await posts(client, body) == 200
        assert [request.body for request in answered(server)] == bodies
        records = await proxy.until_records(30)
        assert {record.outcome for record in records} == {Outcome.COMPLETED}
        assert {tuple(results(record)) for record in records} <= {
            (AttemptResult.ANSWERED,),
            (AttemptResult.RESENT, AttemptResult.ANSWERED),
        }


async def test_an_announced_limit_of_requests_is_kept_to() -> None:
    """With `Keep-Alive: max=` the proxy can know beforehand: no request runs into the closing connection."""
    answer = json_reply({"ok": True}, headers=[keep_alive(maximum=3)])
    async with (
        FakeServer(answer, max_requests=3) as server,
        running_proxy(server.url) as proxy,
        await proxy.connect() as client,
    ):
        for _ in range(9):
            assert await posts(client) == 200
        assert [request.connection for request in server.requests] == [1] * 3 + [2] * 3 + [3] * 3
        assert all(len(record.attempts) == 1 for record in await proxy.until_records(9))


async def test_many_clients_and_an_upstream_that_retires_connections() -> None:
    async def work(proxy: Proxy, number: int) -> None:
        async with await proxy.connect() as client:
            for turn in range(10):
                assert await posts(client, b"%d/%d" % (number, turn) * 40) == 200

    expected = sorted(b"%d/%d" % (number, turn) * 40 for number in range(8) for turn in range(10))
    async with FakeServer(json_reply({}), max_requests=3) as server, running_proxy(server.url) as proxy:
        await asyncio.gather(*(work(proxy, number) for number in range(8)))
        assert sorted(request.body for request in answered(server)) == expected
        assert {record.outcome for record in await proxy.until_records(80)} == {Outcome.COMPLETED}


async def test_an_upstream_that_retires_idle_connections() -> None:
    async with (
        FakeServer(json_reply({}), idle_seconds=0.02) as server,
        running_proxy(server.url) as proxy,
        await proxy.connect() as client,
    ):
        for turn in range(1, 4):
            assert await posts(client) == 200
            await server.until(lambda: server.live == 0)
            assert len(server.connections) == turn
        async with asyncio.timeout(5):
            while proxy.transport.open_connections:
                await asyncio.sleep(0)
        assert {record.outcome for record in await proxy.until_records(3)} == {Outcome.COMPLETED}


async def test_the_close_and_the_next_request_cross() -> None:
    """The upstream closes in the moment in which the proxy writes: whichever comes first, the client has its answer."""
    gates = [asyncio.Event() for _ in range(20)]
    waiting = iter(gates)
    script: Script = lambda _: OK.then(next(waiting), close)  # noqa: E731
    async with FakeServer(script) as server, running_proxy(server.url) as proxy, await proxy.connect() as client:
        for turn, gate in enumerate(gates[:-1]):
            body = b"%d" % turn * 10
            assert await posts(client, body) == 200
            assert server.requests[-1].body == body
            gate.set()
        assert {record.outcome for record in await proxy.until_records(19)} == {Outcome.COMPLETED}


BOTH = [("Connection", "close"), keep_alive()]
CLOSING: dict[str, Answer] = {
    "close and keep-alive": reply(200, BOTH, b"{}").then(close),
    "keep-alive and close": reply(200, BOTH[::-1], b"{}").then(close),
    "close in a list": reply(200, [("Connection", "Keep-Alive, Close")], b"{}").then(close),
    "close said, not done": reply(200, [("Connection", "close")], b"{}"),
    "close said of a stream": reply(200, BOTH, [b"a", b"b"], framing="chunked").then(close),
    "old version": reply(200, [], b"{}", version="1.0").then(close),
    "old version keeps": reply(200, [("Connection", "keep-alive")], b"{}", version="1.0"),
    "not said, done": reply(200, [], b"{}").then(close),
    "not said, reset": reply(200, [], b"{}").then(reset),
    "error answer": replay(golden("error-bad-json")),
    "error answer of an old server": reply(500, BOTH, b"{}").then(close),
    "timeout of zero": reply(200, [("Keep-Alive", "timeout=0, max=100")], b"{}"),
    "last of its connection": reply(200, [("Keep-Alive", "timeout=5, max=0")], b"{}"),
    "odd parameters": reply(200, [("Keep-Alive", "timeout=x, max=, max=-1, foo")], b"{}"),
}


@pytest.mark.parametrize("name", CLOSING)
async def test_every_way_to_end_a_connection(name: str) -> None:
    answer = CLOSING[name]
    async with FakeServer(answer) as server, running_proxy(server.url) as proxy, await proxy.connect() as client:
        for turn in range(5):
            body = b"%d" % turn * 10
            status, fields, _ = await client.exchange(ask("POST", "/", body=body))
            assert status == (400 if name == "error answer" else 500 if "old server" in name else 200)
            assert not {b"connection", b"keep-alive"} & {field for field, _ in fields}
        assert [request.body for request in answered(server)] == [b"%d" % turn * 10 for turn in range(5)]
        if "said" in name and "not said" not in name:
            assert len(server.connections) == 5


@pytest.mark.parametrize("end", [close, reset], ids=["fin", "rst"])
async def test_a_fresh_connection_that_dies_is_not_tried_again(end: Step) -> None:
    """The request may have been acted upon: only a retired connection is proof that it was not."""
    async with (
        FakeServer(Answer(request_received, end)) as server,
        running_proxy(server.url) as proxy,
        await proxy.connect() as client,
    ):
        status, _, body = await client.exchange(POST)
        assert status == 502
        assert b"u1" in body
        assert len(server.requests) == len(server.connections) == 1
        record = await proxy.only_record()
        assert results(record) == [AttemptResult.DISCONNECTED]
        assert record.attempts[0].reused is False
        assert record.outcome is Outcome.UPSTREAM_ERROR


@pytest.mark.parametrize("end", [close, reset], ids=["fin", "rst"])
@pytest.mark.parametrize("start", [b"H", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n"])
async def test_a_reused_connection_that_dies_within_the_head_is_not_tried_again(start: bytes, end: Step) -> None:
    seen = asyncio.Event()

    async def pause(connection: Connection) -> None:
        """A reset right behind the bytes would destroy them on their way."""
        await asyncio.wait_for(seen.wait(), 1)

    script = [OK, Answer(request_received, start, pause, end), OK]
    async with FakeServer(script) as server, running_proxy(server.url) as proxy, await proxy.connect() as client:
        assert await posts(client) == 200
        await client.send(POST)
        await server.until(lambda: len(server.requests) == 2)
        for _ in range(5):  # turns of the loop, in which the proxy reads what was written
            await asyncio.sleep(0)
        asyncio.get_running_loop().call_later(0.05, seen.set)
        status, fields = await client.head()
        await client.body(fields)
        assert status == 502
        assert len(server.requests) == 2
        record = (await proxy.until_records(2))[1]
        assert len(record.attempts) == 1
        assert record.attempts[0].reused
        assert record.outcome is Outcome.UPSTREAM_ERROR


async def test_a_reused_connection_that_dies_after_an_interim_answer_is_not_tried_again() -> None:
    """The upstream had seen the request: it answered, if not finally."""
    script = [OK, Answer(request_received, b"HTTP/1.1 102 Processing\r\n\r\n", close), OK]
    async with FakeServer(script) as server, running_proxy(server.url) as proxy, await proxy.connect() as client:
        assert await posts(client) == 200
        assert await posts(client) == 502
        assert len(server.requests) == 2


async def test_a_reused_connection_that_dies_within_the_body_is_broken_off() -> None:
    script = [OK, Answer(request_received, head(200, [("Content-Length", "10")]), b"half", close), OK]
    async with FakeServer(script) as server, running_proxy(server.url) as proxy, await proxy.connect() as client:
        assert await posts(client) == 200
        await client.send(POST)
        assert (await client.head())[0] == 200
        assert await client.rest() == b"half"
        assert len(server.requests) == 2
        record = (await proxy.until_records(2))[1]
        assert (record.outcome, record.status_code, record.response_bytes) == (Outcome.UPSTREAM_ERROR, 200, 4)


async def test_there_is_no_third_try() -> None:
    script = [OK, Answer(request_received, close), Answer(request_received, close), OK]
    async with FakeServer(script) as server, running_proxy(server.url) as proxy, await proxy.connect() as client:
        assert await posts(client) == 200
        assert await posts(client) == 502
        assert len(server.requests) == 3
        record = (await proxy.until_records(2))[1]
        assert results(record) == [AttemptResult.RESENT, AttemptResult.DISCONNECTED]


async def test_a_resent_request_may_find_nobody() -> None:
    async with (
        FakeServer(OK.then(next_byte, close)) as server,
        running_proxy(server.url) as proxy,
        await proxy.connect() as client,
    ):
        assert await posts(client) == 200
        await server.stop_listening()
        assert await posts(client) == 502
        record = (await proxy.until_records(2))[1]
        assert results(record) == [AttemptResult.RESENT, AttemptResult.CONNECT_ERROR]


async def test_a_large_upload_does_not_run_into_a_retired_connection() -> None:
    """It is not held, so it could not be sent again."""
    async with (
        FakeServer([OK.then(next_byte, close), OK]) as server,
        running_proxy(server.url) as proxy,
        await proxy.connect() as client,
    ):
        assert await posts(client) == 200
        assert await posts(client, NOISE * 2) == 200
        assert server.requests[-1].body == NOISE * 2
        assert results((await proxy.until_records(2))[1]) == [AttemptResult.ANSWERED]


async def test_a_connection_with_an_unread_answer_is_not_reused() -> None:
    """The client left in the middle: what is still to come must not be taken for the next answer."""
    stream = Answer(request_received, head(200, [("Content-Length", "8")]), b"half", gate := asyncio.Event(), b"half")
    async with FakeServer([stream, OK]) as server, running_proxy(server.url) as proxy:
        async with await proxy.connect() as client:
            await client.send(POST)
            await client.head()
        await proxy.until_records(1)
        gate.set()
        async with await proxy.connect() as client:
            status, _, body = await client.exchange(POST)
            assert (status, body) == (200, b'{"ok":true}')
        assert [request.connection for request in server.requests] == [1, 2]


async def test_an_idle_connection_that_is_told_to_go_is_not_used() -> None:
    """cpp-httplib and others send an unasked 408 before they close."""
    late = b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
    go = asyncio.Event()
    async with (
        FakeServer([OK.then(go, late, close), OK]) as server,
        running_proxy(server.url) as proxy,
        await proxy.connect() as client,
    ):
        assert await posts(client) == 200
        go.set()
        await server.until(lambda: server.live == 0)
        assert await posts(client) == 200
