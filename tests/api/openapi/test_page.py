"""The page at `/api/docs` and what it loads."""

from __future__ import annotations

import gzip
import re
from html.parser import HTMLParser
from pathlib import Path

import httpx
import pytest

from exporter.api import admin, openapi
from exporter.keys import KeyRing
from tests.api.openapi.rooms import rooms

ROOT = Path(__file__).parents[3]
VIEWER = ROOT / "exporter" / "api" / "openapi" / "viewer"
PARTS = ("swagger-ui-bundle.js", "swagger-ui.css", "page.js", "page.css")


def application(*keys: str, version: str = "1.2.3") -> httpx.AsyncClient:
    every = rooms()
    app = admin.application([*every, openapi.room(every, version, bool(keys))], KeyRing(keys))
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://admin")


class Elements(HTMLParser):
    """Every element with its attributes, and the text within scripts and styles."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.inline = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attributes)))

    def handle_data(self, data: str) -> None:
        if self.found and self.found[-1][0] in ("script", "style"):
            self.inline += data.strip()


async def test_the_page_loads_its_parts_and_nothing_else() -> None:
    async with application() as client:
        html = (await client.get("/api/docs")).text
        elements = Elements(html)
        loaded = {attributes.get("src") or attributes.get("href") for _, attributes in elements.found} - {None}
        assert loaded == {"data:,", "/openapi.json", *(f"/api/docs/{name}" for name in PARTS)}
        assert elements.inline == ""
        assert not any(name.startswith("on") for _, attributes in elements.found for name in attributes)
        for name in PARTS:
            answer = await client.get(f"/api/docs/{name}")
            assert answer.status_code == 200
            assert answer.headers["content-type"].startswith("text/css" if name.endswith("css") else "text/javascript")


async def test_browsers_are_told_to_trust_nobody_else() -> None:
    async with application() as client:
        policy = (await client.get("/api/docs")).headers["content-security-policy"]
    directives = dict(directive.split(" ", 1) for directive in policy.split("; "))
    assert directives["default-src"] == "'none'"
    assert directives["script-src"] == directives["connect-src"] == "'self'"
    assert "http" not in policy


async def test_the_page_is_open_and_the_description_is_not() -> None:
    async with application("k") as client:
        for path in ("/api/docs", *(f"/api/docs/{name}" for name in PARTS)):
            assert (await client.get(path)).status_code == 200
        assert (await client.get("/openapi.json")).status_code == 401
        assert (await client.get("/openapi.json", headers={"x-api-key": "k"})).status_code == 200


@pytest.mark.parametrize("keys", [(), ("k",)])
async def test_the_page_asks_for_a_key_where_one_is_wanted(keys: tuple[str, ...]) -> None:
    async with application(*keys) as client:
        html = (await client.get("/api/docs")).text
    assert ('id="key-form"' in html) is bool(keys)
    assert 'id="problem"' in html
    assert "<noscript>" in html


async def test_the_version_is_escaped() -> None:
    async with application(version="1<2") as client:
        assert "1&lt;2" in (await client.get("/api/docs")).text


def test_the_bundled_viewer_is_the_one_that_is_named() -> None:
    version = re.search(r"SWAGGER_UI\s*:= (\S+)", (ROOT / "Makefile").read_text())
    assert version is not None
    bundle = gzip.decompress((VIEWER / "swagger-ui-bundle.js.gz").read_bytes()).decode()
    assert f'PACKAGE_VERSION:"{version[1]}"' in bundle
    assert f"Swagger UI {version[1]} " in (VIEWER / "README.md").read_text()


@pytest.mark.parametrize("name", ["swagger-ui-bundle.js.gz", "swagger-ui.css.gz"])
def test_bundled_files_carry_no_time(name: str) -> None:
    head = (VIEWER / name).read_bytes()[:10]
    assert head[:4] == b"\x1f\x8b\x08\x00", "gzip, without a name"
    assert head[4:8] == bytes(4)


@pytest.mark.parametrize("name", ["LICENSE", "NOTICE", "swagger-ui-bundle.js.LICENSE.txt"])
def test_their_licences_lie_beside_them(name: str) -> None:
    assert (VIEWER / name).stat().st_size > 0
