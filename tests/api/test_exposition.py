import gzip
from dataclasses import dataclass, field

import httpx
import pytest

from exporter.api import admin, exposition
from exporter.keys import KeyRing
from exporter.telemetry.exposition import Exposition, Rendered
from tests.telemetry.examples import example_sources

TEXT = "text/plain; version=0.0.4; charset=utf-8"


@dataclass
class Renderer:
    """Notes what it was asked for."""

    asked: list[tuple[str | None, str | None]] = field(default_factory=list)
    encoding: str | None = None

    async def __call__(self, accept: str | None, accept_encoding: str | None) -> Rendered:
        self.asked.append((accept, accept_encoding))
        return Rendered(b"a 1\n", TEXT, self.encoding)


def client_of(render: exposition.Render) -> httpx.AsyncClient:
    app = admin.application([exposition.room(render)], KeyRing([]))
    client = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://sidecar")
    client.headers.clear()
    return client


async def test_a_scrape_is_answered() -> None:
    async with client_of(Renderer()) as client:
        answer = await client.get("/metrics")
    assert answer.status_code == 200
    assert answer.content == b"a 1\n"
    assert answer.headers["content-type"] == TEXT
    assert answer.headers["cache-control"] == "no-cache"
    assert answer.headers["vary"] == "Accept, Accept-Encoding"
    assert answer.headers["content-length"] == "4"
    assert "content-encoding" not in answer.headers


async def test_head_has_the_headers_and_no_body() -> None:
    async with client_of(Renderer()) as client:
        got = await client.get("/metrics")
        head = await client.head("/metrics")
    assert head.status_code == 200
    assert head.headers == got.headers
    assert head.content == b""


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
async def test_other_methods_are_refused(method: str) -> None:
    renderer = Renderer()
    async with client_of(renderer) as client:
        answer = await client.request(method, "/metrics")
    assert answer.status_code == 405
    assert {word.strip() for word in answer.headers["allow"].split(",")} == {"GET", "HEAD"}
    assert renderer.asked == []


async def test_the_scraper_is_asked_what_it_wants() -> None:
    renderer = Renderer()
    async with client_of(renderer) as client:
        await client.get("/metrics", headers=[("accept", "a/b"), ("accept", "c/d;q=0.5"), ("accept-encoding", "br")])
        await client.get("/metrics")
    assert renderer.asked == [("a/b, c/d;q=0.5", "br"), (None, None)]


async def test_the_encoding_is_named() -> None:
    async with client_of(Renderer(encoding="gzip")) as client:
        answer = await client.head("/metrics")
    assert answer.headers["content-encoding"] == "gzip"


async def test_the_real_exposition_is_served() -> None:
    exposition = Exposition(*example_sources())
    async with client_of(exposition.render) as client:
        headers = {"accept": "application/openmetrics-text;version=1.0.0", "accept-encoding": "gzip"}
        async with client.stream("GET", "/metrics", headers=headers) as answer:
            raw = b"".join([chunk async for chunk in answer.aiter_raw()])
    assert answer.headers["content-type"] == "application/openmetrics-text; version=1.0.0; charset=utf-8"
    assert int(answer.headers["content-length"]) == len(raw)
    assert gzip.decompress(raw).endswith(b"# EOF\n")
