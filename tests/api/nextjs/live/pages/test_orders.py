"""What pages want done over `/llamaproxws`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from exporter.api.nextjs.live.pages.documents import model_id
from exporter.models.model import Status
from tests.api.nextjs.live.pages.test_pages import page
from tests.api.nextjs.live.stage import BESIDE, RUNNING, STOPPED, Stage


def failure(document: Any) -> tuple[str, str]:
    """Code and message of an order that has failed."""
    assert document["success"] is False
    assert type(document["timestamp"]) is int
    return document["error"]["code"], document["error"]["message"]


@pytest.mark.parametrize("said", ["toggle_model", "toggleModel"])
async def test_toggling(said: str) -> None:
    stage = Stage()
    async with stage.open() as running, page(running) as client:
        await client.say(said, {"modelId": model_id(RUNNING.name)})
        assert await client.hear("modelToggled") == {"modelId": model_id(RUNNING.name), "status": "stopped"}
        await client.say(said, {"modelId": STOPPED.name})
        assert await client.hear("modelToggled") == {"modelId": STOPPED.name, "status": "loading"}
        number = int(model_id(STOPPED.name))
        await client.say(said, {"modelId": number})
        assert await client.hear("modelToggled") == {"modelId": number, "status": "loading"}
    assert stage.models.orders == [("unload", RUNNING.name), ("load", STOPPED.name, {})]


async def test_toggling_what_was_started_over_rest_just_now() -> None:
    stage = Stage()
    async with stage.open() as running, page(running) as client:
        stage.recent.note(RUNNING.name)
        await client.say("toggle_model", {"modelId": RUNNING.name})
        assert await client.hear("modelToggled") == {"modelId": RUNNING.name, "status": "running"}
    assert stage.models.orders == []


async def test_starting_and_stopping() -> None:
    stage = Stage()
    async with stage.open() as running, page(running) as client:
        await client.say("startModel", {"modelId": STOPPED.name})
        assert await client.hear("modelStarted") == {"modelId": STOPPED.name, "status": "loading"}
        for said in ("stopModel", "unloadModel"):
            await client.say(said, {"modelId": RUNNING.name})
            stopped = await client.hear("modelStopped")
            assert stopped == {"modelId": RUNNING.name, "message": f"{RUNNING.name} is being unloaded"}
        await client.say("startModel", {"modelId": "nowhere"})
        assert (await client.hear("error"))["code"] == "NOT_FOUND"
        corrections = [await client.next() for _ in range(3)]
        assert [(event, document["type"]) for event, document in corrections] == [
            ("models", "models"),
            ("models_loaded", "models_loaded"),
            ("message", "status"),
        ]
    assert stage.models.orders[0] == ("load", STOPPED.name, {})


async def test_a_start_that_fails_corrects_the_page() -> None:
    stage = Stage()
    stage.models.found["beside"] = replace(BESIDE, status=Status.LOADING)
    async with stage.open() as running, page(running) as client:
        await client.say("toggle_model", {"modelId": STOPPED.name})
        error = await client.hear("error")
        assert (error["code"], error["message"]) == ("CONFLICT", "another model is loading")
        loaded = await client.hear("models_loaded")
        assert loaded["data"][1]["status"] == "stopped"


async def test_saving_changing_and_deleting() -> None:
    stage = Stage()
    new = {
        "name": "new",
        "type": "llama",
        "status": "idle",
        "ctx_size": 8192,
        "batch_size": 512,
        "threads": -1,
        "model_path": "/srv/new.gguf",
        "model_url": "",
    }
    async with stage.open() as running, page(running) as client:
        await client.say("save_model", new)
        saved = await client.hear("model_saved")
        assert (saved["success"], saved["data"]["name"], saved["data"]["status"]) == (True, "new", "stopped")
        await client.say("update_model", {"id": int(saved["data"]["id"]), "updates": {"status": "running"}})
        updated = await client.hear("model_updated")
        assert (updated["success"], updated["data"]["status"]) == (True, "stopped")
        await client.say("update_model", {"id": saved["data"]["id"], "updates": {"ctx_size": 4096}})
        assert (await client.hear("model_updated"))["success"] is True
        await client.say("delete_model", {"id": int(saved["data"]["id"])})
        deleted = await client.hear("model_deleted")
        assert deleted["data"] == {"id": int(saved["data"]["id"])}
        await client.say("delete_model", {"id": int(saved["data"]["id"])})
        assert failure(await client.hear("model_deleted"))[0] == "NOT_FOUND"
    entry = {"name": "new", "path": "/srv/new.gguf", "options": {"ctx_size": 8192, "batch_size": 512}}
    options = {"batch_size": 512, "n_ctx": 4096}
    assert stage.models.orders == [
        ("register", [entry]),
        ("update", "new", {"options": options}),
        ("remove", "new"),
    ]


async def test_importing() -> None:
    stage = Stage()
    async with stage.open() as running, page(running) as client:
        for imported in (1, 0):
            await client.say("import_models_from_llama", {})
            told = await client.hear("models_imported")
            assert (told["type"], told["success"]) == ("models_imported", True)
            assert told["data"] == {"imported": imported, "updated": 0, "errors": 0}
    assert stage.models.orders == [("register", [{"name": "beside"}])]


async def test_settings() -> None:
    stage = Stage()
    identity = model_id(STOPPED.name)
    async with stage.open() as running, page(running) as client:
        for kind, config in (("sampling", {"temperature": 0.5}), ("memory", {"n_ctx": 4096}), ("lora", {})):
            await client.say("load_config", {"id": int(identity), "type": kind})
            loaded = await client.hear("config_loaded")
            assert loaded["data"] == {"id": int(identity), "type": kind, "config": config}
        sent = {"temperature": None, "top_k": 20, "topP": 0.5, "n_ctx": 1, "created_at": 1, "model_id": 3}
        await client.say("save_config", {"id": identity, "type": "sampling", "config": sent})
        saved = await client.hear("config_saved")
        assert saved["success"] is True
        assert saved["data"] == {"id": identity, "type": "sampling", "config": {"top_k": 20, "top_p": 0.5}}
    assert stage.models.orders == [("update", STOPPED.name, {"options": {"n_ctx": 4096, "top_k": 20, "top_p": 0.5}})]
