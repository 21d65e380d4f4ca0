"""What a client asks reaches the upstream as it was asked: method, target, framing and body."""

from __future__ import annotations

import random

import pytest

from exporter.record import Outcome
from tests.fakes.answers import json_reply, reply, request_received
from tests.fakes.llama_server import FakeServer
from tests.fakes.wire import chunk, last_chunk
from tests.proxy.harness import ask, running_proxy

OK = json_reply({"ok": True})
METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PURGE", "PROPFIND", "MKCOL", "REPORT"]


@pytest.mark.parametrize("method", METHODS)
async def test_methods_pass(method: str) -> None:
    async with FakeServer(OK) as server, running_proxy(server.url) as proxy, await proxy.connect() as client:
        status, _, body = await client.exchange(ask(method, "/v1/things"))
        assert (status, body) == (200, b'{"ok":true}')
        assert server.requests[0].line == f"{method} /v1/things HTTP/1.1"
        assert (await proxy.only_record()).method == method


@pytest.mark.parametrize("method", ["BREW", "get", "LLAMA-STATUS", "X"])
async def test_methods_that_nobody_has_heard_of_are_refused_as_llama_server_does(method: str) -> None:
    async with FakeServer(OK) as server, running_proxy(server.url) as proxy, await proxy.connect() as client:
        assert (await client.exchange(ask(method, "/pot")))[0] == 400
        assert server.requests == []


TARGETS = [
    "/",
    "/a%2Fb/c%20d/%E2%82%AC",
    "/%e2%82%ac/%41%7e",
    "/%00%ff%",
    "//double//slashes/",
    "/a/./b/../c/",
    "/..",
    "/;a=1;b/x;params=2",
    "/a,b:c@d!e$f&g'h(i)j*k+l=m~n",
    "/a{b}|c^d`e\\f",
    '/a"b<c>d[e]f',
    "/v1/models/hf:owner/name-GGUF:Q4_K_M",
    "/metrics?model=a&model=b&model=",
    "/slots?a+b=c+d&e=%20%2B%2f&f",
    "/x?=&&&=",
    "/x?a=1?b=2/..//;c",
    "/x?url=http://other.test:80/path",
    "/" + "long/" * 2000 + "?q=" + "y" * 8000,
]


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target[:40])
async def test_targets_pass_unchanged(target: str) -> None:
    async with FakeServer(OK) as server, running_proxy(server.url) as proxy, await proxy.connect() as client:
        assert (await client.exchange(ask("GET", target)))[0] == 200
        assert server.requests[0].target == target


async def test_an_empty_query_keeps_its_question_mark() -> None:
    async with FakeServer(OK) as server, running_proxy(server.url) as proxy, await proxy.connect() as client:
        assert (await client.exchange(ask("GET", "/health?")))[0] == 200
        assert server.requests[0].target == "/health?"


@pytest.mark.parametrize("target", ["/caf\xc3\xa9", "/x?q=caf\xc3\xa9"], ids=["path", "query"])
async def test_raw_utf_8_in_a_target_is_refused(target: str) -> None:
    """Not legal (RFC 3986, 2), and our parser insists on it."""
    async with FakeServer(OK) as server, running_proxy(server.url) as proxy, await proxy.connect() as client:
        assert (await client.exchange(ask("GET", target)))[0] == 400
        assert server.requests == []


async def test_the_server_as_a_whole_can_be_asked() -> None:
    async with FakeServer(OK) as server, running_proxy(server.url) as proxy, await proxy.connect() as client:
        assert (await client.exchange(ask("OPTIONS", "*")))[0] == 200
        assert server.requests[0].line == "OPTIONS * HTTP/1.1"


async def test_an_absolute_target_is_understood() -> None:
    async with FakeServer(OK) as server, running_proxy(server.url) as proxy, await proxy.connect() as client:
        assert (await client.exchange(ask("GET", "http://sidecar.test/a%2Fb?c=d")))[0] == 200
        assert server.requests[0].target in ("/a%2Fb?c=d", "http://sidecar.test/a%2Fb?c=d")


async def test_the_path_of_the_upstream_comes_first() -> None:
    async with (
        FakeServer(OK) as server,
        running_proxy(f"{server.url}/llama%20a/") as proxy,
        await proxy.connect() as client,
    ):
        assert (await client.exchange(ask("GET", "/v1/models?x=1")))[0] == 200
        assert server.requests[0].target == "/llama%20a/v1/models?x=1"


BODIES = {
    "empty": b"",
    "one byte": b"\0",
    "json": b'{"messages":[{"role":"user","content":"\xe2\x82\xac"}]}',
    "not json": b'{"messages":',
    "every byte": bytes(range(256)) * 16,
    "just held": random.Random(1).randbytes(1 << 20),
    "just streamed": random.Random(2).randbytes((1 << 20) + 1),
    "large": random.Random(3).randbytes(5_000_000),
}


@pytest.mark.parametrize("name", BODIES)
async def test_bodies_with_a_length_pass_unchanged(name: str) -> None:
    body = BODIES[name]
    async with FakeServer(OK) as server, running_proxy(server.url) as proxy, await proxy.connect() as client:
        assert (await client.exchange(ask("POST", "/upload", ("Content-Type", "image/png"), body=body)))[0] == 200
        (request,) = server.requests
        assert request.body == body
        assert request.values("content-length") == [str(len(body))]
        assert request.values("transfer-encoding") == []
        assert request.values("content-type") == ["image/png"]
        assert (await proxy.only_record()).request_bytes == len(body)


@pytest.mark.parametrize("name", BODIES)
async def test_bodies_in_chunks_pass_in_chunks(name: str) -> None:
    body = BODIES[name]
    pieces = [body[start : start + 100_003] for start in range(0, len(body), 100_003)]
    async with FakeServer(OK) as server, running_proxy(server.url) as proxy, await proxy.connect() as client:
        await client.send(ask("POST", "/upload", ("Transfer-Encoding", "chunked")))
        await client.send(b"".join(map(chunk, pieces)) + last_chunk())
        status, fields = await client.head()
        assert (status, await client.body(fields)) == (200, b'{"ok":true}')
        (request,) = server.requests
        assert request.body == body
        assert request.values("transfer-encoding") == ["chunked"]
        assert request.values("content-length") == []
        assert (await proxy.only_record()).request_bytes == len(body)


async def test_extensions_and_trailers_of_a_chunked_request_break_nothing() -> None:
    wire = b'3;name="x;y"\r\nabc\r\n2\r\nde\r\n0\r\nX-Sum: 9\r\n\r\n'
    async with FakeServer(OK) as server, running_proxy(server.url) as proxy, await proxy.connect() as client:
        for _ in range(2):
            await client.exchange(
                ask("POST", "/", ("Transfer-Encoding", "chunked"), ("TE", "trailers"), ("Trailer", "X-Sum")) + wire
            )
        assert [request.body for request in server.requests] == [b"abcde", b"abcde"]
        assert server.requests[0].values("te") == server.requests[0].values("trailer") == []


@pytest.mark.parametrize("method", ["GET", "DELETE", "OPTIONS", "PATCH"])
async def test_any_method_may_have_a_body(method: str) -> None:
    async with FakeServer(OK) as server, running_proxy(server.url) as proxy, await proxy.connect() as client:
        assert (await client.exchange(ask(method, "/", body=b"body")))[0] == 200
        assert server.requests[0].body == b"body"


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
async def test_a_request_without_a_body_gets_no_framing(method: str) -> None:
    async with FakeServer(OK) as server, running_proxy(server.url) as proxy, await proxy.connect() as client:
        assert (await client.exchange(ask(method, "/")))[0] == 200
        assert [name for name, _ in server.requests[0].headers] == ["host"]


async def test_a_slow_client_is_waited_for() -> None:
    """One byte at a time, and nothing goes upstream that is not the request."""
    data = ask("POST", "/a?b", ("X-A", "1"), body=b"slow")
    async with FakeServer(OK) as server, running_proxy(server.url) as proxy, await proxy.connect() as client:
        for byte in data:
            await client.send(bytes([byte]))
        assert (await client.head())[0] == 200
        assert [(request.target, request.body) for request in server.requests] == [("/a?b", b"slow")]


SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
AMBIGUOUS = {
    "both framings": ask("POST", "/", ("Content-Length", "4"), ("Transfer-Encoding", "chunked")) + b"0\r\n\r\n",
    "two lengths": ask("POST", "/", ("Content-Length", "4"), ("Content-Length", "0")),
    "a list of lengths": ask("POST", "/", ("Content-Length", "0, 4")),
    "chunked is not last": ask("POST", "/", ("Transfer-Encoding", "chunked, gzip")) + b"0\r\n\r\n",
    "blank before the colon": ask("POST", "/", ("Content-Length ", "38")),
    "signed length": ask("POST", "/", ("Content-Length", "+38")),
}


@pytest.mark.parametrize("name", AMBIGUOUS)
async def test_ambiguous_framing_smuggles_nothing(name: str) -> None:
    """Either we refuse, or the upstream gets one framing only: never two that it may weigh otherwise than we do."""
    async with FakeServer(OK) as server, running_proxy(server.url) as proxy, await proxy.connect() as client:
        await client.send(AMBIGUOUS[name] + SMUGGLED)
        status, _ = await client.head()
        framings = [[n for n, _ in r.headers if n in ("content-length", "transfer-encoding")] for r in server.requests]
        assert status == 400 or all(len(framing) <= 1 for framing in framings)
        assert status == 400 or server.requests[0].path == "/"


@pytest.mark.parametrize("size", [5, 2_000_000])
async def test_a_broken_chunk_never_makes_a_whole_request(size: int) -> None:
    async with FakeServer(OK) as server, running_proxy(server.url) as proxy, await proxy.connect() as client:
        await client.send(ask("POST", "/", ("Transfer-Encoding", "chunked")) + chunk(bytes(size)) + b"zz\r\nxx\r\n")
        assert (await client.head())[0] == 400
        record = await proxy.only_record()
        assert record.outcome is not Outcome.COMPLETED
        await server.until(lambda: server.live == 0)
        assert not any(request.complete for request in server.requests)


async def test_a_request_that_is_not_http_is_refused_without_the_upstream() -> None:
    async with FakeServer(OK) as server, running_proxy(server.url) as proxy, await proxy.connect() as client:
        await client.send(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 TLS here\r\n\r\n")
        assert (await client.head())[0] == 400
        await client.rest()
        assert not server.connections
        assert not proxy.records


async def test_concurrent_uploads_do_not_mix() -> None:
    bodies = [random.Random(seed).randbytes(30_000) for seed in range(8)]

    async with (
        FakeServer(lambda request: reply(200, [], b"x").then(request_received)) as server,
        running_proxy(server.url) as proxy,
    ):
        clients = [await proxy.connect() for _ in bodies]
        wires = [ask("POST", f"/{n}", body=body) for n, body in enumerate(bodies)]
        for start in range(0, max(map(len, wires)), 5_000):
            for client, wire in zip(clients, wires, strict=True):
                await client.send(wire[start : start + 5_000])
        for client in clients:
            assert (await client.head())[0] == 200
            client.abort()
        assert {request.path: request.body for request in server.requests} == {f"/{n}": b for n, b in enumerate(bodies)}
