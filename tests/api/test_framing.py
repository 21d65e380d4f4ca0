"""Answers of unknown length to clients that know no chunks, over real connections."""

from __future__ import annotations

import pytest

from exporter.api.framing import Framing
from exporter.asgi import Receive, Scope, Send
from tests.proxy.harness import ask
from tests.serving import on_both_loops, serving

PIECES = (b"one", b"two\n", b"x" * 100_000)


async def pieces(scope: Scope, receive: Receive, send: Send) -> None:
    """By every way that a part of a body can go: written at once, sent, and sent with the end."""
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    assert scope["method"] != "HEAD"
    scope["write"](PIECES[0])
    await send({"type": "http.response.body", "body": PIECES[1], "more_body": True})
    await send({"type": "http.response.body", "more_body": True})
    await send({"type": "http.response.body", "body": PIECES[2]})


async def whole(scope: Scope, receive: Receive, send: Send) -> None:
    """An answer whose length is known."""
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


async def endless(scope: Scope, receive: Receive, send: Send) -> None:
    """The head of an event stream, whose body is not wanted."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})


@pytest.mark.parametrize("field", ["", "Connection: keep-alive\r\n", "Connection: close\r\n"])
@on_both_loops
async def test_it_ends_with_the_connection(field: str) -> None:
    async with serving(Framing(pieces)) as running, await running.connect() as client:
        await client.send(f"GET / HTTP/1.0\r\n{field}\r\n".encode())
        status, fields = await client.head()
        assert (status, fields) == (200, [(b"content-type", b"text/plain"), (b"connection", b"close")])
        assert await client.rest() == b"".join(PIECES)
        await running.until_open(0)


@on_both_loops
async def test_other_clients_get_chunks_and_stay() -> None:
    async with serving(Framing(pieces)) as running, await running.connect() as client:
        for _ in range(2):
            status, fields, body = await client.exchange(ask("GET", "/"))
            assert (status, body) == (200, b"".join(PIECES))
            assert (b"transfer-encoding", b"chunked") in fields


@on_both_loops
async def test_a_length_that_is_known_stays() -> None:
    async with serving(Framing(whole)) as running, await running.connect() as client:
        await client.send(b"GET / HTTP/1.0\r\n\r\n")
        assert (await client.head())[1] == [(b"content-length", b"2"), (b"connection", b"close")]
        assert await client.rest() == b"ok"


@on_both_loops
async def test_a_head_alone() -> None:
    async with serving(Framing(endless)) as running, await running.connect() as client:
        await client.send(b"HEAD / HTTP/1.0\r\n\r\n")
        assert (await client.head())[1] == [(b"connection", b"close")]
        assert await client.rest() == b""
