"""The room that serves the description."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from jsonschema_rs import Draft202012Validator

from exporter.api import admin, openapi
from exporter.api.room import Room
from exporter.keys import KeyRing
from tests.api.openapi.rooms import rooms


def client_of(every: list[Room], *keys: str) -> httpx.AsyncClient:
    app = admin.application([*every, openapi.room(every, "1.2.3", bool(keys))], KeyRing(keys))
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://admin")


async def fetch(*keys: str) -> httpx.Response:
    async with client_of(rooms(), *keys) as client:
        return await client.get("/openapi.json", headers={"x-api-key": "k"})


async def test_the_description_is_served() -> None:
    answer = await fetch()
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-cache"
    assert answer.json()["info"]["version"] == "1.2.3"
    assert {"/-/ready", "/own", "/openapi.json", "/api/docs"} <= answer.json()["paths"].keys()


async def test_it_has_one_tag_for_each_version() -> None:
    first, second, other = await fetch(), await fetch(), await fetch("k")
    assert first.headers["etag"] == second.headers["etag"] != other.headers["etag"]


async def test_it_says_whether_keys_are_wanted() -> None:
    assert "security" not in (await fetch()).json()
    described = (await fetch("k")).json()
    assert described["paths"]["/api/docs"]["get"]["security"] == []
    assert "security" not in described["paths"]["/openapi.json"]["get"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/-/ready", 503),
        ("POST", "/-/ready", 405),
        ("DELETE", "/openapi.json", 405),
        ("GET", "/openapi.json", 200),
    ],
)
async def test_what_is_answered_is_what_is_described(method: str, path: str, status: int) -> None:
    async with client_of(rooms()) as client:
        document = (await client.get("/openapi.json")).json()
        answer = await client.request(method, path)
    assert answer.status_code == status
    described = document["paths"][path]["get"]["responses"][str(status)]
    validator(document, described["content"]["application/json"]["schema"]).validate(answer.json())


async def test_another_document_would_be_noticed() -> None:
    document = (await fetch()).json()
    schema = document["paths"]["/-/ready"]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
    check = validator(document, schema)
    assert check.is_valid({"ready": True, "upstreams": {}})
    assert not check.is_valid({"ready": True, "upstreams": {}, "more": 1})
    assert not check.is_valid({"ready": "yes", "upstreams": {}})


def validator(document: dict[str, Any], schema: dict[str, Any]) -> Draft202012Validator:
    return Draft202012Validator({**schema, "components": document["components"]})
