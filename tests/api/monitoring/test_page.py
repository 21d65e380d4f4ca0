"""What the browser loads: small, complete, and from nowhere else."""

from __future__ import annotations

import re
from importlib.resources import files

import pytest
from starlette.requests import Request

from exporter.api import monitoring
from exporter.api.monitoring.page import HEADERS, MEDIA, PATH, operations, parts, read_page

LIMIT_BYTES = 200_000
PAGES = ("page.html", "sign-in.html")
ASSETS = {each.name: each.read_bytes() for each in (files(monitoring) / "assets").iterdir()}
OURS = {name: text.decode() for name, text in ASSETS.items() if not name.startswith("uplot.")}


def test_all_of_it_is_small() -> None:
    assert sum(map(len, ASSETS.values())) < LIMIT_BYTES


def test_the_licence_of_what_is_not_ours_lies_beside_it() -> None:
    assert b"MIT" in ASSETS["uplot.LICENSE"]


@pytest.mark.parametrize("name", PAGES)
def test_what_a_page_names_is_there(name: str) -> None:
    named = re.findall(r'(?:href|src)="/monitoring/([^"]+)"', read_page(name).decode())
    assert named
    assert set(named) <= parts().keys()


def test_what_modules_import_is_there() -> None:
    imported = {name for text in OURS.values() for name in re.findall(r'from "\./([^"]+)"', text)}
    modules = {name for name in OURS if name.endswith(".js")}
    assert imported | {"main.js"} == modules


@pytest.mark.parametrize("name", OURS)
def test_nothing_comes_from_elsewhere(name: str) -> None:
    text = OURS[name].replace("http://www.w3.org/2000/svg", "").replace("`curl http://${place}", "")
    assert not re.search(r"https?://|//[a-z]+\.[a-z]", text)


@pytest.mark.parametrize("name", PAGES)
def test_a_page_has_nothing_that_its_policy_forbids(name: str) -> None:
    text = read_page(name).decode()
    assert not re.search(r"<style|style=|<script(?![^>]*src=)|\son[a-z]+=", text)


def test_nothing_becomes_markup() -> None:
    written = [name for name, text in OURS.items() if re.search(r"innerHTML|outerHTML|insertAdjacentHTML|eval\(", text)]
    assert written == []


def test_the_policy_lets_in_nothing_of_others() -> None:
    directives = dict(each.split(" ", 1) for each in HEADERS["content-security-policy"].split("; "))
    assert directives["default-src"] == directives["frame-ancestors"] == directives["base-uri"] == "'none'"
    assert {directives[name] for name in ("script-src", "style-src", "img-src", "connect-src", "form-action")} == {
        "'self'"
    }


async def test_parts_are_served_without_a_key_and_once() -> None:
    served = {operation.path: operation for operation in operations()}
    assert served.keys() == {f"{PATH}/{name}" for name in parts()}
    assert all(operation.open and not operation.described for operation in served.values())
    handler = served[f"{PATH}/main.js"].handler
    first = await handler(Request({"type": "http", "headers": []}))
    assert first.media_type == MEDIA[".js"]
    assert first.body == ASSETS["main.js"]
    again = Request({"type": "http", "headers": [(b"if-none-match", first.headers["etag"].encode())]})
    assert (await handler(again)).status_code == 304
