"""Files: compressed or not, and not sent twice."""

from __future__ import annotations

import gzip

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Route

from exporter.api.files import File, has_current, takes_gzip

PLAIN = b"the same, again and again; " * 100


@pytest.fixture(params=["from plain", "from packed"])
def file(request: pytest.FixtureRequest) -> File:
    if request.param == "from plain":
        return File.of("text/css", PLAIN, {"x-own": "1"})
    return File("text/css", gzip.compress(PLAIN, mtime=0), headers={"x-own": "1"})


async def get(file: File, method: str = "GET", **headers: str) -> httpx.Response:
    app = Starlette(routes=[Route("/", file.answer)])
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://admin") as client:
        client.headers.clear()
        return await client.request(
            method, "/", headers={name.replace("_", "-"): each for name, each in headers.items()}
        )


async def test_who_does_not_ask_for_gzip_gets_none(file: File) -> None:
    answer = await get(file)
    assert answer.content == PLAIN
    assert "content-encoding" not in answer.headers
    assert answer.headers["content-length"] == str(len(PLAIN))
    assert answer.headers["content-type"] == "text/css; charset=utf-8"
    assert answer.headers["x-own"] == "1"
    assert answer.headers["x-content-type-options"] == "nosniff"


async def test_who_asks_for_it_gets_it(file: File) -> None:
    answer = await get(file, accept_encoding="br, gzip")
    assert answer.headers["content-encoding"] == "gzip"
    assert int(answer.headers["content-length"]) < len(PLAIN) / 10
    assert answer.content == PLAIN  # httpx has unpacked it


async def test_caches_are_told(file: File) -> None:
    plain, packed = await get(file), await get(file, accept_encoding="gzip")
    for answer in (plain, packed):
        assert answer.headers["vary"] == "Accept-Encoding"
        assert answer.headers["cache-control"] == "no-cache"
    assert plain.headers["etag"] != packed.headers["etag"]


@pytest.mark.parametrize("encoding", ["identity", "gzip"])
async def test_what_a_client_has_is_not_sent_again(file: File, encoding: str) -> None:
    etag = (await get(file, accept_encoding=encoding)).headers["etag"]
    answer = await get(file, accept_encoding=encoding, if_none_match=f'"old", W/{etag}')
    assert answer.status_code == 304
    assert answer.content == b""
    assert answer.headers["etag"] == etag
    assert (await get(file, accept_encoding=encoding, if_none_match='"old"')).status_code == 200


async def test_the_tag_tells_what_is_inside() -> None:
    first, same, other = [(await get(File.of("text/css", body))).headers["etag"] for body in (b"a", b"a", b"b")]
    assert first == same != other


@pytest.mark.parametrize(
    ("fields", "taken"),
    [
        ([], False),
        ([""], False),
        (["gzip"], True),
        (["GZIP;q=0.5"], True),
        (["gzip;q=0"], False),
        (["gzip; q=0.000, br"], False),
        (["br, deflate"], False),
        (["br", "gzip"], True),
        (["*"], False),
        (["xgzip"], False),
    ],
)
def test_takes_gzip(fields: list[str], taken: bool) -> None:
    assert takes_gzip(fields) is taken


@pytest.mark.parametrize(
    ("fields", "current"),
    [([], False), (["*"], True), (['"a"'], True), (['W/"a"'], True), (['"b", "a"'], True), (["a"], False)],
)
def test_has_current(fields: list[str], current: bool) -> None:
    assert has_current(fields, '"a"') is current
