"""`/`, `/metrics` and `/models` of `/socket.io/`, over the real server."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace
from typing import Any

import pytest

from exporter.api.nextjs.live.sockets import stream
from exporter.models.model import Event, Kind, Status
from tests.api.nextjs.live.stage import BESIDE, RUNNING, STOPPED, Stage
from tests.api.nextjs.live.talker import talking
from tests.serving import on_both_loops, until

METRICS = {"timestamp", "cpu", "memory", "requests"}
SHORT_MS = 100


async def change_all(stage: Stage, milliseconds: int) -> None:
    names = ("metrics_interval_ms", "models_interval_ms", "logs_interval_ms")
    await stage.runtime.change(dict.fromkeys(names, milliseconds))


@on_both_loops
async def test_metrics_at_once_and_every_so_often() -> None:
    stage = Stage()
    await change_all(stage, SHORT_MS)
    async with stage.open() as running, talking(running, "/metrics") as client:
        for _ in range(4):
            event, update = await client.next()
            assert event == "metrics:update"
            assert set(update) == METRICS


async def test_an_interval_that_is_changed_is_in_force_at_once() -> None:
    stage = Stage()
    await change_all(stage, 3_600_000)
    async with stage.open() as running, contextlib.AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(talking(running, each)) for each in ("/metrics", "/models")]
        page = await stack.enter_async_context(talking(running, path="/llamaproxws"))
        for client in clients:
            await client.next()
        await page.hear("llamaStatus")
        await change_all(stage, SHORT_MS)
        for client in clients:
            await client.next()
        for event in ("metrics", "models"):
            await page.hear(event)


async def test_models_at_once_and_on_every_change() -> None:
    stage = Stage()
    await change_all(stage, 3_600_000)
    async with stage.open() as running, talking(running, "/models") as client:
        event, update = await client.next()
        assert event == "models:update"
        assert [each["id"] for each in update["models"]] == [RUNNING.name, STOPPED.name, BESIDE.name]
        stage.models.move(Kind.CHANGED, replace(BESIDE, status=Status.RUNNING))
        update = await client.hear("models:update")
        assert update["models"][2]["status"] == "running"


async def test_what_happens_to_a_model() -> None:
    stage = Stage()
    await change_all(stage, 3_600_000)
    loading = replace(STOPPED, status=Status.LOADING, progress=0.5, stage="text_model")
    failed = replace(STOPPED, status=Status.ERROR, error="out of memory")
    loaded = replace(STOPPED, status=Status.RUNNING, load_seconds=2.0, memory_bytes=1 << 20)
    async with stage.open() as running, talking(running, "/models") as client:
        await client.next()
        stage.models.move(Kind.LOADING, loading)
        stage.models.move(Kind.LOADED, loaded)
        stage.models.move(Kind.UNLOADED, STOPPED)
        stage.models.move(Kind.FAILED, failed)
        stage.models.tell(Event(Kind.FAILED, "gone", None))
        heard = [await client.next() for _ in range(6)]
    assert heard[:5] == [
        (
            "model:loading",
            {"modelId": "mistral-7b", "progress": 50.0, "stage": "text_model", "estimatedTimeRemaining": None},
        ),
        ("model:loaded", {"modelId": "mistral-7b", "loadTime": 2.0, "memoryUsage": 1.0}),
        ("model:unloaded", {"modelId": "mistral-7b"}),
        ("model:error", {"modelId": "mistral-7b", "error": "out of memory"}),
        ("model:error", {"modelId": "gone", "error": "the model could not be loaded"}),
    ]
    assert heard[5][0] == "models:update"


async def test_progress_is_told_no_oftener_than_it_is_of_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "GAP_SECONDS", 3600.0)
    stage = Stage()
    await change_all(stage, 3_600_000)
    async with stage.open() as running, talking(running, "/models") as client:
        await client.next()
        for percent in range(100):
            stage.models.move(Kind.LOADING, replace(STOPPED, status=Status.LOADING, progress=percent / 100))
        stage.models.move(Kind.LOADED, replace(STOPPED, status=Status.RUNNING))
        assert [(await client.next())[0] for _ in range(2)] == ["model:loading", "model:loaded"]


async def test_many_changes_are_told_together() -> None:
    stage = Stage()
    await change_all(stage, 3_600_000)
    async with stage.open() as running, talking(running, "/models") as client:
        await client.next()
        looks = stage.models.looks
        for _ in range(500):
            stage.models.move(Kind.CHANGED, BESIDE)
        await client.hear("models:update")
        assert stage.models.looks - looks == 1


async def test_nothing_is_made_for_nobody() -> None:
    stage = Stage()
    await change_all(stage, SHORT_MS)
    async with stage.open() as running:
        stage.models.move(Kind.CHANGED, BESIDE)
        await asyncio.sleep(SHORT_MS * 3 / 1000)
        assert stage.models.looks == 0
        async with talking(running, "/models") as client:
            for _ in range(3):
                await client.next()
        await until(lambda: stage.live.readers() == 0)
        await asyncio.sleep(SHORT_MS * 3 / 1000)
        looks = stage.models.looks
        stage.models.move(Kind.CHANGED, BESIDE)
        await asyncio.sleep(SHORT_MS * 3 / 1000)
        assert stage.models.looks == looks
        async with talking(running, "/models") as client:
            await client.next()


async def test_one_making_serves_all_who_come_together() -> None:
    stage = Stage()
    async with stage.open() as running, contextlib.AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(talking(running, "/models")) for _ in range(10)]
        heard = [await client.text() for client in clients]
        assert len(set(heard)) <= stage.models.looks < 10


async def test_the_default_namespace_is_for_coming_and_going() -> None:
    stage = Stage()
    async with stage.open() as running, talking(running) as client:
        await client.say("anything", {"at": ["all"]})
        assert await client.next() == (
            "error",
            {"code": "NOT_FOUND", "message": "there is no such event here", "reconnect": False, "retryIn": 0},
        )
        figures = stage.live.figures()
        assert (figures.clients, figures.connections) == (1, 1)
        assert figures.messages_per_second > 0


async def test_a_namespace_that_there_is_not() -> None:
    async with Stage().open() as running, talking(running) as client:
        await client.socket.send("40/nowhere,")
        assert await client.text() == '44/nowhere,{"message":"there is no such namespace: /nowhere"}'
        await client.say("still here")
        assert (await client.next())[0] == "error"


async def test_several_namespaces_over_one_connection() -> None:
    stage = Stage()
    async with stage.open() as running, talking(running) as client:
        for name in ("/metrics", "/models"):
            await client.socket.send(f"40{name},")
            assert (await client.text()).startswith(f"40{name},")
            assert (await client.text()).startswith(f"42{name},")
        assert stage.live.figures()[:2] == (1, 3)
        await client.socket.send("41/models,")
        await until(lambda: stage.live.figures().connections == 2)
    await until(lambda: stage.live.figures()[:2] == (0, 0))


async def test_what_fails_is_logged_once_and_ends_nothing(caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> Any:
        raise RuntimeError("no models")

    stage = Stage()
    await change_all(stage, SHORT_MS)
    async with stage.open() as running:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(stage.models, "all", fail)
            async with talking(running, "/models") as client:
                await until(lambda: "an update could not be made" in caplog.text)
                patch.undo()
                assert (await client.next())[0] == "models:update"
    assert "a client could not be told how things are" in caplog.text
