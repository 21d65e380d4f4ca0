"""Updates: each told once, to everybody, without holding up the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace

import pytest

from exporter.api.nextjs.live.sockets import stream
from exporter.api.nextjs.live.sockets.packets import Text, encode_object, encode_slices, packet
from exporter.api.nextjs.slices import SLICE
from exporter.models.model import Event, Kind, Model, Status
from tests.api.nextjs.live.pages.test_pages import PATH, page
from tests.api.nextjs.live.stage import BESIDE, RUNNING, Stage
from tests.api.nextjs.live.talker import talking
from tests.api.nextjs.live.test_namespaces import change_all
from tests.serving import until
from tests.turns import counted

MANY = 50 * SLICE
LIST = tuple(Model(f"m{number:05}", Status.STOPPED) for number in range(MANY))
CHANGED = replace(BESIDE, status=Status.RUNNING)


async def test_changes_that_come_one_after_the_other_are_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What happens while a change is about to be told is told with it, and not once more."""
    monkeypatch.setattr(stream, "GAP_SECONDS", 0.3)
    stage = Stage()
    await change_all(stage, 3_600_000)
    async with stage.open() as running, page(running) as client, talking(running, "/models") as other:
        await other.next()
        for each in (replace(BESIDE, memory_bytes=1), CHANGED):
            stage.models.move(Kind.CHANGED, each)
            await asyncio.sleep(0.05)
        assert (await client.hear("models"))["data"][2]["status"] == "running"
        assert (await other.hear("models:update"))["models"][2]["status"] == "running"
        looks = stage.models.looks
        await asyncio.sleep(1.0)
        assert stage.models.looks == looks


async def test_what_everybody_knows_is_not_told_again() -> None:
    stage = Stage()
    await change_all(stage, 3_600_000)
    async with stage.open() as running, page(running) as client, talking(running, "/models") as other:
        await other.next()
        stage.models.move(Kind.CHANGED, CHANGED)
        await client.hear("llamaStatus")
        await other.hear("models:update")
        looks = stage.models.looks
        stage.models.tell(Event(Kind.CHANGED, "beside", CHANGED))
        await until(lambda: stage.models.looks == looks + 2)
        await client.say("requestMetrics")
        assert (await client.next())[0] == "metrics"
        stage.models.move(Kind.CHANGED, BESIDE)
        assert (await client.next())[0] == "models"
        assert (await other.hear("models:update"))["models"][2]["status"] == "idle"


async def test_whoever_was_told_something_else_meanwhile_is_told_how_it_is() -> None:
    """A client comes in between a change and its being told, and then it is as it was before."""
    stage = Stage()
    await change_all(stage, 3_600_000)
    async with stage.open() as running, talking(running, "/models") as client:
        await client.next()
        stage.models.move(Kind.CHANGED, CHANGED)
        await client.hear("models:update")
        stage.models.move(Kind.CHANGED, BESIDE)
        async with talking(running, "/models") as late:
            assert (await late.next())[1]["models"][2]["status"] == "idle"
            stage.models.move(Kind.CHANGED, CHANGED)
            assert (await late.hear("models:update"))["models"][2]["status"] == "running"


@pytest.mark.parametrize(
    ("namespace", "path", "event"), [("/models", "/socket.io/", "models:update"), ("/", PATH, "llamaStatus")]
)
async def test_a_long_list_is_made_in_slices(namespace: str, path: str, event: str) -> None:
    stage = Stage()
    await change_all(stage, 3_600_000)
    stage.models.found |= {each.name: each for each in LIST}
    async with stage.open() as running, talking(running, namespace, path) as client:
        await client.hear(event)
        stage.models.move(Kind.CHANGED, replace(RUNNING, status=Status.IDLE))
        looks = stage.models.looks
        await until(lambda: stage.models.looks > looks)
        async with counted() as turns:
            await client.hear(event)
        assert turns.count >= MANY // SLICE // 5, "some are made before the first look is noticed"


async def test_many_who_ask_for_a_long_list_share_it() -> None:
    stage = Stage()
    stage.models.found |= {each.name: each for each in LIST}
    async with stage.open() as running, talking(running, path=PATH) as client, talking(running, path=PATH) as other:
        for each in (client, other):
            await each.say("load_models")
        for each in (client, other):
            assert len((await each.hear("models_loaded"))["data"]) == MANY + 3
        assert stage.models.looks <= 2


def test_slices() -> None:
    listed = ""

    def make() -> Iterator[None]:
        nonlocal listed
        listed = yield from encode_slices(range(2 * SLICE + 1), lambda number: {"n": number})

    assert len(list(make())) == len(("after the first slice", "after the second"))
    assert listed.startswith('[{"n":0},{"n":1},')
    assert listed.endswith(f'{{"n":{2 * SLICE}}}]')
    assert encode_object({"a": Text("[1]"), "é": "\udc80"}) == '{"a":[1],"é":"?"}'
    made = packet("/", "x", encode_object({"list": Text("[]"), "time": 1}), "[]")
    assert (made.encode(), made.says) == ('42["x",{"list":[],"time":1}]', "[]")
