"""Health checks by themselves: who is well, who cannot, and who is merely busy."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest

from exporter.system.health_check import HealthCollector
from exporter.system.llama_server import LlamaServerCollector
from exporter.system.snapshot import HealthSnapshot, ServerState
from tests.system.scripted_server import Reply, ScriptedServer, json_reply, scripted_server

READY = json_reply({"status": "ok"})
LOADING = json_reply({"error": {"code": 503, "message": "Loading model", "type": "unavailable_error"}}, 503)


@pytest.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    async with scripted_server() as scripted:
        yield scripted


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(trust_env=False) as polls:
        yield polls


async def check(server: ScriptedServer, client: httpx.AsyncClient, *, working: bool = False) -> HealthSnapshot:
    collector = HealthCollector("box", server.url, client, interval_seconds=2.5, is_working=lambda: working)
    assert (collector.name, collector.longest_interval_seconds) == ("health:box", 2.5)
    return await collector.collect()


@pytest.mark.parametrize(
    ("reply", "state"),
    [
        (READY, ServerState.READY),
        (Reply(200), ServerState.READY),
        (LOADING, ServerState.LOADING),
        (Reply(500), ServerState.ERROR),
        (Reply(404), ServerState.READY),
        (Reply(401), ServerState.READY),
        (Reply(200, b"<html>"), ServerState.READY),
        (Reply(raw=b"SSH-2.0-OpenSSH\r\n"), ServerState.UNREACHABLE),
    ],
    ids=["ready", "ready without a word", "loading", "error", "no /health", "key wanted", "other server", "no HTTP"],
)
async def test_what_an_answer_means(
    reply: Reply, state: ServerState, server: ScriptedServer, client: httpx.AsyncClient
) -> None:
    server.replies["/health"] = reply
    assert (await check(server, client)).state is state
    assert server.take_asked()[:1] == ["/health"], "and nothing else is asked"


async def test_nobody_is_there(server: ScriptedServer, client: httpx.AsyncClient) -> None:
    server.port = 1
    assert await check(server, client, working=True) == HealthSnapshot("box", ServerState.UNREACHABLE)


@pytest.mark.parametrize(("working", "state"), [(True, ServerState.BUSY), (False, ServerState.UNREACHABLE)])
async def test_silence_means_little_while_it_works_for_us(
    working: bool,
    state: ServerState,
    server: ScriptedServer,
    client: httpx.AsyncClient,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("exporter.system.health_check.HEALTH_SECONDS", 0.05)
    server.replies["/health"] = Reply(after=asyncio.Event())
    assert await check(server, client, working=working) == HealthSnapshot("box", state)


async def test_a_busy_server_keeps_its_models(
    server: ScriptedServer, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = asyncio.get_running_loop().time
    collector = LlamaServerCollector("box", lambda _: "Q4", server.url, client, clock=now, last_activity=now)
    server.replies = {"/health": READY, "/v1/models": json_reply({"data": [{"id": "tiny"}]})}
    before = await collector.collect()
    monkeypatch.setattr("exporter.system.health_check.HEALTH_SECONDS", 0.05)
    server.replies["/health"] = Reply(after=asyncio.Event())
    busy = await collector.collect()
    assert (busy.state, busy.up, busy.error) == (ServerState.BUSY, True, "timed out")
    assert [model.id for model in busy.models] == [model.id for model in before.models] == ["tiny"]
