"""`Expect: 100-continue`: the consent is the upstream's to give."""

from __future__ import annotations

import asyncio

import pytest

from exporter.record import AttemptResult, Outcome
from tests.fakes.answers import Answer, close, hang, json_reply, reply, request_received
from tests.fakes.llama_server import FakeServer
from tests.fakes.wire import CONTINUE, chunk, early_hints, head, last_chunk
from tests.proxy.harness import RawClient, ask, running_proxy

OK = reply(200, [], b"ok")
EXPECT = ("Expect", "100-continue")
HEAD = ask("POST", "/v1/completions", EXPECT, ("Content-Length", "4"))
CHUNKED = ask("POST", "/v1/completions", EXPECT, ("Transfer-Encoding", "chunked"))


async def hears_nothing(client: RawClient, seconds: float = 0.1) -> bool:
    """Whether the client is sent nothing for a while."""
    try:
        await asyncio.wait_for(client.reader.readexactly(1), seconds)
    except TimeoutError:
        return True
    return False


@pytest.mark.parametrize("framing", ["length", "chunked"])
async def test_the_client_is_told_to_go_on_when_the_upstream_says_so(framing: str) -> None:
    gate = asyncio.Event()
    script = [Answer(gate, CONTINUE, request_received, *OK.steps), OK]
    async with FakeServer(script) as server, running_proxy(server.url) as proxy, await proxy.connect() as client:
        await client.send(HEAD if framing == "length" else CHUNKED)
        await server.until(lambda: len(server.requests) == 1)
        assert server.requests[0].values("expect") == ["100-continue"]
        assert await hears_nothing(client)
        gate.set()
        assert await client.head() == (100, [])
        assert not server.requests[0].complete
        await client.send(b"body" if framing == "length" else chunk(b"bo") + chunk(b"dy") + last_chunk())
        status, fields = await client.head()
        assert (status, await client.body(fields)) == (200, b"ok")
        assert server.requests[0].body == b"body"
        record = await proxy.only_record()
        assert (record.outcome, record.request_bytes) == (Outcome.COMPLETED, 4)
        assert (await client.exchange(ask("POST", "/next", body=b"next")))[::2] == (200, b"ok")


async def test_an_upstream_that_does_not_know_the_expectation_gets_the_body_after_a_second() -> None:
    clock = asyncio.get_running_loop().time
    async with FakeServer(OK) as server, running_proxy(server.url) as proxy, await proxy.connect() as client:
        started = clock()
        await client.send(HEAD)
        assert await client.head() == (100, [])
        assert 0.5 < clock() - started < 1.7
        await client.send(b"body")
        status, fields = await client.head()
        assert (status, await client.body(fields)) == (200, b"ok")
        assert server.requests[0].body == b"body"
        overhead = (await proxy.only_record()).overhead_seconds
        assert overhead is not None
        assert overhead < 0.3


@pytest.mark.parametrize("status", [401, 413, 417, 200])
@pytest.mark.parametrize("framing", ["length", "chunked"])
async def test_a_final_answer_takes_the_place_of_consent(status: int, framing: str) -> None:
    final = reply(status, [("X-A", "1")], b'{"error":{}}', early=True)
    async with (
        FakeServer(final.then(request_received)) as server,
        running_proxy(server.url) as proxy,
        await proxy.connect() as client,
    ):
        await client.send(HEAD if framing == "length" else CHUNKED)
        received, fields = await client.head()
        assert received == status
        assert (b"x-a", b"1") in fields
        assert await client.body(fields) == b'{"error":{}}'
        record = await proxy.only_record()
        assert (record.status_code, record.request_bytes) == (status, 0)
        assert record.outcome is (Outcome.COMPLETED if status == 200 else Outcome.UPSTREAM_ERROR)
        await server.until(lambda: server.live == 0)  # the upstream still waits for a body: of no further use
        assert server.requests[0].wire_body == b""


async def test_a_final_answer_that_streams_arrives_whole_without_the_body_being_sent() -> None:
    final = Answer(head(200, [("Transfer-Encoding", "chunked")]), chunk(b"a"), chunk(b"b"), last_chunk(), hang)
    async with FakeServer(final) as server, running_proxy(server.url) as proxy, await proxy.connect() as client:
        await client.send(HEAD)
        status, fields = await client.head()
        assert (status, await client.body(fields)) == (200, b"ab")
        assert server.requests[0].wire_body == b""


async def test_a_client_that_sends_the_body_all_the_same_is_served() -> None:
    """It may not wait (RFC 9110, 10.1.1)."""
    script = Answer(CONTINUE, request_received, *OK.steps)
    async with FakeServer(script) as server, running_proxy(server.url) as proxy, await proxy.connect() as client:
        await client.send(HEAD + b"body")
        status, fields = await client.head()
        if status == 100:
            status, fields = await client.head()
        assert (status, await client.body(fields)) == (200, b"ok")
        assert server.requests[0].body == b"body"


async def test_a_refused_body_that_is_sent_all_the_same_is_not_taken_for_a_request() -> None:
    script = [reply(413, [], b"no", early=True).then(hang), OK]
    async with FakeServer(script) as server, running_proxy(server.url) as proxy, await proxy.connect() as client:
        inner = ask("GET", "/smuggled")
        await client.send(ask("POST", "/", EXPECT, ("Content-Length", str(len(inner)))))
        status, fields = await client.head()
        assert (status, await client.body(fields)) == (413, b"no")
        await client.send(inner + ask("GET", "/next"))
        assert (await client.head())[0] == 200
        assert [request.path for request in server.requests] == ["/", "/next"]


async def test_hints_are_no_consent() -> None:
    gate = asyncio.Event()
    script = Answer(early_hints("</a>"), gate, CONTINUE, request_received, *OK.steps)
    async with FakeServer(script) as server, running_proxy(server.url) as proxy, await proxy.connect() as client:
        await client.send(HEAD)
        await server.until(lambda: len(server.requests) == 1)
        assert await hears_nothing(client)
        gate.set()
        assert (await client.head())[0] == 100
        await client.send(b"body")
        assert (await client.head())[0] == 200
        assert server.requests[0].body == b"body"


async def test_an_upstream_that_refuses_by_closing() -> None:
    async with FakeServer(Answer(close)) as server, running_proxy(server.url) as proxy, await proxy.connect() as client:
        await client.send(HEAD)
        assert (await client.head())[0] == 502
        record = await proxy.only_record()
        assert [attempt.result for attempt in record.attempts] == [AttemptResult.DISCONNECTED]


async def test_an_upstream_that_cannot_be_reached_asks_for_no_body() -> None:
    async with FakeServer(OK) as server, running_proxy(server.url) as proxy, await proxy.connect() as client:
        await server.stop_listening()
        await client.send(HEAD)
        assert (await client.head())[0] == 502
        assert (await proxy.only_record()).request_bytes == 0


async def test_a_client_without_a_key_is_not_asked_for_its_body() -> None:
    async with (
        FakeServer(OK) as server,
        running_proxy(server.url, keys=["secret"]) as proxy,
        await proxy.connect() as client,
    ):
        await client.send(HEAD)
        assert (await client.head())[0] == 401
        assert not server.connections


@pytest.mark.parametrize("spelling", ["100-Continue", "100-CONTINUE"])
async def test_the_expectation_has_no_case(spelling: str) -> None:
    gate = asyncio.Event()
    script = Answer(gate, CONTINUE, request_received, *OK.steps)
    async with FakeServer(script) as server, running_proxy(server.url) as proxy, await proxy.connect() as client:
        await client.send(ask("POST", "/", ("eXpect", spelling), ("Content-Length", "4")))
        await server.until(lambda: len(server.requests) == 1)
        assert await hears_nothing(client)
        gate.set()
        assert (await client.head())[0] == 100
        await client.send(b"body")
        assert (await client.head())[0] == 200


async def test_an_expectation_without_a_body_harms_nobody() -> None:
    script = json_reply({"ok": True})
    async with FakeServer(script) as server, running_proxy(server.url) as proxy, await proxy.connect() as client:
        await client.send(ask("GET", "/", EXPECT))
        status, fields = await client.head()
        if status == 100:
            status, fields = await client.head()
        assert (status, await client.body(fields)) == (200, b'{"ok":true}')
        assert (await client.exchange(ask("GET", "/next")))[0] == 200


async def test_a_large_upload_with_consent_passes_whole() -> None:
    body = bytes(range(256)) * 20_000
    script = Answer(CONTINUE, request_received, *OK.steps)
    async with FakeServer(script) as server, running_proxy(server.url) as proxy, await proxy.connect() as client:
        await client.send(ask("POST", "/", EXPECT, ("Content-Length", str(len(body)))))
        assert (await client.head())[0] == 100
        await client.send(body)
        assert (await client.head())[0] == 200
        assert server.requests[0].body == body
