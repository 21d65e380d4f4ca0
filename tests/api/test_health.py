"""Liveness, readiness, keys and errors of the admin listener."""

from __future__ import annotations

from collections.abc import Mapping

import httpx
import pytest
import yaml

from exporter.api import admin, health, index
from exporter.api.documents import encode
from exporter.api.views import UpstreamView, Views
from exporter.keys import KeyRing
from exporter.system.snapshot import LlamaServerSnapshot, ServerState, Snapshot
from tests.api.views import make_views

UP = LlamaServerSnapshot(upstream="a", tiers=("Q2",), state=ServerState.READY)
DOWN = LlamaServerSnapshot(upstream="b", tiers=("Q4",), state=ServerState.UNREACHABLE, error="connection refused")


def views(servers: Mapping[str, LlamaServerSnapshot], *, sampled: bool = True) -> Views:
    upstreams = tuple(UpstreamView(name, "llama_cpp", None, 8080) for name in "ab")
    return make_views(upstreams=upstreams, snapshot=lambda: Snapshot(servers=servers), servers_sampled=sampled)


async def get(
    path: str, *, keys: tuple[str, ...] = (), headers: Mapping[str, str] = {}, **state: object
) -> httpx.Response:
    servers = state.get("servers", {"a": UP, "b": DOWN})
    assert isinstance(servers, dict)
    app = admin.application([health.room(views(servers)), index.room("1.2.3")], KeyRing(keys))
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://admin") as client:
        return await client.request(str(state.get("method", "GET")), path, headers=dict(headers))


async def test_ready_names_those_that_are_not() -> None:
    answer = await get("/-/ready")
    assert answer.status_code == 200
    assert answer.json() == {
        "ready": True,
        "upstreams": {
            "a": {"ready": True, "state": "ready"},
            "b": {"ready": False, "state": "unreachable", "reason": "connection refused"},
        },
    }


async def test_not_ready_when_none_answers() -> None:
    answer = await get("/-/ready", servers={"b": DOWN})
    assert answer.status_code == 503
    assert answer.json()["upstreams"]["a"] == {"ready": None, "state": "not looked at yet"}


def test_readiness_is_not_doubted_where_nobody_looks() -> None:
    document = health.readiness(("a",), Snapshot(), sampled=False)
    assert document == {"ready": True, "upstreams": {"a": {"ready": None, "state": "not looked at"}}}


async def test_healthy_is_open_and_the_rest_needs_a_key() -> None:
    assert (await get("/-/healthy", keys=("k",))).status_code == 200
    refused = await get("/-/ready", keys=("k",))
    assert refused.status_code == 401
    assert refused.headers["www-authenticate"].startswith("Bearer")
    assert refused.json()["error"]["code"] == 401
    assert (await get("/-/ready", keys=("k",), headers={"x-api-key": "k"})).status_code == 200
    assert (await get("/-/ready", keys=("k",), headers={"authorization": "bearer k"})).status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", "/nope", 404), ("POST", "/-/ready", 405), ("DELETE", "/", 405)]
)
async def test_errors_have_one_form(method: str, path: str, status: int) -> None:
    answer = await get(path, method=method)
    assert answer.status_code == status
    assert answer.json()["error"]["code"] == status
    assert ("allow" in answer.headers) == (status == 405)


async def test_health_is_for_clients_of_other_systems() -> None:
    answer = await get("/health")
    assert answer.status_code == 200
    assert answer.json() == {
        "status": "healthy",
        "timestamp": "2026-11-20T08:32:30.000Z",
        "default_provider": "llama_cpp",
        "providers": {"llama_cpp": {"api_format": "openai"}},
    }


async def test_health_without_an_upstream_is_degraded_and_says_what_to_do() -> None:
    answer = await get("/health", servers={"b": DOWN})
    assert answer.status_code == 200
    assert answer.json()["status"] == "degraded"
    assert "GET /-/ready" in answer.json()["suggestions"][-1]


def test_providers_are_told_in_the_order_of_the_upstreams() -> None:
    document = health.health(["zeta", "\N{GRINNING FACE}: #a", "zeta"], 0.0, ready=True)
    assert document["default_provider"] == "zeta"
    assert list(document["providers"]) == ["zeta", "\N{GRINNING FACE}: #a"]
    assert yaml.safe_load(encode(document)) == document


async def test_health_gives_away_nothing_and_wants_a_key() -> None:
    assert (await get("/health", keys=("k",))).status_code == 401
    assert "8080" not in (await get("/health")).text


async def test_index_links_to_what_there_is() -> None:
    answer = await get("/")
    assert answer.headers["content-type"].startswith("text/html")
    assert 'href="/metrics"' in answer.text
    assert "1.2.3" in answer.text
