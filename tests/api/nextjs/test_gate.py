"""What holds for every route of the room: the limit, what stands in heads, errors in the contract's form, keys, foreign
pages."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from exporter.api import admin, nextjs, synapse
from exporter.api.nextjs.gate import Gate
from exporter.api.nextjs.rate_limit import RateLimit
from exporter.asgi import Receive, Scope, Send
from exporter.keys import KeyRing
from exporter.system.snapshot import Snapshot
from tests.api.nextjs.stand import Stand, managing
from tests.api.synapse.desk import LiveIntake
from tests.api.views import Clock, make_live, make_views

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
PAGE = "https://page.example"


@pytest.fixture
async def stand(tmp_path: Path) -> AsyncIterator[Stand]:
    async with managing(tmp_path, per_minute=100, clock=Clock()) as made:
        yield made


def check_error(document: Any, status: int, code: str, request_id: str) -> None:
    """The documented form."""
    assert set(document) == {"error", "status"}
    assert document["status"] == status
    error = document["error"]
    assert set(error) == {"code", "message", "details", "fields", "timestamp", "requestId"}
    assert error["code"] == code
    assert error["requestId"] == request_id
    assert TIME.fullmatch(error["timestamp"])
    assert isinstance(error["details"], str)
    assert error["message"]


async def test_exactly_100_a_minute(stand: Stand) -> None:
    answers = [await stand.ask("GET", "/api/models") for _ in range(101)]
    assert [answer.status_code for answer in answers] == [200] * 100 + [429]
    assert [answer.headers["x-ratelimit-remaining"] for answer in answers] == [*map(str, range(99, -1, -1)), "0"]
    assert {answer.headers["x-ratelimit-limit"] for answer in answers} == {"100"}
    assert len({answer.headers["x-ratelimit-reset"] for answer in answers}) == 1
    refused = answers[-1]
    check_error(refused.json(), 429, "RATE_LIMITED", refused.headers["x-request-id"])
    assert refused.headers["retry-after"] == "60"
    assert int(refused.headers["x-ratelimit-reset"]) == int(stand.clock.wall()) + 60
    assert (await stand.ask("GET", "/api/models", address="10.0.0.9")).status_code == 200
    stand.clock.now += 60
    assert (await stand.ask("GET", "/api/models")).status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/api/models/nope", 404),
        ("GET", "/api/config/nope", 404),
        ("GET", "/api/monitoring/nope/x", 404),
        ("PATCH", "/api/status", 405),
        ("DELETE", "/api/models", 405),
        ("GET", "/api/monitoring/history?hours=0", 400),
        ("GET", "/api/monitoring", 503),
        ("HEAD", "/api/config", 200),
    ],
)
async def test_every_answer_says_what_is_left_and_which_request_it_is(
    stand: Stand, method: str, path: str, status: int
) -> None:
    answer = await stand.ask(method, path, headers={"X-Request-ID": "mine-1"})
    assert answer.status_code == status
    assert answer.headers["x-api-version"] == "v1.0.0"
    assert answer.headers["x-request-id"] == "mine-1"
    assert answer.headers["x-ratelimit-remaining"] == "99"
    assert answer.headers["cache-control"] == "no-cache"
    if method != "HEAD" and status != 200:
        codes = {404: "NOT_FOUND", 405: "METHOD_NOT_ALLOWED", 400: "VALIDATION_ERROR", 503: "SERVICE_UNAVAILABLE"}
        check_error(answer.json(), status, codes[status], "mine-1")
    assert ("retry-after" in answer.headers) is (status == 503)


@pytest.mark.parametrize("sent", ["", "a" * 129, "caf\xe9", "tab\there"])
async def test_a_request_id_that_cannot_be_sent_back(stand: Stand, sent: str) -> None:
    answer = await stand.ask("GET", "/api/models/nope", headers={"X-Request-ID": sent.encode("latin-1")})  # type: ignore[dict-item]
    made = answer.headers["x-request-id"]
    assert re.fullmatch(r"req_[0-9a-f]{16}", made)
    assert answer.json()["error"]["requestId"] == made


async def test_without_a_limit_nothing_is_said_of_one(tmp_path: Path) -> None:
    async with managing(tmp_path, per_minute=0) as stand:
        answer = await stand.ask("GET", "/api/models")
    assert answer.headers["x-api-version"] == "v1.0.0"
    assert not [name for name in answer.headers if name.startswith("x-ratelimit")]


async def test_a_key_is_asked_for_first_and_in_the_form_of_the_path(tmp_path: Path) -> None:
    async with managing(tmp_path, per_minute=2, keys=("k",)) as stand:
        for _ in range(3):
            refused = await stand.ask("GET", "/api/models")
            check_error(refused.json(), 401, "UNAUTHORIZED", refused.headers["x-request-id"])
            assert refused.headers["x-api-version"] == "v1.0.0"
            assert "www-authenticate" in refused.headers
        started = await stand.ask("POST", "/api/models/a/start")
        assert isinstance(started.json()["error"], str)
        allowed = await stand.ask("GET", "/api/models", headers={"x-api-key": "k"})
        assert (allowed.status_code, allowed.headers["x-ratelimit-remaining"]) == (200, "1")


async def test_pages_of_other_origins(tmp_path: Path) -> None:
    async with managing(tmp_path, per_minute=100, origins=("*",)) as stand:
        read = await stand.ask("GET", "/api/models", headers={"origin": PAGE})
        exposed = {name.strip().lower() for name in read.headers["access-control-expose-headers"].split(",")}
        assert exposed >= {"x-api-version", "x-ratelimit-remaining", "retry-after", "x-request-id"}
        wrote = await stand.ask("DELETE", "/api/models/a", headers={"origin": PAGE})
        check_error(wrote.json(), 403, "FORBIDDEN", wrote.headers["x-request-id"])
    async with managing(tmp_path / "named", per_minute=100, origins=(PAGE,)) as stand:
        asked = {
            "origin": PAGE,
            "access-control-request-method": "PUT",
            "access-control-request-headers": "content-type",
        }
        preflight = await stand.ask("OPTIONS", "/api/models/a", headers=asked)
        assert preflight.status_code == 200
        assert "PUT" in preflight.headers["access-control-allow-methods"]
        assert (await stand.ask("DELETE", "/api/models/a", headers={"origin": PAGE})).status_code == 404


async def test_a_failure_of_ours(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise RuntimeError("a secret")

    monkeypatch.setattr(stand.models, "all", fail)
    answer = await stand.ask("GET", "/api/models")
    check_error(answer.json(), 500, "INTERNAL_ERROR", answer.headers["x-request-id"])
    assert answer.headers["x-api-version"] == "v1.0.0"
    assert answer.headers["x-ratelimit-remaining"] == "99"
    assert "secret" not in answer.text


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/api/models/x/y/start", 405),
        ("POST", "/api/models/no%20pe/stop", 404),
        ("POST", "/api/model-templates", 405),
        ("PUT", "/api/model-templates", 405),
    ],
)
async def test_where_clients_show_the_error_it_is_a_text(stand: Stand, method: str, path: str, status: int) -> None:
    answer = await stand.ask(method, path, headers={"X-Request-ID": "mine"})
    document = answer.json()
    assert answer.status_code == status
    assert isinstance(document["error"], str)
    assert document["success"] is False
    assert document["requestId"] == "mine"
    assert document["status"] == ("not_found" if status == 404 else "error")


async def test_429_on_a_start_is_a_text_as_well(tmp_path: Path) -> None:
    async with managing(tmp_path, per_minute=1) as stand:
        await stand.ask("GET", "/api/models")
        answer = await stand.ask("POST", "/api/models/a/start")
    assert answer.status_code == 429
    assert answer.json()["error"].startswith("too many requests from this address: 1 a minute")
    assert answer.json()["model"] == "a"


async def test_other_rooms_are_not_counted_and_keep_their_paths(tmp_path: Path) -> None:
    async with managing(tmp_path, per_minute=1) as stand:
        live = make_live()
        views = make_views(live, snapshot=Snapshot)
        status = synapse.room(views, intake=LiveIntake(live), max_readers=1)
        stand.app = admin.application([status, stand.room], KeyRing(()), ("*",))
        for _ in range(3):
            answer = await stand.ask("GET", "/api/models/status")
            assert answer.status_code == 200
            assert "x-ratelimit-limit" not in answer.headers
            assert "totalVramGb" in answer.json()
        refused = await stand.ask("DELETE", "/api/models/status")
        assert refused.status_code == 405
        assert refused.json()["error"] == "MethodNotAllowed"
        assert (await stand.ask("GET", "/api/models/status/x")).status_code == 404
        assert (await stand.ask("GET", "/api/models/status/x")).status_code == 429


async def test_what_comes_over_socket_io_is_not_counted() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    gate = Gate(RateLimit(1))

    async def through(scope: Scope, receive: Receive, send: Send) -> None:
        await gate(app, scope, receive, send)

    async with httpx.AsyncClient(transport=httpx.ASGITransport(through), base_url="http://admin") as client:
        assert [(await client.get("/socket.io/")).status_code for _ in range(3)] == [204] * 3
        assert [(await client.get("/api/models")).status_code for _ in range(2)] == [204, 429]


def test_every_place_is_below_what_is_counted() -> None:
    assert all(place.startswith("/api/") for place in nextjs.PLACES)
