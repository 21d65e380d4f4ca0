"""Header fields on their way through the proxy, in both directions."""

from __future__ import annotations

import gzip

import pytest

from tests.fakes.answers import Answer, json_reply, reply, request_received
from tests.fakes.llama_server import FakeServer
from tests.fakes.wire import chunk, head, keep_alive, last_chunk
from tests.proxy.harness import ask, running_proxy

OK = json_reply({"ok": True})
Pairs = list[tuple[str, str]]

REQUEST_FIELDS: Pairs = [
    ("User-Agent", "OpenAI/Python 1.2.3 (x; y) \xe9"),
    ("Accept", "text/event-stream, */*;q=0.1"),
    ("X-Repeat", "1"),
    ("Cookie", "a=1; b=2"),
    ("X-Repeat", "2"),
    ("X-Empty", ""),
    ("X-Inner", "a \t b  c,,d"),
    ("Cookie", "c=3"),
    ("x-repeat", "1"),
    ("Accept-Encoding", "gzip, br;q=0.5"),
    ("Authorization", "Bearer sk-of-the-client"),
    ("Origin", "http://x.test"),
    ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
    ("X!#$%&'*+-.^_`|~9", "odd name"),
    ("X-Long", "v" * 20_000),
]


async def test_request_fields_keep_their_order_repeats_and_bytes() -> None:
    async with FakeServer(OK) as server, running_proxy(server.url) as proxy, await proxy.connect() as client:
        assert (await client.exchange(ask("GET", "/", *REQUEST_FIELDS)))[0] == 200
        received = [(name.lower(), value) for name, value in server.requests[0].headers]
        expected = [("host", "sidecar.test"), *((name.lower(), value) for name, value in REQUEST_FIELDS)]
        assert received == expected


async def test_nothing_is_added_to_a_request() -> None:
    """No Via, no X-Forwarded-For, no User-Agent, no Accept."""
    async with FakeServer(OK) as server, running_proxy(server.url) as proxy, await proxy.connect() as client:
        await client.exchange(ask("POST", "/", body=b"{}"))
        assert [(n.lower(), v) for n, v in server.requests[0].headers] == [
            ("host", "sidecar.test"),
            ("content-length", "2"),
        ]


SESSION = "llama_exporter_0a1b2c3d=plain.aKq0xQ.Zm9vYmFy"


@pytest.mark.parametrize("version", ["1.0", "1.1"])
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_sessions_of_the_admin_listener_stay_here(method: str, version: str) -> None:
    fields: Pairs = [
        ("Cookie", SESSION),
        ("X-First", "1"),
        ("cookie", f"a=1;  b=2; __Host-{SESSION}; c=\xe9"),
        ("Cookie", f"{SESSION}; a=1"),
        ("X-Last", SESSION),
    ]
    sent = ask(method, "/", *fields, body=b"{}" if method == "POST" else None)
    sent = sent.replace(b" HTTP/1.1\r\n", f" HTTP/{version}\r\n".encode(), 1)
    async with FakeServer(OK) as server, running_proxy(server.url) as proxy, await proxy.connect() as client:
        assert (await client.exchange(sent))[0] == 200
        (request,) = server.requests
        received = [(name.lower(), value) for name, value in request.headers if name.lower() != "content-length"]
        assert received[1:] == [
            ("x-first", "1"),
            ("cookie", "a=1;  b=2; c=\xe9"),
            ("cookie", "a=1"),
            ("x-last", SESSION),
        ]
        assert request.body == (b"{}" if method == "POST" else b"")


HOP_BY_HOP: Pairs = [
    ("Connection", "keep-alive, X-Private ,x-other"),
    ("Keep-Alive", "timeout=5, max=100"),
    ("Proxy-Connection", "keep-alive"),
    ("TE", "trailers"),
    ("Trailer", "X-Sum"),
    ("X-Private", "1"),
    ("X-Other", "2"),
    ("x-private", "3"),
]


async def test_hop_by_hop_fields_of_a_request_stay_here() -> None:
    async with FakeServer(OK) as server, running_proxy(server.url) as proxy, await proxy.connect() as client:
        await client.exchange(ask("GET", "/", *HOP_BY_HOP, ("X-Kept", "4")))
        assert [name.lower() for name, _ in server.requests[0].headers] == ["host", "x-kept"]


async def test_hop_by_hop_fields_of_an_answer_stay_here() -> None:
    fields = [*HOP_BY_HOP, ("Upgrade", "h2c"), ("X-Kept", "4")]
    async with (
        FakeServer(reply(200, fields, b"ok")) as server,
        running_proxy(server.url) as proxy,
        await proxy.connect() as client,
    ):
        _, received, body = await client.exchange(ask("GET", "/"))
        assert received == [(b"x-kept", b"4"), (b"content-length", b"2")]
        assert body == b"ok"


@pytest.mark.parametrize(
    "named",
    ["content-length", "Content-Length, Host", "host", "close, host", "transfer-encoding, content-length", "x, host"],
)
async def test_connection_cannot_take_framing_or_host_away(named: str) -> None:
    async with FakeServer(OK) as server, running_proxy(server.url) as proxy, await proxy.connect() as client:
        await client.exchange(ask("POST", "/first", ("Connection", named), body=b"GET /smuggled HTTP/1.1\r\n\r\n"))
        (request,) = server.requests
        assert request.values("host") == ["sidecar.test"]
        assert request.values("content-length") == ["26"]
        assert request.body == b"GET /smuggled HTTP/1.1\r\n\r\n"


async def test_connection_cannot_take_chunked_framing_away() -> None:
    async with FakeServer(OK) as server, running_proxy(server.url) as proxy, await proxy.connect() as client:
        fields = [("Connection", "transfer-encoding"), ("Transfer-Encoding", "chunked")]
        await client.exchange(ask("POST", "/", *fields) + chunk(b"abc") + last_chunk())
        assert server.requests[0].values("transfer-encoding") == ["chunked"]
        assert server.requests[0].body == b"abc"


async def test_an_answers_connection_cannot_take_its_length_away() -> None:
    answer = reply(200, [("Connection", "content-length, set-cookie"), ("Set-Cookie", "a=1")], b"four")
    async with FakeServer(answer) as server, running_proxy(server.url) as proxy, await proxy.connect() as client:
        _, fields, body = await client.exchange(ask("GET", "/"))
        assert fields == [(b"content-length", b"4")]
        assert body == b"four"


ANSWER_FIELDS: Pairs = [
    ("Server", "llama.cpp"),
    ("Date", "Thu, 01 Jan 1970 00:00:00 GMT"),
    ("Set-Cookie", "a=1; Path=/"),
    ("Access-Control-Allow-Origin", ""),
    ("Set-Cookie", "b=2"),
    ("Vary", "Origin"),
    ("X-Latin", "caf\xe9 \xff"),
    ("X-Inner", "a \t b  c,,d"),
    ("vary", "Accept"),
    ("X!#$%&'*+-.^_`|~9", "odd name"),
    ("X-Long", "v" * 20_000),
    ("Set-Cookie", "a=1; Path=/"),
]


@pytest.mark.parametrize("framing", ["length", "chunked"])
async def test_answer_fields_keep_their_order_repeats_and_bytes(framing: str) -> None:
    answer = reply(200, ANSWER_FIELDS, b"ok", framing="length" if framing == "length" else "chunked")
    async with FakeServer(answer) as server, running_proxy(server.url) as proxy, await proxy.connect() as client:
        _, fields, _ = await client.exchange(ask("GET", "/"))
        received = [(name.decode().lower(), value.decode("latin-1")) for name, value in fields]
        kept = [(name.lower(), value) for name, value in ANSWER_FIELDS]
        last = ("content-length", "2") if framing == "length" else ("transfer-encoding", "chunked")
        assert received == [*kept, last]


@pytest.mark.parametrize("fields", [[], [("Date", "x")], [("Server", "y")], [("Date", ""), ("Server", "")]])
async def test_date_and_server_are_the_upstreams_alone(fields: Pairs) -> None:
    async with (
        FakeServer(reply(200, fields, b"")) as server,
        running_proxy(server.url) as proxy,
        await proxy.connect() as client,
    ):
        _, received, _ = await client.exchange(ask("GET", "/"))
        expected = [(name.lower().encode(), value.encode()) for name, value in fields]
        assert received == [*expected, (b"content-length", b"0")]


async def test_a_compressed_answer_is_not_touched() -> None:
    packed = gzip.compress(b'{"choices":[]}' * 100)
    answer = reply(200, [("Content-Type", "application/json"), ("Content-Encoding", "gzip")], packed)
    async with FakeServer(answer) as server, running_proxy(server.url) as proxy, await proxy.connect() as client:
        _, fields, body = await client.exchange(
            ask("POST", "/v1/chat/completions", ("Accept-Encoding", "gzip"), body=b"{}")
        )
        assert body == packed
        assert (b"content-encoding", b"gzip") in fields
        assert server.requests[0].values("accept-encoding") == ["gzip"]


async def test_a_compressed_request_is_not_touched() -> None:
    packed = gzip.compress(b'{"messages":[]}')
    async with FakeServer(OK) as server, running_proxy(server.url) as proxy, await proxy.connect() as client:
        await client.exchange(ask("POST", "/v1/chat/completions", ("Content-Encoding", "gzip"), body=packed))
        assert server.requests[0].body == packed
        assert server.requests[0].values("content-encoding") == ["gzip"]


async def test_folded_and_padded_values_are_joined_not_lost() -> None:
    raw = b"HTTP/1.1 200 OK\r\nX-Padded: \t a b \t \r\nX-Last:\r\nContent-Length: 2\r\n\r\nok"
    async with (
        FakeServer(Answer(request_received, raw)) as server,
        running_proxy(server.url) as proxy,
        await proxy.connect() as client,
    ):
        _, fields, _ = await client.exchange(ask("GET", "/"))
        assert fields == [(b"x-padded", b"a b"), (b"x-last", b""), (b"content-length", b"2")]


async def test_many_fields_pass() -> None:
    fields = [(f"X-{n}", str(n)) for n in range(300)]
    answer = Answer(request_received, head(200, [*fields, keep_alive(), ("Content-Length", "0")]))
    async with FakeServer(answer) as server, running_proxy(server.url) as proxy, await proxy.connect() as client:
        _, received, _ = await client.exchange(ask("GET", "/", *fields))
        expected = [(name.lower(), value) for name, value in fields]
        assert [(n.decode(), v.decode()) for n, v in received[:-1]] == expected
        assert [(n.lower(), v) for n, v in server.requests[0].headers[1:]] == expected
