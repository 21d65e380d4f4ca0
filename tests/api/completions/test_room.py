"""The room behind the admin application: figures, health, errors in the contract's form, keys, other origins, HEAD."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from exporter.api import admin, completions, health
from exporter.api.openapi.document import describe
from exporter.keys import KeyRing
from exporter.store.figures import Figures, Period
from tests.api.completions.past import AWAY, WALL_US, FakePast, client_of, get, make_app, stored
from tests.api.views import make_views

PATHS = ("/metrics", "/completion_requests", "/health")
NOW = "2026-11-20T08:32:30.000Z"
OFF = "history is off: store.url is none"


async def test_figures_of_a_period() -> None:
    past = FakePast(stored(number) for number in range(5))
    answer = await get("/metrics?start=2026-11-20T08:32:29.997Z&end=2026-11-20&instance=box", past)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-cache"
    found = answer.json()
    assert (found["total_requests"], found["recent_requests_24h"], found["timestamp"]) == (4, 5, NOW)
    assert past.periods == [Period(WALL_US - 3000, 1_795_219_199_999_999, "box")]


@pytest.mark.parametrize("accept", ["text/plain", "*/*", "application/openmetrics-text", ""])
async def test_here_it_is_always_json(accept: str) -> None:
    async with client_of(FakePast()) as client:
        answer = await client.get("/metrics", headers={"accept": accept})
    assert answer.json()["total_requests"] == 0


async def test_the_last_24_hours_are_those_before_now() -> None:
    class Noting(FakePast):
        async def figures(self, period: Period, now_us: int) -> Figures:
            assert now_us == WALL_US
            return await super().figures(period, now_us)

    assert (await get("/metrics", Noting())).status_code == 200


async def test_health() -> None:
    answer = await get("/health", FakePast())
    assert (answer.status_code, answer.json()) == (200, {"status": "healthy", "timestamp": NOW})


async def test_a_store_that_does_not_answer() -> None:
    past = FakePast()
    past.failing = True
    for path in PATHS:
        answer = await get(path, past)
        assert answer.status_code == 503
        assert answer.json()["detail"] == AWAY
        assert answer.headers["retry-after"] == "5"
        assert answer.headers["cache-control"] == "no-cache"
    assert (await get("/health", past)).json() == {"status": "unhealthy", "timestamp": NOW, "detail": AWAY}


async def test_no_store() -> None:
    for path in PATHS:
        answer = await get(path, None)
        assert answer.status_code == 503
        assert answer.json()["detail"] == OFF
        assert "retry-after" not in answer.headers
    assert (await get("/health", None)).json() == {"status": "unhealthy", "timestamp": NOW, "detail": OFF}


@pytest.mark.parametrize("path", PATHS[:2])
@pytest.mark.parametrize(
    ("query", "detail"),
    [
        ("start=nonsense", "start: not a date; write 2026-11-20T08:32:30Z, or 2026-11-20"),
        ("start=%00", "start: not a date; write 2026-11-20T08:32:30Z, or 2026-11-20"),
        ("start=%ED%A0%80", "start: not a date; write 2026-11-20T08:32:30Z, or 2026-11-20"),
        ("end=" + "9" * 10_240, "end: not a date; write 2026-11-20T08:32:30Z, or 2026-11-20"),
        ("end=2024-02-30", "end: no such day or time; write 2026-11-20T08:32:30Z, or 2026-11-20"),
        ("start=2024-01-02&end=2024-01-01", "start: later than end"),
        ("start=2024-01-01&start=x", "start: not a date; write 2026-11-20T08:32:30Z, or 2026-11-20"),
        ("instance=a%00", "instance: not the name of a sidecar; write gpu-box-1:8001"),
    ],
)
async def test_what_makes_no_sense(path: str, query: str, detail: str) -> None:
    past = FakePast()
    answer = await get(f"{path}?{query}", past)
    assert (answer.status_code, answer.json()) == (400, {"detail": detail})
    assert past.asked == []
    assert past.periods == []


@pytest.mark.parametrize(
    ("query", "start_us"),
    [
        ("start=2024-01-15T12:00:00+02:00", 1_705_312_800_000_000),
        ("start=2024-01-15T12:00:00%2B02:00", 1_705_312_800_000_000),
        ("start=2024-01-15%2012:00:00-0200", 1_705_327_200_000_000),
        ("start=2024-01-15+12:00:00", 1_705_320_000_000_000),
        ("start=", None),
        ("start=x&start=2024-01-15T12%3A00%3A00.000Z", 1_705_320_000_000_000),
    ],
)
async def test_dates_as_they_come(query: str, start_us: int | None) -> None:
    past = FakePast()
    assert (await get(f"/metrics?{query}", past)).status_code == 200
    assert past.periods == [Period(start_us)]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
async def test_methods_that_there_are_not(path: str, method: str) -> None:
    async with client_of(FakePast()) as client:
        answer = await client.request(method, path)
    assert answer.status_code == 405
    assert answer.json() == {"detail": f"{method} is not allowed here, only GET, HEAD"}
    assert answer.headers["allow"] == "GET, HEAD"


@pytest.mark.parametrize("path", ["/", "/metrics/", "/completion_requests/1", "/nope"])
async def test_unknown_paths(path: str) -> None:
    answer = await get(path, FakePast())
    assert (answer.status_code, answer.json()) == (404, {"detail": f"no such path: {path}"})


@pytest.mark.parametrize("path", [*PATHS, "/nope"])
async def test_keys_come_before_everything_else(path: str) -> None:
    async with client_of(FakePast(), keys=["k"]) as client:
        answer = await client.get(f"{path}?start=nonsense")
        with_key = await client.get("/metrics", headers={"x-api-key": "k"})
    assert answer.status_code == 401
    assert answer.json().keys() == {"detail"}
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert with_key.status_code == 200


@pytest.mark.parametrize("path", ["/metrics", "/health", "/metrics?start=x", "/completion_requests?limit=0"])
async def test_other_origins_may_read(path: str) -> None:
    """Also why not: a page that is not told so says that it could not connect."""
    async with client_of(FakePast()) as client:
        answer = await client.get(path, headers={"origin": "http://front-end.test"})
    assert answer.headers["access-control-allow-origin"] == "*"


@pytest.mark.parametrize("path", ["/metrics", "/health", "/metrics?start=x"])
@pytest.mark.parametrize("failing", [True, False])
async def test_head_is_the_head_of_get(path: str, failing: bool) -> None:
    past = FakePast()
    past.failing = failing
    async with client_of(past) as client:
        head, got = await client.head(path), await client.get(path)
    assert (head.status_code, head.headers) == (got.status_code, got.headers)


async def test_another_failure_has_the_form_of_errors() -> None:
    class Broken(FakePast):
        async def figures(self, period: Period, now_us: int) -> Figures:
            raise ValueError("the password is secret")

    app = make_app(Broken())
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
        answer = await client.get("/metrics")
    assert answer.status_code == 500
    assert answer.json().keys() == {"detail"}
    assert "secret" not in answer.text


async def test_beside_other_rooms_it_is_the_list_alone() -> None:
    views = make_views(past=FakePast())
    app = admin.application([health.room(views), completions.room(views, shared=True)], KeyRing([]))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://x") as client:
        assert (await client.get("/metrics")).status_code == 404
        assert "providers" in (await client.get("/health")).json()
        assert (await client.get("/completion_requests?limit=x")).json().keys() == {"detail"}
        assert (await client.get("/nope")).json().keys() == {"error"}


@pytest.mark.parametrize("path", PATHS)
async def test_what_is_answered_is_what_is_described(path: str) -> None:
    operation = described()["paths"][path]["get"]
    assert operation["responses"].keys() == {"200", "405", "500", "503"} | ({"400"} if path != "/health" else set())
    names = [each["name"] for each in operation.get("parameters", ())]
    assert (
        names
        == {
            "/metrics": ["start", "end", "instance"],
            "/completion_requests": ["start", "end", "instance", "limit", "before"],
            "/health": [],
        }[path]
    )


def described() -> dict[str, Any]:
    return describe([completions.room(make_views())], "1.2.3", keys=False)
