"""`/llamaproxws`, as the manager's own pages use it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from exporter.api.nextjs.live.pages import logs as page_logs
from exporter.api.nextjs.live.pages import questions
from exporter.api.nextjs.live.pages.documents import model_id
from exporter.live.logbook import PROXY
from exporter.models.model import Kind, Status
from exporter.models.server.managed import ManagedServer, ServerStatus
from tests.api.nextjs.live.stage import NOW, RUNNING, STOPPED, Stage
from tests.api.nextjs.live.talker import Talker, talking
from tests.serving import Serving, on_both_loops

PATH = "/llamaproxws"


@asynccontextmanager
async def page(running: Serving, path: str = PATH) -> AsyncIterator[Talker]:
    """A page that has been told what all are told."""
    async with talking(running, path=path) as client:
        for event in ("message", "metrics", "models", "models_loaded", "llamaStatus"):
            assert (await client.next())[0] == event
        yield client


@pytest.fixture
def quick_logs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_logs, "PERIOD_SECONDS", 0.1)


def check_envelope(document: Any, kind: str) -> Any:
    assert set(document) >= {"type", "data", "timestamp"}
    assert document["type"] == kind
    assert type(document["timestamp"]) is int
    return document["data"]


@on_both_loops
async def test_what_a_page_is_told_at_once() -> None:
    server = ManagedServer(ServerStatus.READY, 0, None, NOW, 4711)
    async with Stage(server=server).open() as running, talking(running, path=PATH) as client:
        event, hello = await client.next()
        assert (event, hello["type"], hello["clientId"]) == ("message", "connection", client.opened["sid"])
        assert hello["timestamp"].endswith("Z")
        event, told = await client.next()
        assert event == "metrics"
        assert check_envelope(told, "metrics")["cpu"] == {"usage": None}
        for kind in ("models", "models_loaded"):
            event, told = await client.next()
            assert event == kind
            assert [each["name"] for each in check_envelope(told, kind)] == [RUNNING.name, STOPPED.name, "beside"]
        event, told = await client.next()
        assert event == "llamaStatus"
        assert check_envelope(told, "status")["status"] == "ready"


QUESTIONS = (
    ("requestMetrics", "metrics", "metrics"),
    ("request_metrics", "metrics", "metrics"),
    ("requestModels", "models", "models"),
    ("request_models", "models", "models"),
    ("rescanModels", "models", "models"),
    ("requestLogs", "logs", "logs"),
    ("request_logs", "logs", "logs"),
    ("download_logs", "logs", "logs"),
    ("downloadLogs", "logs", "logs"),
    ("requestLlamaStatus", "llamaStatus", "status"),
    ("request_llama_status", "llamaStatus", "status"),
    ("load_models", "models_loaded", "models_loaded"),
)


async def test_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(questions, "PAUSE_SECONDS", 0.0)
    arguments: list[list[Any]] = [[], [{}], [["any", {"thing": None}]]]
    async with Stage().open() as running, page(running) as client:
        for said, event, kind in QUESTIONS:
            for argument in arguments:
                await client.say(said, *argument)
                check_envelope(await client.hear(event), kind)


async def test_models_loaded() -> None:
    async with Stage().open() as running, page(running, "/llamaproxws/") as client:
        await client.say("load_models", {})
        loaded = await client.hear("models_loaded")
        assert loaded["success"] is True
        assert [each["id"] for each in loaded["data"]] == [
            model_id(name) for name in (RUNNING.name, STOPPED.name, "beside")
        ]


async def test_every_change_corrects_what_pages_assume() -> None:
    stage = Stage()
    async with stage.open() as running, page(running) as client, page(running) as other:
        stage.models.move(Kind.CHANGED, replace(STOPPED, status=Status.UNLOADING))
        for each in (client, other):
            models = check_envelope(await each.hear("models"), "models")
            loaded = check_envelope(await each.hear("models_loaded"), "models_loaded")
            told = await each.hear("message")
            assert models == loaded
            assert check_envelope(told, "status") == {
                "models": [
                    {"name": RUNNING.name, "status": "running"},
                    {"name": STOPPED.name, "status": "stopped"},
                    {"name": "beside", "status": "idle"},
                ]
            }
            assert (await each.next())[0] == "llamaStatus"


@pytest.mark.usefixtures("quick_logs")
async def test_lines_for_a_page_that_does_not_ask() -> None:
    stage = Stage()
    stage.logbook.add("info", PROXY, "one")
    stage.logbook.add("info", PROXY, "two")
    async with stage.open() as running, page(running) as client:
        kept = check_envelope(await client.hear("logs"), "logs")
        assert [each["message"] for each in kept] == ["two", "one"]
        stage.logbook.add("warn", PROXY, "three", {"a": 1})
        stage.logbook.add("info", PROXY, "four")
        line = check_envelope(await client.hear("log"), "log")
        assert (line["message"], line["level"], line["context"]) == ("three", "warn", {"a": 1, "source": "proxy"})
        assert check_envelope(await client.hear("log"), "log")["message"] == "four"


@pytest.mark.usefixtures("quick_logs")
async def test_a_page_that_adds_lines_is_given_none_twice() -> None:
    """It asks at once, then for its models, and for lines again every few seconds."""
    stage = Stage()
    stage.logbook.add("info", PROXY, "one")
    async with stage.open() as running, page(running) as client:
        await client.say("request_logs", {})
        await client.say("load_models", {})
        heard = [each["message"] for each in (await client.hear("logs"))["data"]]
        await client.hear("models_loaded")
        await client.say("request_logs", {})
        heard += [each["message"] for each in (await client.hear("logs"))["data"]]
        for number in range(40):
            stage.logbook.add("info", PROXY, str(number))
        heard += [each["message"] for each in (await client.hear("logs"))["data"]]
        stage.logbook.add("info", PROXY, "last")
        heard.append((await client.hear("log"))["data"]["message"])
    assert heard == ["one", *map(str, range(40)), "last"]


async def lines_of(client: Talker) -> list[str]:
    return [each["message"] for each in (await client.hear("logs"))["data"]]


@pytest.mark.usefixtures("quick_logs")
@pytest.mark.parametrize(
    ("said", "adds"),
    [
        (("request_metrics", "request_logs"), True),
        (("load_models", "request_logs"), True),
        (("load_models",), True),
        ((), False),
        (("requestMetrics", "requestModels", "requestLogs"), False),
        (("request_metrics", "request_models", "request_logs"), False),
        (("request_logs",), False),
        (("requestLogs",), False),
    ],
)
async def test_lines_are_in_the_order_in_which_a_page_shows_them(said: tuple[str, ...], adds: bool) -> None:
    """A page that adds puts one after the other on top; the others show what they are given."""
    stage = Stage()
    for number in range(150):
        stage.logbook.add("info", PROXY, str(number))
    order = 1 if adds else -1
    async with stage.open() as running, page(running) as client:
        for each in said:
            await client.say(each)
        assert await lines_of(client) == [str(number) for number in range(50, 150)][::order]
        for number in range(150, 190):
            stage.logbook.add("info", PROXY, str(number))
        newest = await lines_of(client)
    assert newest == [str(number) for number in range(150 if adds else 90, 190)][::order]


@pytest.mark.usefixtures("quick_logs")
async def test_who_asks_for_lines_much_later_does_not_add(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_logs, "GREETING_SECONDS", 0.0)
    stage = Stage()
    stage.logbook.add("info", PROXY, "1")
    stage.logbook.add("info", PROXY, "2")
    async with stage.open() as running, page(running) as client:
        await client.say("request_metrics")
        await client.hear("metrics")
        await client.say("request_logs")
        assert await lines_of(client) == ["2", "1"]


@pytest.mark.usefixtures("quick_logs")
async def test_a_page_that_replaces_lines_is_given_all() -> None:
    stage = Stage()
    for number in range(150):
        stage.logbook.add("info", PROXY, str(number))
    async with stage.open() as running, page(running) as client:
        for _ in range(2):
            await client.say("request_logs", {})
            kept = (await client.hear("logs"))["data"]
            assert [each["message"] for each in kept] == [str(number) for number in range(149, 49, -1)]
        for number in range(150, 170):
            stage.logbook.add("info", PROXY, str(number))
        kept = (await client.hear("logs"))["data"]
        assert [each["message"] for each in kept] == [str(number) for number in range(169, 69, -1)]


async def test_what_nobody_knows_is_harmless() -> None:
    arguments: list[list[Any]] = [[], [None], [{"a": [1]}], ["x", 1, []]]
    async with Stage().open() as running, page(running) as client:
        for event in ("message", "logger_config_updated", "nonsense", "", "connect", "disconnect", "__proto__"):
            for data in arguments:
                await client.say(event, *data)
        answer = await client.ask("models:list", {})
        assert answer["success"] is False
        assert answer["error"] == {"code": "NOT_FOUND", "message": "there is no such event here"}
        await client.say("requestMetrics")
        await client.hear("metrics")


async def test_nothing_is_looked_at_while_nobody_is_there() -> None:
    stage = Stage()
    await stage.runtime.change({"metrics_interval_ms": 100, "models_interval_ms": 100})
    async with stage.open() as running:
        async with page(running):
            pass
        while stage.live.readers():
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.3)
        looks = stage.models.looks
        await asyncio.sleep(0.3)
        assert stage.models.looks == looks
