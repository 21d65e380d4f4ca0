"""The clients that there are: pipelining ones, old ones, ones that want to upgrade, real libraries."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from exporter.record import Outcome
from tests.fakes.answers import Answer, by_path, json_reply, reply, request_received
from tests.fakes.llama_server import FakeServer
from tests.fakes.received import Request
from tests.fakes.wire import chunk, head, keep_alive, last_chunk
from tests.proxy.harness import ask, running_proxy

OK = reply(200, [("X-A", "1")], b"ok")
STREAM = reply(200, [("Content-Type", "text/event-stream")], [b"data: 1\n\n", b"data: 2\n\n"], framing="chunked")


def echo(request: Request) -> Answer:
    """Answers with the request's own path."""
    return reply(200, [("X-Path", request.path)], request.path.encode())


async def test_pipelined_requests_are_answered_in_order() -> None:
    async with FakeServer(echo) as server, running_proxy(server.url) as proxy, await proxy.connect() as client:
        await client.send(
            b"".join(ask("GET", f"/{n}") if n % 2 else ask("POST", f"/{n}", body=b"b" * n) for n in range(12))
        )
        for n in range(12):
            status, fields = await client.head()
            assert (status, await client.body(fields)) == (200, b"/%d" % n)
        assert [request.path for request in server.requests] == [f"/{n}" for n in range(12)]
        assert [len(request.body) for request in server.requests] == [0 if n % 2 else n for n in range(12)]
        assert [record.path for record in await proxy.until_records(12)] == [f"/{n}" for n in range(12)]


async def test_a_pipelined_request_waits_for_the_slow_one_before_it() -> None:
    gate = asyncio.Event()
    slow = Answer(request_received, head(200, [("Transfer-Encoding", "chunked")]), chunk(b"a"), gate, chunk(b"b"))
    script = by_path({"/slow": slow.then(last_chunk())}, OK)
    async with FakeServer(script) as server, running_proxy(server.url) as proxy, await proxy.connect() as client:
        await client.send(
            ask("GET", "/slow") + ask("GET", "/fast") + ask("POST", "/slow", body=b"x") + ask("GET", "/z")
        )
        await client.head()
        chunks = client.chunks()
        assert await anext(chunks) == b"a"
        gate.set()
        assert [piece async for piece in chunks] == [b"b"]
        status, fields = await client.head()
        assert (status, await client.body(fields)) == (200, b"ok")
        _, fields = await client.head()
        assert await client.body(fields) == b"ab"
        _, fields = await client.head()
        assert await client.body(fields) == b"ok"
        assert len(await proxy.until_records(4)) == 4


@pytest.mark.parametrize("value", ["close", "Close", "foo, close"])
@pytest.mark.parametrize("answer", [OK, STREAM, reply(200, [], b"x", framing="close")])
async def test_close_from_the_client_closes_behind_the_answer(value: str, answer: Answer) -> None:
    async with FakeServer(answer) as server, running_proxy(server.url) as proxy, await proxy.connect() as client:
        status, fields, _ = await client.exchange(ask("POST", "/", ("Connection", value), body=b"{}"))
        assert status == 200
        assert (b"connection", b"close") in fields
        assert await client.rest() == b""
        assert server.requests[0].values("connection") in ([], ["keep-alive"])
        assert (await proxy.only_record()).outcome is Outcome.COMPLETED


async def test_close_from_the_client_does_not_close_upstream() -> None:
    async with FakeServer(OK) as server, running_proxy(server.url) as proxy:
        for _ in range(4):
            async with await proxy.connect() as client:
                await client.exchange(ask("GET", "/", ("Connection", "close")))
        assert len(server.connections) == 1


@pytest.mark.parametrize("fields", ["", "Host: old.test\r\n", "Connection: close\r\nHost: old.test\r\n"])
async def test_http_1_0_clients_get_an_answer(fields: str) -> None:
    async with FakeServer(OK) as server, running_proxy(server.url) as proxy, await proxy.connect() as client:
        await client.send(f"GET /old HTTP/1.0\r\n{fields}\r\n".encode())
        received = await client.rest()
        block, _, body = received.partition(b"\r\n\r\n")
        assert block.split()[1] == b"200"
        assert body == b"ok"
        assert server.requests[0].path == "/old"
        assert (await proxy.only_record()).outcome is Outcome.COMPLETED


@pytest.mark.parametrize("answer", [STREAM, reply(200, [], [b"data: 1\n\n", b"data: 2\n\n"], framing="close")])
async def test_http_1_0_clients_get_a_stream_as_llama_server_sends_it(answer: Answer) -> None:
    """In chunks, although it should not (RFC 9112, 6.1); the connection ends behind it."""
    async with FakeServer(answer) as server, running_proxy(server.url) as proxy, await proxy.connect() as client:
        await client.send(b"POST /old HTTP/1.0\r\nHost: old.test\r\nContent-Length: 2\r\n\r\n{}")
        status, fields = await client.head()
        assert status == 200
        assert await client.body(fields) == b"data: 1\n\ndata: 2\n\n"
        assert await client.rest() == b""
        assert server.requests[0].body == b"{}"


async def test_http_1_0_clients_without_a_host_make_a_legal_request() -> None:
    """An HTTP/1.1 request needs a Host (RFC 9112, 3.2); nginx as the upstream refuses one without."""
    async with FakeServer(OK) as server, running_proxy(server.url) as proxy, await proxy.connect() as client:
        await client.send(b"GET /old HTTP/1.0\r\n\r\n")
        assert b" 200 " in await client.rest()
        (request,) = server.requests
        assert request.line.endswith("HTTP/1.0") or len(request.values("host")) == 1


async def test_a_post_that_offers_h2c_is_an_ordinary_post() -> None:
    """Java's HttpClient offers the upgrade with every first request."""
    offer = [("Connection", "Upgrade, HTTP2-Settings"), ("Upgrade", "h2c"), ("HTTP2-Settings", "AAEAAEAAAAIAAAAB")]
    async with FakeServer(echo) as server, running_proxy(server.url) as proxy, await proxy.connect() as client:
        status, _, body = await client.exchange(ask("POST", "/v1/chat/completions", *offer, body=b'{"stream":false}'))
        assert (status, body) == (200, b"/v1/chat/completions")
        (request,) = server.requests
        assert request.body == b'{"stream":false}'
        assert {name.lower() for name, _ in request.headers} == {"host", "content-length"}
        assert (await client.exchange(ask("POST", "/next", body=b"{}")))[::2] == (200, b"/next")
        assert [record.request_bytes for record in await proxy.until_records(2)] == [16, 2]


async def test_an_offer_of_h2c_with_a_body_that_comes_later() -> None:
    offer = [("Connection", "Upgrade, HTTP2-Settings"), ("Upgrade", "h2c"), ("HTTP2-Settings", "AAMAAABk")]
    body = bytes(range(256)) * 8_000
    for field, pieces in [
        (("Content-Length", str(len(body))), [body[:10], body[10:]]),
        (("Transfer-Encoding", "chunked"), [chunk(body[:10]), chunk(body[10:]), last_chunk()]),
    ]:
        async with FakeServer(OK) as server, running_proxy(server.url) as proxy, await proxy.connect() as client:
            await client.send(ask("POST", "/", *offer, field))
            for piece in pieces:
                await client.send(piece)
            status, fields = await client.head()
            assert (status, await client.body(fields)) == (200, b"ok")
            assert server.requests[0].body == body


async def test_an_offer_of_a_websocket_is_an_ordinary_request() -> None:
    offer = [
        ("Connection", "Upgrade"),
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Key", "x"),
        ("Sec-WebSocket-Version", "13"),
    ]
    async with FakeServer(OK) as server, running_proxy(server.url) as proxy, await proxy.connect() as client:
        assert (await client.exchange(ask("GET", "/ws", *offer)))[::2] == (200, b"ok")
        assert server.requests[0].values("upgrade") == []
        assert (await client.exchange(ask("GET", "/next")))[0] == 200


async def test_empty_lines_between_requests_are_overlooked() -> None:
    """RFC 9112, 2.2: some clients send a line end too many behind a body."""
    async with FakeServer(OK) as server, running_proxy(server.url) as proxy, await proxy.connect() as client:
        for _ in range(3):
            assert (await client.exchange(ask("POST", "/", body=b"{}") + b"\r\n"))[0] == 200
        assert [request.body for request in server.requests] == [b"{}"] * 3


async def test_httpx_sees_no_difference() -> None:
    """The same requests, directly and through the proxy."""
    script = by_path(
        {
            "/health": json_reply({"status": "ok"}, headers=[keep_alive()]),
            "/stream": STREAM,
            "/cookies": reply(200, [("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")], b""),
        }
    )
    async with FakeServer(script) as server, running_proxy(server.url) as proxy:
        seen = []
        for base in (server.url, proxy.url):
            async with httpx.AsyncClient(base_url=base) as client:
                health = await client.get("/health", params={"a": ["1", "2"], "b": ""})
                stream = await client.post("/stream", json={"stream": True})
                cookies = await client.get("/cookies")
                missing = await client.request("PUT", "/nowhere", content=b"x")
                options = await client.options("/health")
                answers = [health, stream, cookies, missing, options]
                seen.append(
                    [(answer.status_code, answer.content, answer.headers.get_list("set-cookie")) for answer in answers]
                )
        assert seen[0] == seen[1]
        half = len(server.requests) // 2
        ignored = {"host", "connection"}
        sent = [
            (r.line, r.body, sorted((n.lower(), v) for n, v in r.headers if n.lower() not in ignored))
            for r in server.requests
        ]
        assert sent[:half] == sent[half:]
