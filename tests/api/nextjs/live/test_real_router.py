"""The live events of real models over a real llama-server in router mode, and the lines of one that we run."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import pytest

from exporter.api.nextjs.live.pages.documents import model_id
from exporter.live.logbook import Logbook
from exporter.models.model import Status
from exporter.models.router.watch import Home
from exporter.models.server.managed import Managed, ServerStatus
from exporter.tasks import Supervisor
from tests.api.nextjs.live.node_clients import NodeClient, node_clients
from tests.api.nextjs.live.pages.test_pages import page
from tests.api.nextjs.live.stage import Stage
from tests.api.nextjs.live.talker import Talker, talking
from tests.models.house import UPSTREAM, House
from tests.models.managing import make_launch
from tests.models.managing import until as until_true
from tests.models.real_router import RealRouter, router_binary, write_models
from tests.serving import Serving

pytestmark = pytest.mark.router


@contextlib.asynccontextmanager
async def serving_really(folder: Path, *arguments: str) -> AsyncIterator[tuple[Serving, House, RealRouter]]:
    """Both paths, over models whose files are `models/a.gguf` and `models/b.gguf`."""
    with RealRouter(router_binary(), folder, ("a", "b"), *arguments) as router:
        house = House(folder / "models", router.preset, Home(UPSTREAM, router.url))
        async with house.run() as models:
            stage = Stage(models=cast("Any", models), runtime=house.runtime)
            async with stage.open() as running:
                yield running, house, router


async def hear_status(client: Talker, name: str, status: str) -> dict[str, Any]:
    """Wait until later pages are told that a model is like that."""
    while True:
        for each in (await client.hear("models_loaded"))["data"]:
            if (each["name"], each["status"]) == (name, status):
                return cast("dict[str, Any]", each)


async def hear_of(client: NodeClient, event: str, name: str) -> dict[str, Any]:
    """The next event about a model."""
    while (heard := await client.hear(event))["modelId"] != name:
        pass
    return cast("dict[str, Any]", heard)


async def test_the_npm_client_hears_what_happens_to_real_models(tmp_path: Path) -> None:
    async with serving_really(tmp_path) as (running, house, router), node_clients() as node:
        await house.register("a", "b")
        client = await node.open(f"http://127.0.0.1:{running.port}/models", transports=["websocket"])
        await client.hear("models:update")
        await house.models.load("a", {})
        begun = await hear_of(client, "model:loading", "a")
        assert set(begun) == {"modelId", "progress", "stage", "estimatedTimeRemaining"}
        loaded = await hear_of(client, "model:loaded", "a")
        assert loaded["loadTime"] >= 0
        await house.models.unload("a")
        assert await hear_of(client, "model:unloaded", "a") == {"modelId": "a"}
        whole = router.models["b"].read_bytes()
        router.models["b"].write_bytes(whole[: len(whole) // 2])
        await house.models.load("b", {})
        failed = await hear_of(client, "model:error", "b")
        assert failed["error"]
        update = await client.hear("models:update")
        while [each["status"] for each in update["models"]] != ["stopped", "error"]:
            update = await client.hear("models:update")


async def test_orders_of_pages_are_carried_out(tmp_path: Path) -> None:
    async with serving_really(tmp_path) as (running, house, router), page(running) as client:
        await client.say("save_model", {"name": "a", "model_path": str(router.models["a"]), "ctx_size": 1024})
        saved = await client.hear("model_saved")
        assert (saved["success"], saved["data"]["name"], saved["data"]["status"]) == (True, "a", "stopped")
        number = int(saved["data"]["id"])
        assert number == int(model_id("a"))

        await client.say("save_config", {"id": number, "type": "sampling", "config": {"temperature": 0.25}})
        assert (await client.hear("config_saved"))["data"]["id"] == number
        await client.say("load_config", {"id": number, "type": "memory"})
        told = await client.hear("config_loaded")
        assert told["data"] == {"id": number, "type": "memory", "config": {"n_ctx": 1024}}

        await client.say("toggle_model", {"modelId": str(number)})
        assert await client.hear("modelToggled") == {"modelId": str(number), "status": "loading"}
        shown = await hear_status(client, "a", "running")
        assert shown["activeRequests"] == 0
        assert (await house.settle("a", Status.RUNNING)).context_size == 1024
        await client.say("delete_model", {"id": number})
        refused = await client.hear("model_deleted")
        assert (refused["success"], refused["error"]["code"]) == (False, "CONFLICT")

        await client.say("stopModel", {"modelId": "a"})
        assert (await client.hear("modelStopped"))["modelId"] == "a"
        await hear_status(client, "a", "stopped")
        await client.say("startModel", {"modelId": number})
        assert (await client.hear("modelStarted"))["modelId"] == number
        await hear_status(client, "a", "running")
        await client.say("unloadModel", {"modelId": number})
        await client.hear("modelStopped")
        await hear_status(client, "a", "stopped")

        await client.say("update_model", {"id": number, "updates": {"status": "running", "ctx_size": 2048}})
        assert (await client.hear("model_updated"))["data"]["status"] == "stopped"
        assert house.models.get("a").context_size == 2048
        await client.say("delete_model", {"id": number})
        assert (await client.hear("model_deleted"))["data"] == {"id": number}
        assert [each.name for each in house.models.all()] == []


async def test_what_the_router_knows_by_itself_can_be_imported(tmp_path: Path) -> None:
    folder = str(tmp_path / "models")
    async with serving_really(tmp_path, "--models-dir", folder) as (running, house, _), page(running) as client:
        await house.until(lambda: len(house.models.all()) == len(("a", "b")))
        await client.say("import_models_from_llama", {})
        assert (await client.hear("models_imported"))["data"] == {"imported": 2, "updated": 0, "errors": 0}
        assert all(each.registered is not None for each in house.models.all())


async def test_lines_of_a_llama_server_that_we_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cache").mkdir()
    monkeypatch.setenv("LLAMA_CACHE", str(tmp_path / "cache"))
    path = write_models(tmp_path / "models", ("a",))["a"]
    (tmp_path / "models.ini").write_text(f"[a]\nmodel = {path}\nctx-size = 512\nthreads = 1\n")
    logbook, supervisor = Logbook(), Supervisor()
    managed = Managed(make_launch(router_binary(), tmp_path), logbook.add_server_line)
    stage = Stage(logbook=logbook)
    await stage.runtime.change({"logs_interval_ms": 100})
    supervisor.start("llama_server", managed.run)
    try:
        async with stage.open() as running, talking(running, "/logs") as client:
            await client.ask("logs:filter", {"sources": ["llama-server"]})
            await until_true(lambda: managed.server().status is ServerStatus.READY)
            lines: list[dict[str, Any]] = []
            while not any("starting server in router mode" in each["message"] for each in lines):
                lines += (await client.hear("logs:update"))["logs"]
        assert {each["source"] for each in lines} == {"llama-server"}
        assert {each["level"] for each in lines} <= {"error", "warn", "info", "debug"}
        numbers = [int(each["id"].removeprefix("log_")) for each in lines]
        assert numbers == sorted(set(numbers))
    finally:
        await managed.stop()
        await supervisor.stop()
