"""Orders of pages that cannot be carried out, or not now, or not by everybody."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from exporter.api.nextjs.live.pages import questions
from exporter.api.nextjs.live.pages.documents import model_id
from exporter.api.nextjs.live.pages.pages import CORRECTION
from exporter.api.nextjs.live.pages.questions import Questions
from exporter.api.nextjs.live.sockets import jobs
from exporter.api.nextjs.live.sockets.clients import Client
from exporter.models.model import Event, Kind
from exporter.models.server.managed import ManagedServer, ServerStatus
from tests.api.nextjs.live.pages.test_orders import failure
from tests.api.nextjs.live.pages.test_pages import PATH, page
from tests.api.nextjs.live.stage import BESIDE, RUNNING, STOPPED, Stage
from tests.api.nextjs.live.talker import talking
from tests.serving import until

HERE = "https://page.example"


IMPOSSIBLE: list[tuple[str, Any, str, str]] = [
    ("save_config", {"id": STOPPED.name, "type": "sampling", "config": {"temperature": 9}}, "config_saved", "V"),
    ("save_config", {"id": STOPPED.name, "type": "colour", "config": {}}, "config_saved", "V"),
    ("save_config", {"id": STOPPED.name, "type": ["sampling"], "config": {}}, "config_saved", "V"),
    ("save_config", {"id": "nowhere", "type": "sampling", "config": {}}, "config_saved", "N"),
    ("load_config", {"id": {}, "type": "sampling"}, "config_loaded", "V"),
    ("load_config", {"id": True, "type": "sampling"}, "config_loaded", "V"),
    ("load_config", None, "config_loaded", "V"),
    ("load_config", "nowhere", "config_loaded", "N"),
    ("update_model", {"id": STOPPED.name, "updates": {"name": "other"}}, "model_updated", "V"),
    ("update_model", {"id": STOPPED.name, "updates": []}, "model_updated", "V"),
    ("delete_model", [1], "model_deleted", "V"),
    ("save_model", {"name": "x", "model_url": "https://models.example/x.gguf"}, "model_saved", "V"),
    ("save_model", {"name": ["x"]}, "model_saved", "V"),
    ("save_model", {"status": "idle"}, "model_saved", "V"),
    ("save_model", {"name": STOPPED.name}, "model_saved", "C"),
]
CODES = {"V": "VALIDATION_ERROR", "N": "NOT_FOUND", "C": "CONFLICT"}


async def test_what_cannot_be_done() -> None:
    stage = Stage()
    async with stage.open() as running, page(running) as client:
        for said, argument, event, code in IMPOSSIBLE:
            await client.say(said, argument)
            found, message = failure(await client.hear(event))
            assert (found, bool(message)) == (CODES[code], True), said
    assert stage.models.orders == []


@pytest.mark.parametrize(
    ("server", "words"),
    [
        (None, "the sidecar runs no llama-server itself"),
        (ManagedServer(ServerStatus.CRASHED, 3, "out of memory", None, None), "llama-server is crashed; it is started"),
    ],
)
async def test_what_is_not_for_pages_to_do(server: ManagedServer | None, words: str) -> None:
    async with Stage(server=server).open() as running, page(running) as client:
        for said in ("start_llama_server", "restartServer", "stop_llama_server"):
            await client.say(said)
            error = await client.hear("error")
            assert (error["code"], error["message"].startswith(words)) == ("CONFLICT", True)


async def test_many_orders_that_nobody_can_carry_out_cost_little(monkeypatch: pytest.MonkeyPatch) -> None:
    """A page that goes wild is corrected once a while; its ids are looked up, not searched for."""
    monkeypatch.setattr(questions, "PAUSE_SECONDS", 3600.0)
    stage = Stage()
    async with stage.open() as running, page(running) as client:
        looks = stage.models.looks
        for number in range(200):
            await client.say("toggle_model", {"modelId": str(number)})
        heard = [(await client.next())[0] for _ in range(200 + len(("models", "models_loaded", "message")))]
        assert (heard.count("error"), heard.count("models")) == (200, 1)
        assert stage.models.looks - looks <= 2
        stage.models.found["new"] = replace(BESIDE, name="new")
        stage.models.tell(Event(Kind.CHANGED, "new", None))
        await client.say("toggle_model", {"modelId": model_id("new")})
        assert (await client.hear("modelToggled"))["status"] == "loading"


async def test_pages_of_other_origins_read_and_change_nothing() -> None:
    stage = Stage()
    async with stage.open() as running, talking(running, path=PATH, origin=HERE) as client:
        await client.say("load_models")
        await client.hear("models_loaded")
        for said in ("toggle_model", "startModel", "stopModel", "unloadModel"):
            await client.say(said, {"modelId": RUNNING.name})
            assert (await client.hear("error"))["code"] == "FORBIDDEN"
        await client.say("delete_model", {"id": RUNNING.name})
        assert failure(await client.hear("model_deleted"))[0] == "FORBIDDEN"
        await client.say("load_config", {"id": RUNNING.name, "type": "gpu"})
        assert (await client.hear("config_loaded"))["success"] is True
    assert stage.models.orders == []


async def test_pages_of_named_origins_may() -> None:
    stage = Stage(origins=(HERE,))
    async with stage.open() as running, talking(running, path=PATH, origin=HERE) as client:
        await client.say("toggle_model", {"modelId": RUNNING.name})
        await client.hear("modelToggled")
    assert stage.models.orders == [("unload", RUNNING.name)]


async def test_a_page_can_have_little_done_at_a_time() -> None:
    stage = Stage()
    stage.models.gate = asyncio.Event()
    async with stage.open() as running, page(running) as client:
        for _ in range(jobs.LIMIT_PER_CLIENT + 1):
            await client.say("startModel", {"modelId": STOPPED.name})
        assert (await client.hear("error"))["code"] == "SERVICE_UNAVAILABLE"
        await client.say("requestMetrics")
        await client.hear("metrics")
        stage.models.gate.set()
        for _ in range(jobs.LIMIT_PER_CLIENT):
            await client.hear("modelStarted")
        await client.say("stopModel", {"modelId": RUNNING.name})
        await client.hear("modelStopped")


async def test_whoever_has_left_is_not_corrected(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def ask(_: Questions, __: Client, kind: str) -> bool:
        asked.append(kind)
        return True

    monkeypatch.setattr(Questions, "ask", ask)
    stage = Stage()
    stage.models.gate = asyncio.Event()
    async with stage.open() as running:
        async with page(running) as client:
            await client.say("startModel", {"modelId": STOPPED.name})
            await until(lambda: stage.models.orders)
        await until(lambda: stage.live.readers() == 0)
        monkeypatch.setattr(stage.models, "move", lambda *_: stage.models.get("nowhere"))
        stage.models.gate.set()
        async with page(running) as other:
            await other.say("toggle_model", {"modelId": "nowhere"})
            await other.hear("error")
        assert asked == [CORRECTION], "by who is there"


async def test_what_is_under_way_does_not_hold_up_the_stop() -> None:
    stage = Stage()
    stage.models.gate = asyncio.Event()
    async with stage.open() as running, page(running) as client:
        await client.say("startModel", {"modelId": STOPPED.name})
        await until(lambda: stage.models.orders)
        assert await running.stop() < 5
        assert await client.closed() == 1012


async def test_a_failure_of_ours(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*_: Any, **__: Any) -> Any:
        raise RuntimeError("no idea")

    stage = Stage()
    monkeypatch.setattr(stage.models, "unload", fail)
    async with stage.open() as running, page(running) as client:
        await client.say("stopModel", {"modelId": RUNNING.name})
        error = await client.hear("error")
        assert (error["code"], "no idea" in error["message"]) == ("INTERNAL_ERROR", False)
    assert "no idea" in caplog.text
