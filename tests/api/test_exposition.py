import gzip
from dataclasses import dataclass, field

import httpx
import pytest

from exporter.api import admin, completions, exposition
from exporter.api.openapi.document import describe
from exporter.api.room import Room
from exporter.keys import KeyRing
from exporter.telemetry.exposition import Exposition, Rendered
from tests.api.completions.past import FakePast, stored
from tests.api.views import make_views
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


AXIOS = "application/json, text/plain, */*"
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"
PROMETHEUS = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,"
    "application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,"
    "text/plain;version=0.0.4;q=0.2,*/*;q=0.1"
)


def room_with_document(past: FakePast | None, renderer: Renderer | None = None) -> Room:
    return exposition.room(renderer or Renderer(), document=completions.metrics_of(make_views(past=past)))


async def ask(path: str, accept: str | None, past: FakePast | None = None, method: str = "GET") -> httpx.Response:
    app = admin.application([room_with_document(past)], KeyRing([]))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://sidecar") as client:
        client.headers.clear()
        return await client.request(method, path, headers={} if accept is None else {"accept": accept})


@pytest.mark.parametrize("accept", [None, "", "*/*", "text/plain", BROWSER, PROMETHEUS, "text/plain, application/json"])
@pytest.mark.parametrize("path", ["/metrics", "/metrics?", "/metrics?name=x&limit=1"])
async def test_others_get_text_beside_a_document(path: str, accept: str | None) -> None:
    answer = await ask(path, accept, FakePast())
    assert (answer.status_code, answer.text) == (200, "a 1\n")
    assert answer.headers["vary"] == "Accept, Accept-Encoding"


@pytest.mark.parametrize(
    ("path", "accept"),
    [
        ("/metrics", "application/json"),
        ("/metrics", AXIOS),
        ("/metrics", "text/plain;q=0.5, application/json"),
        *(("/metrics?start=2026-01-01", accept) for accept in (None, "*/*", "text/plain", PROMETHEUS)),
        ("/metrics?end=", "*/*"),
        ("/metrics?instance=box", "*/*"),
    ],
)
async def test_the_document_for_those_who_want_it(path: str, accept: str | None) -> None:
    answer = await ask(path, accept, FakePast([stored()]))
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["vary"] == "Accept"
    assert answer.json()["total_requests"] == 1
    head = await ask(path, accept, FakePast([stored()]), "HEAD")
    assert head.headers == answer.headers


@pytest.mark.parametrize(
    ("path", "status"), [("/metrics?start=x", 400), ("/metrics", 503), ("/metrics?start=2026-01-01", 503)]
)
async def test_the_documents_errors_have_its_form(path: str, status: int) -> None:
    answer = await ask(path, AXIOS, FakePast() if status == 400 else None)
    assert (answer.status_code, list(answer.json())) == (status, ["detail"])
    assert answer.headers["vary"] == "Accept"


async def test_without_a_document_everybody_gets_text() -> None:
    async with client_of(Renderer()) as client:
        answer = await client.get("/metrics?start=x", headers={"accept": "application/json"})
    assert answer.text == "a 1\n"


def test_both_answers_are_described() -> None:
    operation = describe([room_with_document(None)], "1.2.3", keys=False)["paths"]["/metrics"]["get"]
    answers = operation["responses"]
    assert answers.keys() == {"200", "400", "405", "500", "503"}
    assert list(answers["200"]["content"]) == ["text/plain", "application/openmetrics-text", "application/json"]
    assert [each["name"] for each in operation["parameters"]] == ["start", "end", "instance"]
    alone = describe([exposition.room(Renderer())], "1.2.3", keys=False)["paths"]["/metrics"]["get"]
    assert list(alone["responses"]["200"]["content"]) == ["text/plain", "application/openmetrics-text"]
    assert "parameters" not in alone
