"""Health and status in the contract's keys: pure shapes, and the check of the store, which is shared by all who ask."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import NamedTuple

from exporter.api.machine import known_percent, sums_of
from exporter.api.nextjs.facts import Facts, Place, SocketFigures
from exporter.api.nextjs.models.shape import READY
from exporter.api.nextjs.monitoring.health_documents import (
    DatabaseHealth,
    Health,
    LlamaServerHealth,
    ServerWord,
    Status,
    SystemLoad,
)
from exporter.api.nextjs.monitoring.machine import request_figures, share
from exporter.api.views import Views
from exporter.errors import StoreError
from exporter.models.model import Model
from exporter.models.model import Status as Doing
from exporter.models.server.managed import ManagedServer, ServerStatus
from exporter.system.snapshot import ANSWERING, Snapshot
from exporter.system.summary import summarize
from exporter.utc import utc

CHECK_SECONDS = 2.0
"""Longest wait for the store."""
FRESH_SECONDS = 1.0
"""A check is good for so long."""

log = logging.getLogger(__name__)


class StoreCheck(NamedTuple):
    """How the store answered."""

    answers: bool
    """And takes what is written."""
    seconds: float | None = None
    """None where it does not."""


class StoreChecks:
    """Asks the store, at most once a second, whoever wants to know."""

    def __init__(self, views: Views) -> None:
        self._past = views.past
        self._clock = views.clock
        self._turn = asyncio.Lock()
        self._last = StoreCheck(answers=False)
        self._at = float("-inf")

    async def ask(self) -> StoreCheck | None:
        """None where there is no store."""
        if self._past is None:
            return None
        async with self._turn:
            if self._clock() - self._at >= FRESH_SECONDS:
                self._last = await self._check()
                self._at = self._clock()
            return self._last

    async def _check(self) -> StoreCheck:
        began = self._clock()
        try:
            async with asyncio.timeout(CHECK_SECONDS):
                trouble = None if self._past is None else await self._past.check()
        except (StoreError, TimeoutError) as error:
            trouble = str(error) or "it does not answer"
        if trouble is not None:
            log.debug("the store cannot be read, or not be written", extra={"reason": trouble})
            return StoreCheck(answers=False)
        return StoreCheck(answers=True, seconds=self._clock() - began)


def health(
    views: Views, facts: Facts, snapshot: Snapshot, *, managed: ManagedServer | None, store: StoreCheck | None
) -> Health:
    """Whether everything works."""
    servers = [_server(views, snapshot, place) for place in facts.llama_servers]
    if managed is not None:
        servers[0] = _managed(servers[0], managed)
    stored = database(facts, store)
    ill = any(each["status"] == "unhealthy" for each in servers) or stored["status"] == "unhealthy"
    return {
        "status": "unhealthy" if ill else "healthy",
        "timestamp": utc(views.wall()),
        "services": {
            "proxy": {"status": "healthy", "uptime": views.uptime_seconds, "version": views.version},
            "llama_server": _together(servers),
            "llama_servers": servers,
            "database": stored,
        },
        "system": system_load(snapshot),
    }


def _server(views: Views, snapshot: Snapshot, place: Place) -> LlamaServerHealth:
    server = snapshot.servers.get(place.name)
    is_up = server is not None and server.up
    status: ServerWord = "healthy" if is_up else "unhealthy" if views.servers_sampled else "unknown"
    loaded = [each for each in server.models if each.state in ANSWERING] if server is not None and is_up else []
    shown: LlamaServerHealth = {
        "name": place.name,
        "status": status,
        "host": place.host,
        "port": place.port,
        "models_loaded": len(loaded),
        "last_health_check": _last_check(views, snapshot, place.name),
    }
    if status == "unhealthy":
        shown["error"] = "not looked at yet" if server is None else server.error or str(server.state)
    return shown


def _last_check(views: Views, snapshot: Snapshot, name: str) -> str | None:
    found = [snapshot.collectors.get(f"{kind}:{name}") for kind in ("llama_server", "health")]
    times = [each.sampled_at for each in found if each is not None and each.sampled_at is not None]
    return utc(views.wall() - max(views.clock() - max(times), 0.0)) if times else None


def _managed(server: LlamaServerHealth, managed: ManagedServer) -> LlamaServerHealth:
    """With what the sidecar knows of the process that it runs: it is the first to hear of its end."""
    shown: LlamaServerHealth = {
        **server,
        "managed": managed.status,
        "restarts": managed.restarts,
        "last_error": managed.last_error,
    }
    if managed.status is not ServerStatus.READY:
        shown["status"] = "unhealthy"
        shown["models_loaded"] = 0
        shown["error"] = managed.last_error or f"its process is {managed.status}"
    return shown


def _together(servers: Sequence[LlamaServerHealth]) -> LlamaServerHealth:
    """The first, with what holds for all."""
    ill = [each for each in servers if each["status"] == "unhealthy"]
    whole: LlamaServerHealth = {**servers[0], "models_loaded": sum(each["models_loaded"] for each in servers)}
    if ill and ill[0] is not servers[0]:
        whole["status"] = "unhealthy"
        whole["error"] = f"{ill[0]['name']}: {ill[0].get('error', '')}"
    return whole


def database(facts: Facts, store: StoreCheck | None) -> DatabaseHealth:
    """The store."""
    if store is None:
        return {"status": "disabled", "connections": 0, "response_time": None}
    return {
        "status": "healthy" if store.answers else "unhealthy",
        "connections": facts.store_connections(),
        "response_time": None if store.seconds is None else round(store.seconds * 1000, 2),
    }


def system_load(snapshot: Snapshot) -> SystemLoad:
    """The machine."""
    found = summarize(snapshot)
    return {
        "cpu_usage": known_percent(found.cpu_utilization),
        "memory_usage": share(found.memory_used_bytes, found.memory_total_bytes),
        "disk_usage": share(found.disk_used_bytes, found.disk_total_bytes),
    }


def status(views: Views, facts: Facts, models: Sequence[Model], sockets: SocketFigures) -> Status:
    """The sidecar, its models and requests."""
    sums, requests = sums_of(views), request_figures(views)
    return {
        "application": {
            "name": facts.name,
            "version": views.version,
            "environment": facts.environment,
            "uptime": views.uptime_seconds,
            "start_time": utc(views.wall() - (views.clock() - views.started)),
        },
        "server": {"port": facts.port, "host": facts.host, "ssl": False, "cors_enabled": facts.cors_enabled},
        "websocket": {
            "connected_clients": sockets.clients,
            "active_connections": sockets.connections,
            "messages_per_second": round(sockets.messages_per_second, 2),
        },
        "models": {
            "registered": sum(each.registered is not None for each in models),
            "loaded": sum(each.status in READY for each in models),
            "loading": sum(each.status is Doing.LOADING for each in models),
            "failed": sum(each.status is Doing.ERROR for each in models),
        },
        "performance": {
            "requests_total": requests["total"],
            "requests_active": requests["active"],
            "average_response_time": requests["averageResponseTime"],
            "error_rate": round(sums.failed / sums.requests, 4) if sums.requests else 0.0,
        },
    }
