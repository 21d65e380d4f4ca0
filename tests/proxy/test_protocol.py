"""What the client's side of the connection insists on: limits of a head, and where a head ends."""

from __future__ import annotations

import pytest

from exporter import http_protocol
from exporter.proxy import connection as upstream_connection
from exporter.record import AttemptResult, Outcome
from tests.fakes.answers import Answer, json_reply, next_byte, request_received, reset
from tests.fakes.llama_server import FakeServer
from tests.proxy.harness import ask, running_proxy

OK = json_reply({"ok": True})
KEY = "secret-of-ours"


async def test_trailers_are_no_header_fields() -> None:
    """Or a client could slip past whoever looked at the head: a key, a second host, an origin."""
    trailers = f"X-A: b\r\nHost: evil\r\nAuthorization: Bearer {KEY}\r\nOrigin: http://evil\r\n".encode()
    body = b"2\r\n{}\r\n0\r\n" + trailers + b"\r\n"
    async with FakeServer(OK) as server, running_proxy(server.url) as proxy, await proxy.connect() as client:
        status, _, _ = await client.exchange(ask("POST", "/", ("Transfer-Encoding", "chunked")) + body)
        assert status == 200
        (request,) = server.requests
        assert len(request.values("host")) == 1
        assert [request.header(name) for name in ("x-a", "authorization", "origin")] == [None] * 3
        assert (await proxy.only_record()).origin is None


async def test_a_key_in_a_trailer_opens_nothing() -> None:
    body = f"2\r\n{{}}\r\n0\r\nAuthorization: Bearer {KEY}\r\n\r\n".encode()
    async with (
        FakeServer(OK) as server,
        running_proxy(server.url, keys=[KEY]) as proxy,
        await proxy.connect() as client,
    ):
        assert (await client.exchange(ask("POST", "/", ("Transfer-Encoding", "chunked")) + body))[0] == 401
        assert not server.requests


async def test_a_preflight_needs_no_key() -> None:
    async with (
        FakeServer(OK) as server,
        running_proxy(server.url, keys=[KEY]) as proxy,
        await proxy.connect() as client,
    ):
        assert (await client.exchange(ask("OPTIONS", "/v1/chat/completions", ("Origin", "http://a"))))[0] == 200
        assert (await client.exchange(ask("POST", "/v1/chat/completions", body=b"{}")))[0] == 401
        assert len(server.requests) == 1


@pytest.mark.parametrize("where", ["target", "one field", "many fields"])
async def test_a_head_without_end_is_refused(where: str) -> None:
    heads = {
        "target": ask("GET", "/" + "x" * 70_000),
        "one field": ask("GET", "/", ("X-Long", "x" * 70_000)),
        "many fields": ask("GET", "/", *[(f"X-{number}", "x" * 100) for number in range(700)]),
    }
    async with FakeServer(OK) as server, running_proxy(server.url) as proxy, await proxy.connect() as client:
        await client.send(heads[where])
        assert (await client.head())[0] == 431
        await client.rest()
        assert not server.requests
        assert not proxy.records


async def test_heads_in_a_row_have_room_each() -> None:
    async with FakeServer(OK) as server, running_proxy(server.url) as proxy, await proxy.connect() as client:
        for _ in range(3):
            assert (await client.exchange(ask("GET", "/", ("X-Long", "x" * 40_000))))[0] == 200
        assert len(server.requests) == 3


async def test_a_head_that_does_not_come_ends_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_protocol, "HEAD_LIMIT_SECONDS", 0.1)
    async with FakeServer(OK) as server, running_proxy(server.url) as proxy:
        async with await proxy.connect() as silent:
            assert await silent.rest() == b""
        async with await proxy.connect() as slow:
            await slow.send(b"GET / HTTP/1.1\r\nHost: x")
            assert await slow.rest() == b""
        async with await proxy.connect() as client:
            assert (await client.exchange(ask("GET", "/")))[0] == 200


async def test_many_offers_in_a_row() -> None:
    offer = ask("GET", "/", ("Connection", "Upgrade"), ("Upgrade", "h2c"))
    async with FakeServer(OK) as server, running_proxy(server.url) as proxy, await proxy.connect() as client:
        for _ in range(5):
            await client.send(offer * http_protocol.PIPELINE_LIMIT)
            for _ in range(http_protocol.PIPELINE_LIMIT):
                status, fields = await client.head()
                assert status == 200
                await client.body(fields)
        assert len(server.requests) == 5 * http_protocol.PIPELINE_LIMIT


async def test_what_the_server_may_have_worked_on_is_not_sent_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """It closed a reused connection, but not at once."""
    monkeypatch.setattr(upstream_connection, "STALE_SECONDS", 0.0)
    script = [OK.then(next_byte, request_received, reset), OK]
    async with FakeServer(script) as server, running_proxy(server.url) as proxy, await proxy.connect() as client:
        assert (await client.exchange(ask("POST", "/", body=b"1")))[0] == 200
        assert (await client.exchange(ask("POST", "/", body=b"2")))[0] == 502
        record = (await proxy.until_records(2))[1]
        assert [attempt.result for attempt in record.attempts] == [AttemptResult.DISCONNECTED]
        assert sum(request.body == b"2" for request in server.requests) <= 1


async def test_an_early_answer_does_not_leave_half_a_request_behind() -> None:
    """A connection whose send buffer still holds a request is no place for the next one."""
    body = bytes(900_000)
    refusal = Answer(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
    async with (
        FakeServer([refusal, OK], buffer_bytes=16_384) as server,
        running_proxy(server.url) as proxy,
        await proxy.connect() as client,
    ):
        assert (await client.exchange(ask("POST", "/", body=body)))[0] == 413
        assert (await client.exchange(ask("GET", "/")))[0] == 200
        assert {record.outcome for record in await proxy.until_records(2)} == {
            Outcome.UPSTREAM_ERROR,
            Outcome.COMPLETED,
        }
