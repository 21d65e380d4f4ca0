"""Health and status in the contract's keys."""

from __future__ import annotations

import asyncio
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from exporter.api.nextjs.facts import Facts, Place, SocketFigures
from exporter.api.nextjs.monitoring.health import CHECK_SECONDS, StoreCheck, StoreChecks, health, status
from exporter.errors import StoreError
from exporter.models.model import Model, Registered, Status
from exporter.models.server.managed import ManagedServer, ServerStatus
from exporter.record import Outcome
from exporter.store.database import Database
from exporter.store.reader import Reader
from exporter.system.snapshot import CollectorStatus, ServerState, Snapshot
from tests import nextjs_document
from tests.api.completions.past import FakePast
from tests.api.nextjs import typed
from tests.api.synapse.desk import model, seen, server
from tests.api.views import NOW, Clock, make_live, make_views
from tests.telemetry.examples import HOST, record

FACTS = Facts(
    "0.0.0.0", 9464, (Place("Q2", "10.0.0.2", 8082), Place("Q3", "10.0.0.3", 8083)), store_connections=lambda: 5
)
CHECKS = {
    "llama_server:Q2": CollectorStatus("llama_server:Q2", True, 0.1, NOW - 15),
    "health:Q2": CollectorStatus("health:Q2", True, 0.1, NOW - 2.5),
}
WELL = seen(server("Q2", model("a"), model("b")), server("Q3", model("c")), host=HOST, collectors=CHECKS)
STORE = StoreCheck(answers=True, seconds=0.01234)
READY = ManagedServer(ServerStatus.READY, 2, "ended by SIGKILL", 1.0, 42)


def shown(snapshot: Snapshot = WELL, **fields: Any) -> Any:
    given = {"managed": None, "store": STORE, **fields}
    views = make_views(servers_sampled=given.pop("sampled", True))
    return health(views, FACTS, snapshot, **given)


def test_every_documented_key_is_there_with_its_type() -> None:
    document = shown()
    assert typed.differences(nextjs_document.HEALTH, document) == []
    assert document["status"] == "healthy"
    services = document["services"]
    assert services["proxy"] == {"status": "healthy", "uptime": 90_061, "version": "1.2.3"}
    assert services["llama_server"] == {
        "name": "Q2",
        "status": "healthy",
        "host": "10.0.0.2",
        "port": 8082,
        "models_loaded": 3,
        "last_health_check": "2026-11-20T08:32:27.500Z",
    }
    assert [each["models_loaded"] for each in services["llama_servers"]] == [2, 1]
    assert services["database"] == {"status": "healthy", "connections": 5, "response_time": 12.34}
    assert document["system"] == {"cpu_usage": 12.5, "memory_usage": 25.0, "disk_usage": 73.68}


def test_one_llama_server_that_is_not_well() -> None:
    down = server("Q3", state=ServerState.UNREACHABLE, error="connection refused")
    document = shown(seen(server("Q2", model("a")), down))
    services = document["services"]
    assert document["status"] == "unhealthy"
    assert services["llama_server"]["status"] == "unhealthy"
    assert services["llama_server"]["error"] == "Q3: connection refused"
    assert [each["status"] for each in services["llama_servers"]] == ["healthy", "unhealthy"]


def test_before_anybody_has_looked() -> None:
    document = shown(Snapshot())
    assert document["status"] == "unhealthy"
    assert document["services"]["llama_server"]["error"] == "not looked at yet"
    assert document["services"]["llama_server"]["last_health_check"] is None
    assert document["system"] == {"cpu_usage": None, "memory_usage": None, "disk_usage": None}


def test_where_nobody_looks() -> None:
    document = shown(Snapshot(), sampled=False)
    assert (document["status"], document["services"]["llama_server"]["status"]) == ("healthy", "unknown")


def test_a_store_that_does_not_answer_and_none() -> None:
    away = shown(store=StoreCheck(answers=False))
    assert (away["status"], away["services"]["database"]["status"]) == ("unhealthy", "unhealthy")
    assert away["services"]["database"]["response_time"] is None
    none = shown(store=None)
    assert (none["status"], none["services"]["database"]["status"]) == ("healthy", "disabled")


def test_the_llama_server_that_the_sidecar_runs() -> None:
    services = shown(managed=READY)["services"]
    assert services["llama_server"]["status"] == "healthy"
    assert (services["llama_server"]["restarts"], services["llama_server"]["last_error"]) == (2, "ended by SIGKILL")
    assert "restarts" not in services["llama_servers"][1]
    crashed = shown(managed=replace(READY, status=ServerStatus.CRASHED))
    assert crashed["status"] == "unhealthy"
    assert crashed["services"]["llama_server"]["error"] == "ended by SIGKILL"
    starting = shown(managed=ManagedServer(ServerStatus.STARTING, 0, None, 1.0, 42))
    assert starting["services"]["llama_server"]["error"] == "its process is starting"


class SlowPast(FakePast):
    """Counts checks; they end when they are let."""

    def __init__(self) -> None:
        super().__init__()
        self.checks = 0
        self.held = asyncio.Event()

    async def check(self) -> None:
        self.checks += 1
        await self.held.wait()
        await super().check()


async def test_the_store_is_asked_once_by_all_who_come_together() -> None:
    past, clock = SlowPast(), Clock()
    checks = StoreChecks(make_views(clock=clock, past=past))
    asking = [asyncio.ensure_future(checks.ask()) for _ in range(20)]
    await asyncio.sleep(0)
    past.held.set()
    assert {await each for each in asking} == {StoreCheck(answers=True, seconds=0.0)}
    assert past.checks == 1
    await checks.ask()
    assert past.checks == 1
    clock.now += 1
    await checks.ask()
    assert past.checks == 2


async def test_a_store_that_says_nothing_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    assert CHECK_SECONDS == 2
    monkeypatch.setattr("exporter.api.nextjs.monitoring.health.CHECK_SECONDS", 0.02)
    assert await StoreChecks(make_views(past=SlowPast())).ask() == StoreCheck(answers=False)


async def test_a_store_that_is_away_and_none() -> None:
    past = FakePast()
    past.failing = True
    with pytest.raises(StoreError):
        await past.check()
    assert await StoreChecks(make_views(past=past)).ask() == StoreCheck(answers=False)
    assert await StoreChecks(make_views(past=None)).ask() is None


async def test_a_store_that_can_be_read_and_not_be_written(tmp_path: Path, migrated_file: Path) -> None:
    database = Database(f"sqlite:///{shutil.copy(migrated_file, tmp_path / 'history.db')}")
    troubles = iter(["database or disk is full", None])
    clock, past = Clock(), Reader(database, trouble=lambda: next(troubles))
    checks = StoreChecks(make_views(clock=clock, past=past))
    assert await checks.ask() == StoreCheck(answers=False)
    clock.now += 1
    assert await checks.ask() == StoreCheck(answers=True, seconds=0.0)
    database.close()


def test_status() -> None:
    live = make_live()
    for _ in range(3):
        live.record(record(duration_seconds=0.25))
    live.record(record(duration_seconds=0.25, outcome=Outcome.UPSTREAM_ERROR))
    models = [
        Model("a", Status.RUNNING, Registered("a")),
        Model("b", Status.IDLE),
        Model("c", Status.LOADING, Registered("c")),
        Model("d", Status.ERROR, Registered("d")),
        Model("e", Status.STOPPED, Registered("e")),
    ]
    document = status(make_views(live), FACTS, models, SocketFigures(3, 4, 15.234))
    assert typed.differences(nextjs_document.STATUS, document) == []
    assert document["application"]["start_time"] == "2026-11-19T07:31:29.000Z"
    assert document["server"] == {"port": 9464, "host": "0.0.0.0", "ssl": False, "cors_enabled": True}
    assert document["websocket"] == {"connected_clients": 3, "active_connections": 4, "messages_per_second": 15.23}
    assert document["models"] == {"registered": 4, "loaded": 2, "loading": 1, "failed": 1}
    assert document["performance"] == {
        "requests_total": 4,
        "requests_active": 0,
        "average_response_time": 250.0,
        "error_rate": 0.25,
    }
    nothing = status(make_views(), FACTS, [], SocketFigures())
    assert nothing["performance"]["error_rate"] == 0.0
