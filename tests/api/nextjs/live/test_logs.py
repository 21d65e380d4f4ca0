"""`/logs`: new lines in batches, to each client those that it wants."""

from __future__ import annotations

import contextlib
from typing import Any

from exporter.live.logbook import LLAMA_SERVER, PROXY
from tests.api.nextjs.live.stage import Stage
from tests.api.nextjs.live.talker import Talker, talking
from tests.serving import on_both_loops

LONG = {"logs_interval_ms": 3_600_000}
SHORT = {"logs_interval_ms": 200}


def fill(stage: Stage) -> None:
    stage.logbook.add("error", PROXY, "one", {"status": 502})
    stage.logbook.add("info", LLAMA_SERVER, "two")
    stage.logbook.add("debug", PROXY, "three")


async def batch(client: Talker) -> list[str]:
    """The messages of the next one."""
    event, update = await client.next()
    assert event == "logs:update"
    assert set(update) == {"logs"}
    return [each["message"] for each in update["logs"]]


@on_both_loops
async def test_first_what_is_kept_and_then_what_is_new() -> None:
    stage = Stage()
    await stage.runtime.change(SHORT)
    fill(stage)
    async with stage.open() as running, talking(running, "/logs") as client:
        assert await batch(client) == ["one", "two", "three"]
        stage.logbook.add("info", PROXY, "four")
        assert await batch(client) == ["four"]
        stage.logbook.add("info", PROXY, "five")
        assert await batch(client) == ["five"]


async def test_the_first_lines_do_not_wait_for_the_interval() -> None:
    stage = Stage()
    await stage.runtime.change(LONG)
    fill(stage)
    async with stage.open() as running:
        for _ in range(2):
            async with talking(running, "/logs") as client:
                assert await batch(client) == ["one", "two", "three"]


FILTERS: list[tuple[dict[str, Any], list[str]]] = [
    ({"levels": ["error", "warn", "info"]}, ["one", "two"]),
    ({"sources": ["llama-server"]}, ["two"]),
    ({"levels": ["error", "debug"], "sources": ["proxy"], "limit": 1}, ["three"]),
    ({"limit": 2}, ["two", "three"]),
    ({"levels": None, "sources": None}, ["one", "two", "three"]),
    ({}, ["one", "two", "three"]),
]


async def test_filters() -> None:
    """They are in force from the first lines on."""
    stage = Stage()
    await stage.runtime.change(LONG)
    fill(stage)
    async with stage.open() as running, contextlib.AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(talking(running, "/logs")) for _ in FILTERS]
        for client, (wanted, _) in zip(clients, FILTERS, strict=True):
            await client.say("logs:filter", wanted)
        assert [await batch(client) for client in clients] == [lines for _, lines in FILTERS]


async def test_a_filter_can_be_changed_and_cleared() -> None:
    stage = Stage()
    await stage.runtime.change(SHORT)
    async with stage.open() as running, talking(running, "/logs") as client, talking(running, "/logs") as other:
        await client.ask("logs:filter", {"levels": []})
        fill(stage)
        assert await batch(other) == ["one", "two", "three"]
        await client.ask("logs:filter", {"levels": ["warn"]})
        stage.logbook.add("warn", PROXY, "four")
        assert await batch(client) == ["four"]
        assert await client.ask("logs:clear_filters") == {"success": True}
        stage.logbook.add("debug", PROXY, "five")
        assert await batch(client) == ["five"]


NONSENSE: list[tuple[Any, str]] = [
    ({"levels": ["loud"]}, "levels.0"),
    ({"levels": "error"}, "levels"),
    ({"sources": ["proxy", 1]}, "sources.1"),
    ({"limit": 0}, "limit"),
    ({"limit": 100.5}, "limit"),
    ({"limit": True}, "limit"),
    ({"level": ["info"]}, "level"),
    ([], "body"),
    ("x", "body"),
    (None, "body"),
]


async def test_filters_that_make_no_sense() -> None:
    async with Stage().open() as running, talking(running, "/logs") as client:
        for wanted, field in NONSENSE:
            await client.say("logs:filter", wanted)
            error = await client.hear("error")
            assert error["code"] == "VALIDATION_ERROR"
            assert error["message"].startswith(f"{field}: ")
            assert list(error["details"]) == [field]
            assert (error["reconnect"], error["retryIn"]) == (False, 0)
            refusal = await client.ask("logs:filter", wanted)
            assert refusal == {"success": False, "error": {"code": "VALIDATION_ERROR", "message": error["message"]}}
        assert await client.ask("logs:clear_filters") == {"success": True}


async def test_other_events() -> None:
    async with Stage().open() as running, talking(running, "/logs") as client:
        await client.say("logs:delete")
        assert (await client.hear("error"))["code"] == "NOT_FOUND"


async def test_no_more_lines_than_are_wanted() -> None:
    stage = Stage()
    await stage.runtime.change(LONG)
    for number in range(1500):
        stage.logbook.add("info", PROXY, str(number))
    async with stage.open() as running, talking(running, "/logs") as client, talking(running, "/logs") as more:
        await more.ask("logs:filter", {"limit": 1000})
        assert await batch(client) == [str(number) for number in range(1400, 1500)]
        assert await batch(more) == [str(number) for number in range(500, 1500)]


async def test_lines_that_json_can_hardly_hold() -> None:
    stage = Stage()
    stage.logbook.add("info", PROXY, "\ud800\x1e\x00", {"odd": float("nan"), "deep": {"er": object}})
    async with stage.open() as running, talking(running, "/logs") as client:
        (line,) = (await client.hear("logs:update"))["logs"]
        assert line["message"] == "?\x1e\x00"
        assert line["metadata"]["odd"] == "nan"
