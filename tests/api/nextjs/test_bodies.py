"""Reading bodies within bounds, over a real server."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from starlette.requests import Request
from starlette.responses import Response

from exporter.api.documents import json_answer
from exporter.api.nextjs.bodies import LONG_BODIES, SHORT_BYTES, VALUES, Bodies, parse
from exporter.asgi import ASGIApp, Receive, Scope, Send
from exporter.models.model import InvalidError, UnavailableError
from tests.api.nextjs.stand import managing
from tests.proxy.harness import ask
from tests.serving import serving


@pytest.mark.parametrize(
    ("body", "found"),
    [(b"", {}), (b" \n", {}), (b"{}", {}), (b'{"config": {"n_ctx": 1}}', {"config": {"n_ctx": 1}}), (b"3", 3)],
)
def test_what_is_in_one(body: bytes, found: object) -> None:
    assert parse(body) == found


@pytest.mark.parametrize(
    "body",
    [b"{", b"nonsense", b'{"a": NaN}', b'{"a": Infinity}', b"\xff\xfe", b'"\\ud800"', b"[" * 2000, b"9" * 10_000],
)
def test_what_is_no_json(body: bytes) -> None:
    with pytest.raises(InvalidError) as raised:
        parse(body)
    assert "body" in raised.value.fields


def test_a_short_body_with_very_many_values() -> None:
    with pytest.raises(InvalidError, match=f"more than {VALUES} values"):
        parse(b"[" + b"[]," * VALUES + b"[]]")


def reading(bodies: Bodies) -> ASGIApp:
    """An application that says how long a body was."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        try:
            answer: Response = json_answer({"length": len(await bodies.json(request))})
        except UnavailableError as error:
            answer = json_answer({"error": str(error)}, error.status)
        await answer(scope, receive, send)

    return app


async def test_who_only_says_that_more_will_come_takes_nobodys_place() -> None:
    bodies = Bodies()
    long = json.dumps("x" * SHORT_BYTES).encode()
    async with serving(reading(bodies)) as server:
        trickling = []
        for framing in (("Transfer-Encoding", "chunked"), ("Content-Length", str(len(long)))) * LONG_BODIES:
            client = await server.connect()
            await client.send(ask("POST", "/", framing) + (b'1\r\n"\r\n' if framing[1] == "chunked" else long[:9]))
            trickling.append(client)
        whole = await server.connect()
        await whole.send(ask("POST", "/", body=long))
        assert (await whole.head())[0] == 200
        assert bodies._long == 0


async def test_only_so_many_long_bodies_at_once() -> None:
    """Each of them sends all but the end; short ones pass all the same."""
    bodies = Bodies()
    long = json.dumps("x" * SHORT_BYTES).encode()
    async with serving(reading(bodies)) as server:
        waiting = []
        for _ in range(LONG_BODIES):
            client = await server.connect()
            await client.send(ask("POST", "/", ("Content-Length", str(len(long)))) + long[:-1])
            waiting.append(client)
        async with asyncio.timeout(10):
            while bodies._long < LONG_BODIES:
                await asyncio.sleep(0.002)
        refused = await server.connect()
        await refused.send(ask("POST", "/", body=long))
        assert (await refused.head())[0] == 503
        short = await server.connect()
        await short.send(ask("POST", "/", body=b'"abc"'))
        assert (await short.head())[0] == 200
        await waiting[0].send(long[-1:])
        assert (await waiting[0].head())[0] == 200
        again = await server.connect()
        await again.send(ask("POST", "/", body=long))
        assert (await again.head())[0] == 200


async def test_one_that_is_too_long(tmp_path: Path) -> None:
    async with managing(tmp_path) as stand:
        body = b'{"models": "' + b"x" * 10_000_000 + b'"}'
        answer = await stand.ask("POST", "/api/models", content=body)
        plain = await stand.ask("POST", "/api/models/a/start", content=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "PAYLOAD_TOO_LARGE")
    assert plain.status_code == 413
    assert isinstance(plain.json()["error"], str)


async def test_one_that_is_just_not_too_long(tmp_path: Path) -> None:
    async with managing(tmp_path) as stand:
        body = b'{"models": "' + b"x" * (10_000_000 - 14) + b'"}'
        answer = await stand.ask("POST", "/api/models", content=body)
    assert answer.status_code == 400
    assert answer.json()["error"]["fields"] == {"models": "must be a list"}


async def test_one_that_says_that_it_is_too_long_is_refused_before_it_comes(tmp_path: Path) -> None:
    """What comes all the same is dropped, and the next request of the connection is answered."""
    length = 10_000_001
    async with managing(tmp_path) as stand, serving(stand.app) as server:
        client = await server.connect()
        await client.send(ask("POST", "/api/models", ("Content-Length", str(length))))
        status, fields = await client.head()
        assert status == 413
        assert b"connection" not in dict(fields)
        await client.body(fields)
        await client.send(b"x" * length + ask("GET", "/api/models"))
        assert (await client.head())[0] == 200


async def test_nobody_is_told_to_send_one_that_is_too_long(tmp_path: Path) -> None:
    async with managing(tmp_path) as stand, serving(stand.app) as server:
        client = await server.connect()
        head = ask("POST", "/api/models", ("Content-Length", "10000001"), ("Expect", "100-continue"))
        await client.send(head)
        status, fields = await client.head()
        assert (status, dict(fields)[b"connection"]) == (413, b"close")
        small = await server.connect()
        await small.send(ask("POST", "/api/models", ("Content-Length", "2"), ("Expect", "100-continue")))
        assert (await small.head())[0] == 100
