"""The routes that look at the machine, over HTTP."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from exporter.api.nextjs.monitoring import routes as monitoring
from exporter.api.nextjs.slices import SLICE
from exporter.store.figures import MachinePoint
from tests import nextjs_document
from tests.api.completions.past import WALL_US, FakePast
from tests.api.nextjs import typed
from tests.api.nextjs.stand import managing
from tests.api.synapse.desk import model, seen, server
from tests.api.views import Clock
from tests.telemetry.examples import HOST

WELL = seen(server("Q2", model("a")), server("Q3", model("c")), host=HOST)


def past_of(count: int) -> FakePast:
    past = FakePast()
    first = WALL_US - count * 300_000_000
    past.points = [
        MachinePoint(first + number * 300_000_000, 0.5, 0.25, None, None, 1, 0, 1000) for number in range(count)
    ]
    return past


async def test_before_and_after_the_first_sample(tmp_path: Path) -> None:
    async with managing(tmp_path, clock=Clock()) as stand:
        for path in ("/api/monitoring", "/api/monitoring/latest"):
            answer = await stand.ask("GET", path)
            assert answer.status_code == 503
            assert answer.json()["error"]["code"] == "SERVICE_UNAVAILABLE"
        stand.snapshot = WELL
        await stand.register("a")
        document = await stand.get("/api/monitoring")
        assert typed.differences(nextjs_document.MONITORING, document) == []
        assert document["models"] == {"active": 0, "total": 1, "memoryUsage": 0.0}
        latest = await stand.get("/api/monitoring/latest")
        assert [each["name"] for each in latest["models"]] == ["a"]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", (24 * 3600, 300)),
        ("?hours=1&resolution=1m", (3600, 60)),
        ("?hours=168&resolution=1h&limit=60&minutes=10", (168 * 3600, 3600)),
    ],
)
async def test_history_asks_the_store(tmp_path: Path, query: str, expected: tuple[int, int]) -> None:
    past = past_of(3)
    async with managing(tmp_path, clock=Clock(), views={"past": past}) as stand:
        document = await stand.get(f"/api/monitoring/history{query}")
    ((start, end, step, instance),) = past.charts
    assert ((end - start) // 1_000_000, step) == expected
    assert (end, instance) == (WALL_US, "host:8001")
    assert typed.differences(nextjs_document.HISTORY, {**document, "metrics": []}) == []
    assert "gpu" not in document["metrics"][0]


async def test_a_long_history_is_whole(tmp_path: Path) -> None:
    async with managing(tmp_path, clock=Clock(), views={"past": past_of(2 * SLICE + 7)}) as stand:
        answer = await stand.ask("GET", "/api/monitoring/history?hours=168")
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-cache"
    metrics: list[dict[str, Any]] = answer.json()["metrics"]
    assert len(metrics) == 2 * SLICE + 7
    times = [each["timestamp"] for each in metrics]
    assert times == sorted(set(times))


async def test_history_that_cannot_be_had(tmp_path: Path) -> None:
    past = past_of(1)
    past.failing = True
    async with managing(tmp_path, views={"past": past}) as stand:
        away = await stand.ask("GET", "/api/monitoring/history")
        wrong = await stand.ask("GET", "/api/monitoring/history?hours=0&resolution=x")
    assert (away.status_code, away.json()["error"]["message"]) == (503, monitoring.STORE_AWAY)
    assert "retry-after" in away.headers
    assert wrong.status_code == 400
    assert set(wrong.json()["error"]["fields"]) == {"hours", "resolution"}
    async with managing(tmp_path / "none", views={"past": None}) as stand:
        none = await stand.ask("GET", "/api/monitoring/history")
    assert (none.status_code, none.json()["error"]["message"]) == (503, monitoring.NO_STORE)


async def test_health_is_200_or_503(tmp_path: Path) -> None:
    past = past_of(0)
    async with managing(tmp_path, clock=Clock(), views={"past": past}) as stand:
        assert (await stand.ask("GET", "/api/health")).status_code == 503
        stand.snapshot = WELL
        answer = await stand.ask("GET", "/api/health")
        assert answer.status_code == 200
        assert typed.differences(nextjs_document.HEALTH, answer.json()) == []
        past.failing = True
        stand.clock.now += 1
        answer = await stand.ask("GET", "/api/health")
        assert answer.status_code == 503
        assert answer.json()["services"]["database"]["status"] == "unhealthy"
        status = await stand.get("/api/status")
        assert typed.differences(nextjs_document.STATUS, status) == []
